"""The beats of a run: two, so that one can be killed at any time."""

import math
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

from benchmarks.chaos.faults import Fault
from benchmarks.chaos.processes import ROOT, Worker, Workers

__all__ = ["Beats"]

PAUSE_SECONDS = 8
"""Between two kills. A beat is back in less, so that there is always one."""
REACHABLE = ("none", "kill", "freeze", "crash", "warm", "soft", "cold")
"""How the names of faults begin that leave the broker to the beats."""


class Beats:
    """Any number of beats. One that dies is started again at once."""

    def __init__(
        self, command: Sequence[str], folder: Path, env: Mapping[str, str], number: int, fault: Fault
    ) -> None:
        each = [Worker(f"beat{index}", command, folder, env, ROOT) for index in range(number)]
        self._group = Workers(each, " Starting...")
        self.outage_seconds = None if not number else 0.0 if fault.name.startswith(REACHABLE) else math.inf
        """How long the fault may keep them from sending; None if there are none."""

    def start(self) -> None:
        """Start them, and wait for that."""
        self._group.start()

    def stop(self) -> None:
        """Kill them."""
        self._group.stop()

    @contextmanager
    def killed_in_turn(self, fault: Fault) -> Iterator[None]:
        """Kill one after the other with `kill -9` while a fault kills workers."""
        done = threading.Event()

        def kill() -> None:
            for each in cycle(self._group.all):
                if done.wait(PAUSE_SECONDS):
                    return
                each.signal(signal.SIGKILL)

        if not self._group.all or not fault.name.startswith("kill"):
            yield
            return
        thread = threading.Thread(target=kill)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
