"""A Python of the system's own, which the services' account can run as well."""

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from contentworker.installer.errors import InstallError

__all__ = ["SystemPython", "find"]

ASKED = (
    "import json, sys, sysconfig, venv; "
    "print(json.dumps([sysconfig.get_python_version(), sysconfig.get_config_var('SOABI'), "
    "sysconfig.get_path('stdlib'), sys.prefix == sys.base_prefix]))"
)
SECONDS = 30


@dataclass(frozen=True)
class SystemPython:
    """A Python that environments for services are made with."""

    path: str
    version: str
    """3.11"""
    abi: str
    """What compiled packages are made for."""


def find(versions: Iterable[str], environ: Mapping[str, str]) -> SystemPython:
    """The first that fits of /usr/bin/python3, the other Pythons there, and those on the PATH.

    Raises:
        InstallError: with what was found, and why that does not fit.
    """
    refused = []
    for path in _candidates(versions, environ):
        fits = _examine(path, list(versions))
        if isinstance(fits, SystemPython):
            return fits
        refused.append(f"{path}: {fits}")
    newest = max(versions, key=lambda version: int(version.split(".")[1]))
    raise InstallError(
        f"no Python that services can run is installed; one of {', '.join(versions)} is needed"
        f" ({'; '.join(refused) or 'there is none'}). Type: sudo apt install python{newest}"
    )


def _candidates(versions: Iterable[str], environ: Mapping[str, str]) -> Iterator[str]:
    names = ["python3", *(f"python{version}" for version in versions)]
    seen = set()
    for folder in ("/usr/bin", *environ.get("PATH", "").split(os.pathsep)):
        for name in names:
            path = os.path.join(folder, name)
            if os.access(path, os.X_OK) and os.path.realpath(path) not in seen:
                seen.add(os.path.realpath(path))
                yield path


def _examine(path: str, versions: list[str]) -> SystemPython | str:
    """What it is, or why it does not fit."""
    # By its own name: what python3 is may change with the next release of the system.
    real = os.path.realpath(path)
    if closed := _closed_folder(Path(real)):
        return f"other users cannot enter {closed}"
    command = [real, "-I", "-c", ASKED]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        version, abi, library, is_base = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return "does not run, or has no venv"
    if version not in versions:
        return f"is {version}"
    if not is_base:
        return "is that of a virtual environment"
    if closed := _closed_folder(Path(library)):
        return f"other users cannot enter {closed}"
    return SystemPython(real, version, abi or version)


def _closed_folder(path: Path) -> Path | None:
    return next((folder for folder in path.parents if not folder.stat().st_mode & 0o001), None)
