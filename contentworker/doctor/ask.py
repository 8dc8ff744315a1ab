"""What a check gets and returns, and how it asks programs, files and the settings."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from contentworker.errors import ConfigError

if TYPE_CHECKING:
    from contentworker.config import Settings

__all__ = [
    "SESSION",
    "Environ",
    "Finding",
    "NotCheckedError",
    "numbers",
    "output",
    "run",
    "runs",
    "settings",
    "text",
]

COMMAND_SECONDS = 30
SESSION = "python3 noxfile.py -s"
"""How to run a session without nox, or with an old one; it works everywhere."""

Environ = Mapping[str, str]


class Finding(NamedTuple):
    """What a check found: `wrong` needs fixing, `note` is good to know."""

    level: Literal["ok", "note", "wrong"]
    text: str
    fix: str = ""
    """A command, or a step; empty if there is nothing to do."""


class NotCheckedError(Exception):
    """The check could not be made; the message says why."""


def settings(root: Path, environ: Environ) -> "Settings":
    """The settings, or the defaults if worker.toml is wrong; `check_configuration` reports that."""
    from contentworker import config

    try:
        return config.load(root / "worker.toml", environ)
    except ConfigError:
        return config.Settings.model_construct(queues={})


def output(command: list[str], root: Path, environ: Environ) -> str:
    """What a program prints.

    Raises:
        NotCheckedError: it failed, with its last line.
    """
    done = run(command, root, environ)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise NotCheckedError(f"{command[0]}: {last}")
    return done.stdout


def run(command: list[str], root: Path, environ: Environ) -> subprocess.CompletedProcess[str]:
    """Run a program in the checkout, without input, for at most `COMMAND_SECONDS`."""
    return subprocess.run(
        command,
        cwd=root,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=COMMAND_SECONDS,
        check=False,
    )


def runs(command: list[str], root: Path, environ: Environ) -> bool:
    """Whether a program can be started and succeeds."""
    try:
        return run(command, root, environ).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def text(path: Path) -> str:
    """A file's text; empty if it cannot be read."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, to compare."""
    return tuple(map(int, version.split(".")))
