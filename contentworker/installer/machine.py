"""What the machine has: systemd, sudo, disk space, a Python for services, and accounts.

If something is missing that the services need, these functions raise an InstallError that says what to do.
"""

import grp
import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from contentworker.installer.errors import InstallError
from contentworker.installer.layout import COMMAND, Layout

__all__ = [
    "SystemPython",
    "account_exists",
    "available_memory_bytes",
    "find_python",
    "installed_prefix",
    "missing_accounts",
    "remove_accounts",
    "require_space",
    "sudo",
    "systemd_version",
]

OLDEST_SYSTEMD = 247
"""The first version with LoadCredential= and ProtectProc=."""
WITHOUT_SYSTEMD = "use systemd/supervisord.conf instead (docs/operations.md)"
SPARE_BYTES = 100_000_000
"""Disk space that stays free for Redis' file and the journal."""

PYTHON_SECONDS = 30
"""Longest time for a Python to say what it is."""
ABOUT_PYTHON = (
    "import json, sys, sysconfig, venv; "
    "print(json.dumps([sysconfig.get_python_version(), sysconfig.get_config_var('SOABI'), "
    "sysconfig.get_path('stdlib'), sys.prefix == sys.base_prefix]))"
)

FIRST_PERSON_UID = 1000
"""The lowest uid that Debian and Fedora give to a person."""
NO_SHELLS = ("nologin", "false")


def systemd_version(layout: Layout, environ: Mapping[str, str]) -> int:
    """The version of the systemd that runs this machine."""
    command = shutil.which("systemctl", path=environ.get("PATH"))
    if command is None:
        raise InstallError(f"there is no systemd on this machine; {WITHOUT_SYSTEMD}")
    said = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.match(r"systemd (\d+)", said)
    if match is None:
        raise InstallError(f"{command} --version prints no version of systemd")
    if int(match[1]) < OLDEST_SYSTEMD:
        needed = f"{OLDEST_SYSTEMD} or newer is needed"
        raise InstallError(f"systemd {match[1]} is too old; {needed}; {WITHOUT_SYSTEMD}")
    if not layout.at("/run/systemd/system").is_dir():
        raise InstallError(
            f"systemd {match[1]} is installed, but does not run this machine; {WITHOUT_SYSTEMD}"
        )
    return int(match[1])


def sudo(environ: Mapping[str, str]) -> list[str]:
    """The words before a command that make it run as root; none if we are root."""
    if os.geteuid() == 0:
        return []
    command = shutil.which("sudo", path=environ.get("PATH"))
    if command is None:
        raise InstallError(
            "this needs root, and there is no sudo; become root and type the same command, or stage the "
            "files with --root DIR"
        )
    return [command] if os.isatty(0) else [command, "-n"]


def installed_prefix(layout: Layout) -> str | None:
    """The folder of the installation on this machine, as its `content-worker` command says it."""
    try:
        # The command of the previous release has the folder without quotes.
        match = re.search(r'^PREFIX ?= ?"?([^"\n]+)', layout.at(COMMAND).read_text("utf-8"), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return None
    return shlex.split(match[1])[0] if match else None


def require_space(folder: Path, needed: int) -> int:
    """The free bytes on the disk of a folder, which need not exist yet."""
    while not folder.is_dir():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    needed += SPARE_BYTES
    if free < needed:
        raise InstallError(
            f"the disk of {folder} has {free / 1e6:,.0f} MB free; {needed / 1e6:,.0f} MB are needed"
        )
    return free


def available_memory_bytes() -> int | None:
    """Memory that programs can have without swapping; None if this kernel does not say."""
    try:
        match = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text("ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(match[1]) * 1024 if match else None


@dataclass(frozen=True)
class SystemPython:
    """A Python of the system, which the account of the services can run, too."""

    path: str
    version: str
    """3.11"""
    abi: str
    """The ABI that compiled packages must be made for."""


def find_python(versions: Iterable[str], environ: Mapping[str, str]) -> SystemPython:
    """The first Python that fits: /usr/bin/python3, the others in /usr/bin, those on the PATH."""
    refused = []
    for path in _pythons(versions, environ):
        fits = _examine(path, list(versions))
        if isinstance(fits, SystemPython):
            return fits
        refused.append(f"{path}: {fits}")
    newest = max(versions, key=lambda version: int(version.split(".")[1]))
    raise InstallError(
        f"no Python that services can run is installed; one of {', '.join(versions)} is needed"
        f" ({'; '.join(refused) or 'there is none'}). Type: sudo apt install python{newest}"
    )


def _pythons(versions: Iterable[str], environ: Mapping[str, str]) -> Iterator[str]:
    names = ["python3", *(f"python{version}" for version in versions)]
    seen = set()
    for folder in ("/usr/bin", *environ.get("PATH", "").split(os.pathsep)):
        for path in (str(Path(folder, name)) for name in names):
            if os.access(path, os.X_OK) and os.path.realpath(path) not in seen:
                seen.add(os.path.realpath(path))
                yield path


def _examine(path: str, versions: list[str]) -> SystemPython | str:
    """The Python at a path, or why it does not fit."""
    # Not by the name python3: the next release of the system may point that to another version.
    real = os.path.realpath(path)
    if closed := _closed_folder(Path(real)):
        return f"other users cannot enter {closed}"
    command = [real, "-I", "-c", ABOUT_PYTHON]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PYTHON_SECONDS, check=False)
        version, abi, library, is_base = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return "does not run, or has no venv"
    if version not in versions:
        return f"is {version}"
    if not is_base:
        return "belongs to a virtual environment"
    if closed := _closed_folder(Path(library)):
        return f"other users cannot enter {closed}"
    return SystemPython(real, version, abi or version)


def _closed_folder(path: Path) -> Path | None:
    return next((folder for folder in path.parents if not folder.stat().st_mode & 0o001), None)


def account_exists(name: str) -> bool:
    """Whether this machine has a user of this name."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def missing_accounts(names: list[str]) -> list[str]:
    """The accounts that will be created. One that exists is used as it is, and never changed or removed."""
    existing = [name for name in names if account_exists(name)]
    for name in existing:
        account = pwd.getpwnam(name)
        can_log_in = Path(account.pw_shell or "/bin/sh").name not in NO_SHELLS
        if account.pw_uid == 0 or (account.pw_uid >= FIRST_PERSON_UID and can_log_in):
            raise InstallError(
                f"the account {name} is a person's (uid {account.pw_uid}, {account.pw_shell}); services need "
                "one of their own: --user NAME, or services.user in worker.toml"
            )
        try:
            grp.getgrnam(name)
        except KeyError:
            raise InstallError(
                f"the account {name} has no group of its name. Type: sudo groupadd --system {name}"
            ) from None
    return [name for name in names if name not in existing]


def remove_accounts(names: list[str]) -> list[str]:
    """Remove accounts that an installation created; return what did not work."""
    problems = []
    for name in filter(account_exists, names):
        try:
            done = subprocess.run(["userdel", name], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return [f"the accounts {', '.join(names)}: there is no userdel here"]
        if done.returncode:
            problems.append(f"the account {name}: {' '.join(done.stderr.split())}")
    return problems
