"""The secrets of the services: one file each for systemd's LoadCredential=, readable by root alone.

Run as a program, this makes the secrets that are missing: `celery-secrets.service` does that as root when a
machine boots for the first time. A secret in an image would be the same on every machine made from it. This
needs nothing but Python.
"""

import os
import re
import secrets
import stat
import sys
from pathlib import Path

from contentworker.installer import addresses
from contentworker.installer.changes import write
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import CREDENTIALS, REDIS_CONFIGURATION, Layout
from contentworker.installer.manifest import Manifest

__all__ = [
    "REDIS_URL",
    "is_set",  # editorial
    "make_missing",
    "needs_own_redis",
    "own_address",
    "refuse_open_ones",
    "values",
]

REDIS_URL = "REDIS_URL"
REDIS_PASSWORD = "redis-password.conf"  # noqa: S105 (the name of a file)
OWN_ADDRESS = re.compile(r"redis://[^@/]*@(?:127\.0\.0\.1|localhost):\d+(?:/\d*)?")
"""An address that may be replaced if the Redis is ours. A person wrote any other one."""
FLOWER_BASIC_AUTH = "FLOWER_BASIC_AUTH"
# >>> editorial
DESK_SECRET = "DESK_SECRET"  # noqa: S105 (the name of a file)
# <<< editorial


def refuse_open_ones(layout: Layout) -> None:
    """Raise an InstallError if other users than root can read a credential, as far as this user may look."""
    folder = layout.at(CREDENTIALS)
    if not folder.is_dir():
        return
    _refuse_open(folder, CREDENTIALS, "700")
    if os.access(folder, os.R_OK | os.X_OK):
        for path in sorted(folder.iterdir()):
            _refuse_open(path, f"{CREDENTIALS}/{path.name}", "600")


def _refuse_open(path: Path, name: str, mode: str) -> None:
    status = path.stat()
    if status.st_mode & 0o077:
        raise InstallError(
            f"{name} is open to other users than root (mode {stat.S_IMODE(status.st_mode):04o}); replace the "
            f"secret, as others may know it. Type: sudo chmod {mode} {name}"
        )
    # Root installs; a tree is staged by, and belongs to, the user who typed the command.
    if status.st_uid not in (0, os.geteuid()):
        raise InstallError(f"{name} belongs to uid {status.st_uid}, not root. Type: sudo chown root: {name}")


def needs_own_redis(layout: Layout, manifest: Manifest | None, *, is_given: bool) -> bool:
    """Whether to install a Redis: no person gave an address, now (`is_given`) or in a file.

    The user who typed the command may not see the file, so root's part asks again.
    """
    if manifest and REDIS_URL in manifest.credentials:  # the file's address is one that we made up
        return manifest.own_redis
    return not is_given and not os.path.lexists(layout.at(f"{CREDENTIALS}/{REDIS_URL}"))


def values(
    names: list[str], layout: Layout, given: dict[str, str], *, own_redis: bool, redis_port: int
) -> dict[str, bytes]:
    """The contents of each credential that is missing: as given, generated, or empty, which means not set."""
    missing = [name for name in names if not os.path.lexists(layout.at(f"{CREDENTIALS}/{name}"))]
    made = {name: given.get(name, "") for name in missing}
    if own_redis:
        password = _password(layout)
        made[REDIS_PASSWORD] = f"requirepass {password}"
        made[REDIS_URL] = _address(password, redis_port)
    if not made.get(FLOWER_BASIC_AUTH):
        made[FLOWER_BASIC_AUTH] = f"content-worker:{secrets.token_urlsafe(24)}"
    # >>> editorial
    if not made.get(DESK_SECRET):
        made[DESK_SECRET] = secrets.token_urlsafe(32)
    # <<< editorial
    return {name: f"{made[name]}\n".encode() if made[name] else b"" for name in missing}


# >>> editorial
def is_set(layout: Layout, name: str) -> bool:
    """Whether there is a secret of this name, and it is not empty."""
    path = layout.at(f"{CREDENTIALS}/{name}")
    return path.exists() and path.stat().st_size > 0


# <<< editorial
def own_address(layout: Layout, redis_port: int) -> bytes | None:
    """The new REDIS_URL, if the file names our Redis by another port or password.

    None if it is right, or names another server: a person wrote that.
    """
    try:
        written = layout.at(f"{CREDENTIALS}/{REDIS_URL}").read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    address = _address(_password(layout), redis_port)
    is_ours = OWN_ADDRESS.fullmatch(written) and layout.at(f"{CREDENTIALS}/{REDIS_PASSWORD}").exists()
    return f"{address}\n".encode() if is_ours and written != address else None


def _address(password: str, port: int) -> str:
    return f"redis://:{password}@127.0.0.1:{port}/0"


def _password(layout: Layout) -> str:
    """The password of our Redis: the one in its file, or a new one in hexadecimal, which needs no quoting."""
    path = layout.at(f"{CREDENTIALS}/{REDIS_PASSWORD}")
    text = path.read_text("utf-8") if path.exists() else ""
    known = re.search(r"^requirepass (\S+)$", text, re.MULTILINE)
    return known[1] if known else secrets.token_hex(32)


def make_missing(layout: Layout) -> list[str]:
    """Make each secret that is missing; return the names of those that only a person can give."""
    manifest = Manifest.load(layout.at(layout.manifest))
    if manifest is None:
        raise InstallError(f"{layout.manifest} is missing")
    refuse_open_ones(layout)
    port = 0
    if manifest.own_redis:
        port = addresses.redis_port(layout.at(REDIS_CONFIGURATION).read_text("utf-8")) or 0
    made = values(manifest.credentials, layout, {}, own_redis=manifest.own_redis, redis_port=port)
    missing = [REDIS_URL] if made.get(REDIS_URL) == b"" else []  # empty would mean a Redis on this machine
    for name, value in made.items():
        if name not in missing:
            write(layout.at(f"{CREDENTIALS}/{name}"), value, 0o600).rename(layout.at(f"{CREDENTIALS}/{name}"))
    return missing


def main() -> int:
    """Return the exit code."""
    prefix = Path(__file__).parents[4]  # this file is PREFIX/releases/RELEASE/contentworker/installer/…
    try:
        problems = [
            f"{CREDENTIALS}/{name} is missing, and this image has no Redis of its own"
            for name in make_missing(Layout(Path("/"), str(prefix)))
        ]
    except InstallError as error:
        problems = [str(error)]
    for problem in problems:
        print(f"Error: {problem}", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
