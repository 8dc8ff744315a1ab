"""What is known at one moment of queues, workers and tasks: what the page of `top` is drawn from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contentworker.runtime.queue_state import State

__all__ = ["Away", "Failure", "Overview", "Rates", "Running", "WorkerState"]

QUIET_SECONDS = 15.0
"""Without a sign for so long a worker is silent: three that it gives have not come."""


@dataclass(frozen=True)
class Away:
    """Redis cannot be read."""

    since: datetime
    reason: str


@dataclass(frozen=True)
class WorkerState:
    """A worker that has given a sign, or answered."""

    name: str
    queues: tuple[str, ...] | None
    """None: it gives no signs, since metrics are off there; it answered all the same."""
    sign_age_seconds: float | None
    running: int | None
    """None: it has not answered when last asked."""

    @property
    def is_silent(self) -> bool:
        """Neither a sign nor an answer: hung, killed, or its pool is `solo` and has a task."""
        return self.running is None and (self.sign_age_seconds or 0) > QUIET_SECONDS


@dataclass(frozen=True)
class Running:
    """A task that runs."""

    task: str
    task_id: str
    queue: str
    worker: str
    seconds: float
    """When its worker was asked; by its clock and by this one."""


@dataclass(frozen=True)
class Rates:
    """Runs of tasks that ended, a second, as workers count them."""

    done: float
    failed: float
    retried: float
    seconds: float
    """Over how long."""


@dataclass(frozen=True)
class Failure:
    """A dead letter."""

    arrived: datetime
    task: str
    queue: str
    reason: str


@dataclass(frozen=True)
class Overview:
    """What is known at one moment."""

    at: datetime
    transport: Literal["leased", "plain"]
    is_measured: bool
    """Whether workers are to give signs, and count."""
    away: Away | None
    state: State | None
    """None: Redis was not read yet."""
    workers: tuple[WorkerState, ...]
    running: tuple[Running, ...] | None
    """The longest first; None: nobody was asked yet."""
    asked_seconds: float | None
    """How old that answer is."""
    rates: Rates | None
    failures: tuple[Failure, ...]
    """The newest dead letters, newest first."""
    spent_today: float
    cap_per_day: float
