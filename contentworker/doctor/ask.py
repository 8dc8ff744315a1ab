"""How the checks ask: programs, files, the settings."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from contentworker.doctor.finding import Environ, NotCheckedError
from contentworker.errors import ConfigError

if TYPE_CHECKING:
    from contentworker.config import Settings

__all__ = ["numbers", "output", "run", "runs", "settings", "text"]

COMMAND_SECONDS = 30


def settings(root: Path, environ: Environ) -> "Settings":
    """The settings, or the defaults where worker.toml is wrong, which a check of its own says."""
    from contentworker import config

    try:
        return config.load(root / "worker.toml", environ)
    except ConfigError:
        return config.Settings.model_construct(queues={})


def output(command: list[str], root: Path, environ: Environ) -> str:
    """What a program prints; if it fails, the check could not be made, for its reason."""
    done = run(command, root, environ)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise NotCheckedError(f"{command[0]}: {last}")
    return done.stdout


def run(command: list[str], root: Path, environ: Environ) -> subprocess.CompletedProcess[str]:
    """Run a program in the checkout, with nothing to read and with an end to it."""
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
    """Whether a program can be started, and succeeds."""
    try:
        return run(command, root, environ).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def text(path: Path) -> str:
    """What is in a file; empty if it cannot be read."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def numbers(version: str) -> tuple[int, ...]:
    """A version, to be compared."""
    return tuple(map(int, version.split(".")))
