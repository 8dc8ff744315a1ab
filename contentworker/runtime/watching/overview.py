"""Queues, workers and tasks at one moment: the data of the page of `top`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contentworker.runtime.records.queue_state import State

__all__ = ["Away", "Failure", "Overview", "Rates", "Running", "WorkerState"]

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
    spent_today: float
    cap_per_day: float
