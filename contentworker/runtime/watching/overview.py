"""Queues, workers and tasks at one moment: the data of the page of `top`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contentworker.printable import one_line
from contentworker.runtime.records.pauses import Pause
from contentworker.runtime.records.queue_state import QueueState, State

__all__ = [
    "Away",
    "Failure",
    "Overview",
    "QueueLine",
    "Rates",
    "Running",
    "WorkerState",
    "age_text",
    "pause_text",
    "queue_lines",
]

QUIET_SECONDS = 15.0
"""Time without a sign of life after which a worker is silent: three signs are missing."""


@dataclass(frozen=True)
class Away:
    """Redis cannot be read: since when, and why."""

    since: datetime
    reason: str


@dataclass(frozen=True)
class WorkerState:
    """A worker that gave a sign of life, or answered."""

    name: str
    queues: tuple[str, ...] | None
    """None: it gives no signs, because its metrics are off; it has answered."""
    sign_age_seconds: float | None
    running: int | None
    """Tasks that it runs; None: it did not answer the last question."""
    slots: int = 0
    """Tasks that it can run at the same time; 0: not known."""

    @property
    def is_silent(self) -> bool:
        """Neither a sign nor an answer: it hangs, was killed, or is a `solo` worker that runs a task."""
        return self.running is None and (self.sign_age_seconds or 0) > QUIET_SECONDS


@dataclass(frozen=True)
class Running:
    """A running task."""

    task: str
    task_id: str
    queue: str
    worker: str
    seconds: float
    """How long it had run when its worker was asked; by the clocks of the worker and of this machine."""


@dataclass(frozen=True)
class Rates:
    """Runs of tasks that ended, per second, as workers count them."""

    done: float
    failed: float
    retried: float
    seconds: float
    """Length of time that they are measured over."""
    duplicates: float = 0.0
    """Calls of unique tasks that did not run."""


@dataclass(frozen=True)
class Failure:
    """A dead letter."""

    arrived: datetime
    task: str
    queue: str
    reason: str


@dataclass(frozen=True)
class Overview:
    """Everything that is known at one moment."""

    at: datetime
    transport: Literal["leased", "plain"]
    is_measured: bool
    """Whether the settings have workers give signs and count."""
    away: Away | None
    state: State | None
    """None: Redis has not been read yet."""
    workers: tuple[WorkerState, ...]
    running: tuple[Running, ...] | None
    """The longest first; None: no worker has been asked yet."""
    asked_seconds: float | None
    """Age of that answer."""
    rates: Rates | None
    failures: tuple[Failure, ...]
    """Newest dead letters, the newest first."""
    paused_schedules: Mapping[str, Pause | None]
    """Schedules whose moments are skipped; None: it is not known who paused it."""
    spent_today: float
    cap_per_day: float


@dataclass(frozen=True)
class QueueLine:
    """A queue, and who serves it."""

    queue: QueueState
    workers: int
    """Workers that serve it and are not silent."""
    all_known: bool
    """Whether every worker says which queues it serves."""

    @property
    def is_unserved(self) -> bool:
        """Whether it is certain that no worker serves it."""
        return self.all_known and not self.workers

    @property
    def needs_care(self) -> bool:
        """Whether nothing takes its messages."""
        return self.queue.is_paused or self.is_unserved

    @property
    def business(self) -> tuple[int, int, bool]:
        """To sort by: the busiest has the greatest."""
        return self.queue.ready + self.queue.held, self.queue.delayed, self.needs_care


def queue_lines(overview: Overview) -> list[QueueLine]:
    """The queues, the busiest first; equal ones stay as in worker.toml."""
    served = Counter(
        queue for worker in overview.workers if not worker.is_silent for queue in worker.queues or ()
    )
    all_known = overview.is_measured and all(worker.queues is not None for worker in overview.workers)
    queues = overview.state.queues if overview.state else ()
    lines = [QueueLine(queue, served[queue.queue], all_known) for queue in queues]
    return sorted(lines, key=lambda line: line.business, reverse=True)


def age_text(seconds: float | None) -> str:
    """A time span for people: `90 s`, `12 min`, `3 d`; nothing for None."""
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def pause_text(pause: Pause | None) -> str:
    """A pause for people: `paused by ana, 01 Dec 12:31`."""
    return f"paused by {one_line(pause.by)}, {pause.since:%d %b %H:%M}" if pause else "paused"
