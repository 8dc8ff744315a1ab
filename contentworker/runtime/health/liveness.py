"""Is a worker alive? A probe for containers that reads the worker's alive file, and needs no Redis.

    python -m contentworker.runtime.health.liveness FILE [--max-age SECONDS] [--ready]

Exit code 0: alive. 1: not, with the reason in a line. It imports the standard library only, so that a probe
every few seconds costs next to nothing. A worker with WORKER_ALIVE_FILE=FILE in its environment writes the
file with each beat (`pulse.py`), at least every ten seconds. The file holds one line: the worker's state and,
if it cannot beat for a while, for how long.
"""

import argparse
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["MAX_AGE_SECONDS", "Sign", "read"]

MAX_AGE_SECONDS = 60.0
"""Longest silence that is no hang: six beats."""
READY = "ready"

LINE = re.compile(r"(?P<state>[A-Za-z ]*[a-z])(?:, silent for up to (?P<seconds>\d+) s)?\s*")


class Sign(NamedTuple):
    """Last sign of life of a worker."""

    state: str
    """Empty if there is no sign of life, or if it is too old."""
    text: str
    """State and age, or what is wrong, for people."""

    @property
    def is_alive(self) -> bool:
        """Whether the worker does not hang; it may wait for Redis, or stop."""
        return bool(self.state)

    @property
    def is_ready(self) -> bool:
        """Whether the worker consumes its queue."""
        return self.state == READY


def read(file: Path, max_age_seconds: float = MAX_AGE_SECONDS) -> Sign:
    """Read an alive file."""
    try:
        line = file.read_text("utf-8", "replace").partition("\n")[0]
        # After the clock was set back the age is negative: a hang is noticed later, but no worker seems dead.
        age_seconds = max(0.0, time.time() - file.stat().st_mtime)
    except FileNotFoundError:
        return Sign("", f"no sign of life: there is no file {file}")
    except OSError as error:
        return Sign("", f"no sign of life: {file} cannot be read: {error.strerror}")
    match = LINE.fullmatch(line)
    if not match:
        return Sign("", f"no sign of life: {file} is not the alive file of a worker")
    limit_seconds = max(max_age_seconds, float(match["seconds"] or 0))
    if age_seconds > limit_seconds:
        return Sign("", f"no sign of life for {age_seconds:.0f} s (at most {limit_seconds:g})")
    return Sign(match["state"], f"{match['state']}, {age_seconds:.0f} s ago")


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m contentworker.runtime.health.liveness",
        description="Exit code 0: the worker is alive. 1: it is not, with the reason.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the worker's WORKER_ALIVE_FILE")
    parser.add_argument(
        "--max-age",
        metavar="SECONDS",
        type=float,
        default=MAX_AGE_SECONDS,
        help="longest time without a sign of life (default: %(default)g)",
    )
    parser.add_argument(
        "--ready", action="store_true", help="exit code 1 also if it does not consume its queue"
    )
    arguments = parser.parse_args()
    sign = read(arguments.file, arguments.max_age)
    if arguments.ready and sign.is_alive and not sign.is_ready:
        print(f"not ready: {sign.text}")
        return 1
    print(sign.text)
    return 0 if sign.is_alive else 1


if __name__ == "__main__":
    sys.exit(main())
