"""The accounts that services run as. One that is there is used as it is, and never changed or removed."""

import grp
import pwd
import subprocess
from pathlib import Path

from contentworker.installer.errors import InstallError

__all__ = ["exists", "missing", "remove"]

FIRST_PERSON_UID = 1000
NO_SHELLS = ("nologin", "false")


def exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def missing(names: list[str]) -> list[str]:
    """Those that are not there and will be made.

    Raises:
        InstallError: one that is there is no account for a service.
    """
    absent = []
    for name in names:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            absent.append(name)
            continue
        can_log_in = Path(found.pw_shell or "/bin/sh").name not in NO_SHELLS
        if found.pw_uid == 0 or (found.pw_uid >= FIRST_PERSON_UID and can_log_in):
            raise InstallError(
                f"the account {name} is a person's (uid {found.pw_uid}, {found.pw_shell}); services need one "
                "of their own: --user NAME, or services.user in worker.toml"
            )
        try:
            grp.getgrnam(name)
        except KeyError:
            raise InstallError(
                f"the account {name} has no group of its name. Type: sudo groupadd --system {name}"
            ) from None
    return absent


def remove(names: list[str]) -> list[str]:
    """Remove accounts that we made; return what did not work."""
    problems = []
    for name in filter(exists, names):
        try:
            done = subprocess.run(["userdel", name], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return [f"the accounts {', '.join(names)}: there is no userdel here"]
        if done.returncode:
            problems.append(f"the account {name}: {' '.join(done.stderr.split())}")
    return problems
