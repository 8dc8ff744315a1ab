"""The program that `sudo` starts: it reads a plan from standard input and applies it.

It needs nothing but Python, and writes no bytecode: no file of the checkout may belong to root.
"""

import signal
import sys
from pathlib import Path
from types import FrameType

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from contentworker.errors import ContentWorkerError
from contentworker.installer.apply import apply
from contentworker.installer.plan import Plan

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(number: int, _: FrameType | None) -> None:
    for each in INTERRUPTIONS:
        signal.signal(each, signal.SIG_IGN)  # undoing is not interrupted
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    """Return the exit code."""
    for each in INTERRUPTIONS:
        signal.signal(each, _interrupt)
    try:
        apply(Plan.of(sys.stdin.read()), lambda text: print(text, flush=True))
    except ContentWorkerError as error:
        print(f"Error: {error}", file=sys.stderr)
    except KeyboardInterrupt as error:
        print(f"Error: interrupted by {error}; all changes were undone", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
