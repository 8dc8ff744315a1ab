"""What `sudo` starts: reads a plan from standard input and does it. Needs nothing but Python, and writes no
bytecode: nothing in the checkout is to belong to root."""

import signal
import sys
from pathlib import Path
from types import FrameType

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from contentworker.errors import ContentWorkerError
from contentworker.installer.apply import apply
from contentworker.installer.plan import Plan


def _interrupted(number: int, _: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # taking back is not interrupted
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    """Return the exit code."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _interrupted)
    try:
        apply(Plan.of(sys.stdin.read()), lambda text: print(text, flush=True))
    except ContentWorkerError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print(f"Error: interrupted by {error}; all was taken back", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
