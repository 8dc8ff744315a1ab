"""End what a test run started and did not end itself: it was interrupted, or killed.

Each process of a run carries a mark in its environment. A watcher waits for the end of the run, however
that comes about, and kills what still carries the mark; the next run looks for marks of runs that are gone.
Linux only: other systems do not show the environment of a process. A program that writes its title over its
environment has no mark: `preloaded.py` ends those.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["MARK", "TERM_SECONDS", "end_all", "is_running", "stat_of", "watch"]

MARK = "CONTENTWORKER_TEST_RUNS"
"""Runs that a process belongs to, outermost first, as `PID-STARTTIME`; a test may run tests itself."""
TERM_SECONDS = 3.0
"""Time to end in good order: a machine of the tests of systemd removes its control group."""
QUIET_ROUNDS = 3
"""Looks that find nothing before the watcher ends: a process may be forking while it is looked for."""


def watch() -> None:
    """Mark this process and its children, end what killed runs left, and start the watcher of this run."""
    if sys.platform != "linux":
        return
    end_all(lambda runs: not _is_alive(runs[-1]))
    own = f"{os.getpid()}-{_start_time(os.getpid())}"
    os.environ[MARK] = f"{os.environ.get(MARK, '')} {own}".strip()
    closed_with_us, _keep_open = os.pipe()  # inherited by no other process: closed when this one ends
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-S", __file__, own],
        unmarked,
        file_actions=[(os.POSIX_SPAWN_DUP2, closed_with_us, 0)],
        setsid=True,
    )
    os.close(closed_with_us)


def end_all(is_ours: Callable[[list[str]], bool]) -> None:
    """End every process whose runs are ours, until there is none; at first so that they can clean up."""
    quiet, patient_until, asked = 0, time.monotonic() + TERM_SECONDS, set[int]()
    while quiet < QUIET_ROUNDS:
        found = {pid for pid, runs in _marked() if pid != os.getpid() and is_ours(runs)}
        is_late = time.monotonic() > patient_until
        for pid in found if is_late else found - asked:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL if is_late else signal.SIGTERM)
        asked |= found
        quiet = 0 if found else quiet + 1
        time.sleep(0.05)


def _marked() -> Iterator[tuple[int, list[str]]]:
    prefix = f"{MARK}=".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended, or another user's
            for variable in (folder / "environ").read_bytes().split(b"\0"):
                if variable.startswith(prefix) and is_running(int(folder.name)):
                    yield int(folder.name), variable[len(prefix) :].decode().split()


def stat_of(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the name (proc(5)): the state is the first, the start time the 20th."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie that its parent has not asked for yet."""
    try:
        return stat_of(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the second if it ended while its file was open
        return False


def _start_time(pid: int) -> str:
    """When the process began, in clock ticks since boot: its number may be used again."""
    return stat_of(pid)[19]


def _is_alive(run: str) -> bool:
    pid, _, start = run.partition("-")
    try:
        return _start_time(int(pid)) == start
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    os.read(0, 1)  # nothing is ever written: this is the end of the run
    end_all(lambda runs: sys.argv[1] in runs)
