"""`content-worker`, the command that an operator types."""

from contentworker.installer import layout as places

__all__ = ["script"]

SCRIPT = '''\
#!{prefix}/current/environment/bin/python -IBS
"""The commands of this installation, with its settings and secrets: content-worker health,
content-worker dead-letters list, content-worker celery inspect active. Written by `nox -s install`.

Only settings and secrets are read as root. The command itself runs as the services' user: a service that was
broken into can leave anything in that user's folders, such as a pickle, or a link to a file of root's.
"""

import os
import pwd
import re
import signal
import sys

PREFIX = "{prefix}"
USER = "{user}"
PASSED_ON = ("COLUMNS", "LANG", "LC_ALL", "LINES", "NO_COLOR", "SUDO_USER", "TERM", "TZ")


def environment(home):
    found = {{name: os.environ[name] for name in PASSED_ON if name in os.environ}}
    found.update(PATH="/usr/local/bin:/usr/bin:/bin", HOME=home, USER=USER, LOGNAME=USER)
    found.update(CONTENT_WORKER_COMMAND="sudo content-worker")
    found.update(STATE_DIRECTORY="{state}", PYTHONPATH=PREFIX + "/current", PYTHONDONTWRITEBYTECODE="1")
    for path in ("{installed_environment}", "{environment}"):  # in the order in which the units read them
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                lines = re.findall(r"^(WORKER__[A-Z0-9_]+)=(.*?)[ \\t]*$", file.read(), re.M)
            found.update((name, re.sub(r"""^(["'])(.*)\\1$""", r"\\2", value)) for name, value in lines)
    for name in os.listdir("{credentials}"):
        if re.fullmatch("[A-Z][A-Z0-9_]*", name):
            with open("{credentials}/" + name, encoding="utf-8") as file:
                value = file.read().strip()
            if value:
                found[name] = value
    return found


def become(account):
    # Without the terminal of root it cannot type into it (ioctl TIOCSTI).
    os.setsid()
    os.umask(0o077)
    os.initgroups(USER, account.pw_gid)
    os.setresgid(*3 * [account.pw_gid])
    os.setresuid(*3 * [account.pw_uid])


def main():
    if os.geteuid() != 0:
        typed = " ".join(["sudo content-worker", *sys.argv[1:]])
        sys.exit("content-worker: only root can read the secrets of the services. Type: " + typed)
    account = pwd.getpwnam(USER)
    environ = environment(account.pw_dir)
    arguments = ["contentworker", *sys.argv[1:]]
    if sys.argv[1:2] == ["celery"]:
        arguments = ["celery", "-A", "celery_worker.celery_app", *sys.argv[2:]]
        os.chdir(PREFIX + "/current")  # Celery imports from the current folder
    python = PREFIX + "/current/environment/bin/python"
    child = os.fork()
    if child == 0:
        try:
            become(account)
            os.execve(python, [python, "-P", "-m", *arguments], environ)
        except OSError as error:
            print("content-worker:", error, file=sys.stderr, flush=True)
        os._exit(126)
    for each in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGWINCH):
        signal.signal(each, lambda number, _: os.kill(child, number))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.exit(code if code >= 0 else 128 - code)


main()
'''


def script(prefix: str, user: str) -> bytes:
    """The text of the command, for an installation in `prefix` whose services run as `user`."""
    return SCRIPT.format(
        prefix=prefix,
        user=user,
        installed_environment=places.INSTALLED_ENVIRONMENT,
        environment=places.ENVIRONMENT,
        credentials=places.CREDENTIALS,
        state=places.STATE,
    ).encode()
