"""Finds out, as the user who called, what is there and whether it can be done. Changes nothing."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from contentworker.installer.errors import InstallError
from contentworker.installer.layout import COMMAND, Layout

__all__ = ["free_bytes", "installed_prefix", "sudo", "systemd_version"]

OLDEST_SYSTEMD = 247
"""The first with LoadCredential= and ProtectProc=."""

OTHER_WAY = "systemd/supervisord.conf is for machines without it (docs/operations.md)"
ROOM_BYTES = 100_000_000
"""That is left free, for Redis' file and the journal."""


def systemd_version(layout: Layout, environ: Mapping[str, str]) -> int:
    """The version of the systemd that runs this machine.

    Raises:
        InstallError: there is none, it is too old, or something else runs this machine.
    """
    command = shutil.which("systemctl", path=environ.get("PATH"))
    if command is None:
        raise InstallError(f"there is no systemd on this machine; {OTHER_WAY}")
    said = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.match(r"systemd (\d+)", said)
    if match is None:
        raise InstallError(f"{command} --version does not tell a version of systemd")
    if int(match[1]) < OLDEST_SYSTEMD:
        raise InstallError(f"systemd {match[1]} is too old; {OLDEST_SYSTEMD} or newer is needed; {OTHER_WAY}")
    if not layout.at("/run/systemd/system").is_dir():
        raise InstallError(f"systemd {match[1]} is installed, but does not run this machine; {OTHER_WAY}")
    return int(match[1])


def sudo(environ: Mapping[str, str], *, has_terminal: bool) -> list[str]:
    """How to become root: nothing needed, or sudo.

    Raises:
        InstallError: there is no way.
    """
    if os.geteuid() == 0:
        return []
    command = shutil.which("sudo", path=environ.get("PATH"))
    if command is None:
        raise InstallError(
            "this must be done as root, and there is no sudo; become root and type the same, or stage the "
            "files with --root DIR"
        )
    return [command] if has_terminal else [command, "-n"]


def installed_prefix(layout: Layout) -> str | None:
    """Where an installation is on this machine, by its command."""
    try:
        match = re.search(r"^PREFIX=(.+)$", layout.at(COMMAND).read_text("utf-8"), re.M)
    except (OSError, UnicodeDecodeError):
        return None
    return shlex.split(match[1])[0] if match else None


def free_bytes(folder: Path, needed: int) -> int:
    """How much room there is where a folder is, or will be.

    Raises:
        InstallError: less than is needed.
    """
    while not folder.is_dir():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    needed += ROOM_BYTES
    if free < needed:
        raise InstallError(
            f"the disk of {folder} has {free / 1e6:,.0f} MB free; {needed / 1e6:,.0f} MB are needed"
        )
    return free
