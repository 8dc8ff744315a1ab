"""`content-worker`, the command that an operator types."""

import shlex

from contentworker.installer import layout as places

__all__ = ["script"]

SCRIPT = """\
#!/bin/sh
# The commands of this installation, with its settings and secrets: content-worker health,
# content-worker dead-letters list, content-worker celery inspect active. Written by `nox -s install`.
PREFIX={prefix}
if [ "$(id -u)" != 0 ]; then
    echo "content-worker: only root can read the secrets of the services. Type: sudo content-worker $*" >&2
    exit 1
fi
if [ -r {environment} ]; then
    while IFS= read -r line; do
        case $line in
        WORKER__*=*)
            value=${{line#*=}}
            case $value in \\"*\\" | \\'*\\') value=${{value#?}} value=${{value%?}} ;; esac
            export "${{line%%=*}}=$value"
            ;;
        esac
    done <{environment}
fi
export STATE_DIRECTORY={state} CREDENTIALS_DIRECTORY={credentials}
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$PREFIX/current"
# -P: nothing is imported from the folder that this is typed in.
if [ "$1" = celery ]; then
    shift
    exec "$PREFIX/current/environment/bin/python" -P -m celery -A celery_worker.celery_app "$@"
fi
exec "$PREFIX/current/environment/bin/python" -P -m contentworker "$@"
"""


def script(prefix: str) -> bytes:
    """Its text, for an installation in a folder."""
    return SCRIPT.format(
        prefix=shlex.quote(prefix),
        environment=places.ENVIRONMENT,
        credentials=places.CREDENTIALS,
        state=places.STATE,
    ).encode()
