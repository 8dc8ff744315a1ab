"""A process that ends the programs in order if their supervisor is killed.

    guard = Guard({"redis": (), "worker": ("redis",)})
    guard.report("worker", pid)

The guard reads a pipe that only its supervisor writes to. However the supervisor dies, the guard then reads
the end of the pipe.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

__all__ = ["Guard", "signal_group"]

PATIENCE_SECONDS = (10.0, 5.0)
"""How long the guard lets a program finish what it runs after a first interrupt, and end after a second."""
POLL_SECONDS = 0.1


class Guard:
    """The guard, a fork of this process: files that are open here stay open there, and locked."""

    def __init__(self, after: Mapping[str, Sequence[str]]) -> None:
        """Fork the guard. `after` names for each program those that must outlive it."""
        reading, self._writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._writing)
            _guard(reading, after)
        os.close(reading)

    def report(self, name: str, pid: int) -> None:
        """Tell the guard which process group a program has now; 0: it has ended."""
        os.write(self._writing, f"{name} {pid}\n".encode())

    def close(self) -> None:
        """Let the guard end the programs that still run, and wait until it has ended, too."""
        os.close(self._writing)
        os.waitpid(self._pid, 0)


def signal_group(pid: int, signum: signal.Signals) -> None:
    """Signal a process group, if it is still there."""
    with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
        os.killpg(pid, signum)


def _guard(reading: int, after: Mapping[str, Sequence[str]]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        groups: dict[str, int] = {}
        with os.fdopen(reading) as reports:
            for report in reports:
                name, _, pid = report.rstrip("\n").rpartition(" ")
                groups[name] = int(pid)
        _end_in_order(after, {name: pid for name, pid in groups.items() if pid})
        code = 0
    finally:
        os._exit(code)


def _end_in_order(after: Mapping[str, Sequence[str]], left: dict[str, int]) -> None:
    while left:
        needed = {other for name in left for other in after[name]}
        chosen = {name: pid for name, pid in left.items() if name not in needed}
        for patience_seconds in PATIENCE_SECONDS:
            for pid in chosen.values():
                signal_group(pid, signal.SIGINT)
            deadline = time.monotonic() + patience_seconds
            while any(map(_exists, chosen.values())) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
        for name, pid in chosen.items():
            signal_group(pid, signal.SIGKILL)
            del left[name]


def _exists(pid: int) -> bool:
    """Whether a process has not ended. In a container there may be none that collects those that have."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:  # only Linux has /proc
        return sys.platform != "linux"
    except (ProcessLookupError, PermissionError):
        return False
