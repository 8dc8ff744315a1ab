"""Is a worker alive? Asks its alive file, and nobody else; for a container, or whoever asks often.

    python -m contentworker.runtime.liveness FILE [--max-age SECONDS] [--ready]

Exit code 0 if it is, 1 with the reason in a line if it is not. It imports the standard library alone, so
that asking every few seconds costs next to nothing. A worker with WORKER_ALIVE_FILE=FILE in its environment
touches the file as it beats (`pulse.py`), every ten seconds at least. The file holds one line: the worker's
state, and, where it cannot beat for a while, for how long that may last.
"""

import argparse
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["MAX_AGE_SECONDS", "Sign", "read"]

MAX_AGE_SECONDS = 60.0
READY = "ready"

LINE = re.compile(r"(?P<state>[A-Za-z ]*[a-z])(?:, silent for up to (?P<seconds>\d+) s)?\s*")


class Sign(NamedTuple):
    """What an alive file says."""

    state: str
    """Empty where there is no sign of life, or none that is young enough."""
    text: str
    """The same for people."""

    @property
    def is_alive(self) -> bool:
        """Whether the worker does what it should, be it to wait or to stop."""
        return bool(self.state)

    @property
    def is_ready(self) -> bool:
        """Whether it consumes its queue."""
        return self.state == READY


def read(file: Path, max_age_seconds: float = MAX_AGE_SECONDS) -> Sign:
    """Look at an alive file."""
    try:
        line = file.read_text("utf-8", "replace").partition("\n")[0]
        # A clock that was put back makes no worker younger than it is; it is found out later, then.
        age_seconds = max(0.0, time.time() - file.stat().st_mtime)
    except FileNotFoundError:
        return Sign("", f"no sign of life: there is no file {file}")
    except OSError as error:
        return Sign("", f"no sign of life: {file} cannot be read: {error.strerror}")
    found = LINE.fullmatch(line)
    if not found:
        return Sign("", f"no sign of life: {file} is not the alive file of a worker")
    limit_seconds = max(max_age_seconds, float(found["seconds"] or 0))
    if age_seconds > limit_seconds:
        return Sign("", f"no sign of life for {age_seconds:.0f} s (at most {limit_seconds:g})")
    return Sign(found["state"], f"{found['state']}, {age_seconds:.0f} s ago")


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m contentworker.runtime.liveness",
        description="Exit code 0: the worker of this alive file lives. 1: it does not.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the worker's WORKER_ALIVE_FILE")
    parser.add_argument(
        "--max-age",
        metavar="SECONDS",
        type=float,
        default=MAX_AGE_SECONDS,
        help="longest time without a sign of life that is no hang (default: %(default)g)",
    )
    parser.add_argument("--ready", action="store_true", help="also 1 unless it consumes its queue")
    arguments = parser.parse_args()
    sign = read(arguments.file, arguments.max_age)
    if arguments.ready and sign.is_alive and not sign.is_ready:
        print(f"not ready: {sign.text}")
        return 1
    print(sign.text)
    return 0 if sign.is_alive else 1


if __name__ == "__main__":
    sys.exit(main())
