"""What the tasks write down, and how it is read. Only the standard library: any worker can import it.

One line an event, appended in one write, to a file that no fault touches:

    start EXECUTION TASK PID PARENT SECONDS
    beat|done|failed EXECUTION SECONDS

The beats, one each 50 ms of work, tell work from a process that was frozen, and say when a killed one died.
Times are of the monotonic clock, which all processes of a Linux machine share and no wall clock's step moves.
"""

import os
import threading
import time
import uuid
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

__all__ = ["EVERY_SECONDS", "MOMENT", "Execution", "Journal", "perform"]

BEAT_SECONDS = 0.05
EVERY_SECONDS = 5.0
"""Between two moments of the schedule of a run."""
MOMENT = "moment/"
"""Begins the name of an execution that a schedule sent; then come when it was sent, and its task's id."""
FROZEN_SECONDS = 2.0
"""A longer pause between beats is not work: the process was stopped, or the machine badly overloaded."""


class FailedOnPurposeError(Exception):
    """A task that was asked to fail; its retry succeeds."""


@cache
def _descriptor(path: str, _pid: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def perform(path: str, task: str, seconds: float, *, fail: bool) -> None:
    """Work this long, recording it. Time in which the process is stopped is not work."""
    descriptor = _descriptor(path, os.getpid())
    execution = uuid.uuid4().hex[:12]

    def note(*parts: object) -> None:
        os.write(descriptor, (" ".join(map(str, parts)) + f" {time.monotonic():.4f}\n").encode())

    note("start", execution, task, os.getpid(), os.getppid())
    steps = max(1, round(seconds / BEAT_SECONDS))
    for _ in range(steps):
        time.sleep(seconds / steps)
        note("beat", execution)
    note("failed" if fail else "done", execution)
    if fail:
        raise FailedOnPurposeError


@dataclass
class Execution:
    """One run of one task."""

    task: str
    pid: int
    parent: int
    times: list[float] = field(default_factory=list)
    """When it showed that it worked, its start first."""
    outcome: str = ""
    """`done`, `failed` (on purpose), or empty: cut off, or still going."""

    def spells(self) -> list[tuple[float, float]]:
        """The spans of time in which it certainly worked."""
        spans = [[self.times[0], self.times[0]]]
        for time_ in self.times[1:]:
            if time_ - spans[-1][1] > FROZEN_SECONDS:
                spans.append([time_, time_])
            spans[-1][1] = time_
        return [(first, last) for first, last in spans]


class Journal:
    """All executions so far; `refresh()` reads what was added. Any thread may ask."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.executions: dict[str, Execution] = {}
        self.finished: set[str] = set()
        """Tasks that came to their end."""
        self.done = 0
        """Executions that did."""
        self._open: dict[str, Execution] = {}
        self._position = 0
        self._lock = threading.Lock()

    def refresh(self) -> "Journal":
        with self._lock:
            if self.path.exists():
                with self.path.open("rb") as file:
                    file.seek(self._position)
                    for line in file:
                        if not line.endswith(b"\n"):
                            break
                        self._position += len(line)
                        self._read(line.decode().split())
        return self

    def running(self) -> list[Execution]:
        """Executions without an end that worked lately."""
        now = time.monotonic()
        with self._lock:
            return [each for each in self._open.values() if now - each.times[-1] < 4 * BEAT_SECONDS]

    def _read(self, parts: list[str]) -> None:
        event, execution = parts[:2]
        if event == "start":
            task, pid, parent = parts[2:5]
            started = Execution(task, int(pid), int(parent), [float(parts[5])])
            self.executions[execution] = self._open[execution] = started
            return
        found = self.executions[execution]
        found.times.append(float(parts[2]))
        if event != "beat":
            found.outcome = event
            del self._open[execution]
            if event == "done":
                self.done += 1
                self.finished.add(found.task)
