"""The secrets of the services, as files for systemd's LoadCredential=: one each, root's alone."""

import os
import re
import secrets
import stat
from pathlib import Path

from contentworker.installer.errors import InstallError
from contentworker.installer.layout import CREDENTIALS, Layout

__all__ = ["refuse_open_ones", "values"]

REDIS_URL = "REDIS_URL"
REDIS_PASSWORD = "redis-password.conf"
FLOWER_BASIC_AUTH = "FLOWER_BASIC_AUTH"


def refuse_open_ones(layout: Layout) -> None:
    """Check who can read the credentials that are there, as far as this user may.

    Raises:
        InstallError: somebody beside root can; nothing was changed.
    """
    folder = layout.at(CREDENTIALS)
    if not folder.is_dir():
        return
    _refuse(folder, CREDENTIALS, "700")
    if os.access(folder, os.R_OK | os.X_OK):
        for path in sorted(folder.iterdir()):
            _refuse(path, f"{CREDENTIALS}/{path.name}", "600")


def _refuse(path: Path, name: str, mode: str) -> None:
    found = path.stat()
    if found.st_mode & 0o077:
        raise InstallError(
            f"{name} is open to others than root (mode {stat.S_IMODE(found.st_mode):04o}); the secret counts "
            f"as known. Type: sudo chmod {mode} {name}"
        )
    # Whoever reads it here places it: root, or for a staging who called.
    if found.st_uid not in (0, os.geteuid()):
        raise InstallError(f"{name} belongs to uid {found.st_uid}, not root. Type: sudo chown root: {name}")


def values(
    names: list[str], layout: Layout, given: dict[str, str], *, own_redis: bool, redis_port: int
) -> dict[str, bytes]:
    """What each that is not there is to hold: as given, made up, or empty, which means not set."""
    missing = [name for name in names if not os.path.lexists(layout.at(f"{CREDENTIALS}/{name}"))]
    made = {name: given.get(name, "") for name in missing}
    if own_redis:
        password = _password(layout)
        made[REDIS_PASSWORD] = f"requirepass {password}"
        made[REDIS_URL] = f"redis://:{password}@127.0.0.1:{redis_port}/0"
    if not made.get(FLOWER_BASIC_AUTH):
        made[FLOWER_BASIC_AUTH] = f"content-worker:{secrets.token_urlsafe(24)}"
    return {name: f"{made[name]}\n".encode() if made[name] else b"" for name in missing}


def _password(layout: Layout) -> str:
    """That of our Redis, which may be there from before; hexadecimal, so that nobody needs to quote it."""
    path = layout.at(f"{CREDENTIALS}/{REDIS_PASSWORD}")
    try:
        if known := re.search(r"^requirepass (\S+)$", path.read_text("utf-8"), re.M):
            return known[1]
    except FileNotFoundError:
        pass
    return secrets.token_hex(32)
