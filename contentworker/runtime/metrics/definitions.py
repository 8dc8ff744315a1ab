"""The metrics of the machinery. The exporter, the table in the docs and the dashboard are made from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from contentworker.runtime.records.dead_letters import REASONS
from contentworker.version import VERSION

__all__ = [
    "BUILD_INFO",
    "COUNTED",
    "DEAD_LETTERS",
    "DROPPED",
    "DUPLICATES",
    "OTHER",
    "PROMOTED",
    "READ",
    "RECLAIMED",
    "STATES",
    "TASKS",
    "TASK_SECONDS",
    "UP",
    "WAITING_SECONDS",
    "Metric",
    "Question",
]

OTHER = "other"
"""Label value for every value that a metric does not know, so that names from messages stay bounded."""
STATES = ("success", "failure", "retry", "rejected", "ignored", "revoked")

Question = Literal["Is it up?", "How far behind?", "What failed?", "What does it cost?", "What is it doing?"]


@dataclass(frozen=True)
class Metric:
    """One metric. The number of values of each label is bounded."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    answers: Question
    """The operator's question that it answers: a row of the dashboard."""
    labels: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    """Values by label name; None where the application knows them: `task`, `queue`, `worker`, `schedule`."""
    buckets: tuple[float, ...] = ()

    @cached_property
    def bounds(self) -> tuple[str, ...]:
        """The buckets as Prometheus names them, and the last one, without a bound."""
        return (*(f"{bound:g}" for bound in self.buckets), "+Inf")


TASKS = Metric(
    "contentworker_tasks_total",
    "counter",
    "Runs of tasks by how they ended; `retry` will be tried again, `rejected` went back to its queue.",
    "What failed?",
    {"task": None, "queue": None, "state": STATES},
)
TASK_SECONDS = Metric(
    "contentworker_task_duration_seconds",
    "histogram",
    "How long runs of tasks took, however they ended.",
    "What is it doing?",
    {"task": None},
    (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300),
)
WAITING_SECONDS = Metric(
    "contentworker_task_waiting_seconds",
    "histogram",
    "Time from sending a task to its start; for a task sent for later, from the time it was due.",
    "How far behind?",
    {"queue": None},
    (0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600),
)
DEAD_LETTERS = Metric(
    "contentworker_dead_letters_total",
    "counter",
    "Messages that became dead letters.",
    "What failed?",
    {"queue": None, "reason": REASONS},
)
RECLAIMED = Metric(
    "contentworker_messages_reclaimed_total",
    "counter",
    "Messages of dead workers that went back to their queues.",
    "What failed?",
)
PROMOTED = Metric(
    "contentworker_messages_promoted_total",
    "counter",
    "Delayed messages that were due and went into their queues.",
    "What is it doing?",
)
DUPLICATES = Metric(
    "contentworker_duplicates_total",
    "counter",
    "Calls of unique tasks that did not run, as one of the same key waited, ran or took their place.",
    "What is it doing?",
    {"task": None},
)
DROPPED = Metric(
    "contentworker_metrics_dropped_total",
    "counter",
    "Measurements that were dropped: too many at once, or Redis refused them.",
    "Is it up?",
)
COUNTED = (TASKS, TASK_SECONDS, WAITING_SECONDS, DEAD_LETTERS, RECLAIMED, PROMOTED, DUPLICATES, DROPPED)
"""Counted by the workers, kept in Redis."""


def _gauge(name: str, help_: str, answers: Question, *labels: str) -> Metric:
    return Metric(f"contentworker_{name}", "gauge", help_, answers, dict.fromkeys(labels))


UP = _gauge("up", "1: Redis answered this scrape; 0: it did not.", "Is it up?")
BUILD_INFO = Metric(
    "contentworker_build_info",
    "gauge",
    "1, with the version of the process that shows the metrics.",
    "Is it up?",
    {"version": (VERSION,)},
)
READ = (
    UP,
    BUILD_INFO,
    _gauge("read_seconds", "How long Redis took to answer this scrape.", "Is it up?"),
    _gauge(
        "queue_workers", "Workers of the queue with a sign of life in the last 15 s.", "Is it up?", "queue"
    ),
    _gauge(
        "worker_last_sign_timestamp_seconds",
        "Time of the last sign of life of the worker's event loop; absent after an orderly stop.",
        "Is it up?",
        "worker",
    ),
    _gauge(
        "queue_slots",
        "Tasks that these workers can run at the same time; a worker of several queues counts in each.",
        "How far behind?",
        "queue",
    ),
    _gauge(
        "queue_busy_slots",
        "Slots of these workers that run a task, of whichever queue. Divided by `queue_slots`: utilisation.",
        "How far behind?",
        "queue",
    ),
    _gauge("leases", "Workers with a lease on the messages that they hold.", "Is it up?"),
    _gauge(
        "queue_ready_messages",
        "Messages that a worker could take, at once or when their limit allows it.",
        "How far behind?",
        "queue",
    ),
    _gauge(
        "queue_oldest_message_seconds",
        "Age of the oldest message at the front of the queue; absent if its sender did not stamp it.",
        "How far behind?",
        "queue",
    ),
    _gauge(
        "queue_delayed_messages", "Messages that are not due yet, with retries.", "How far behind?", "queue"
    ),
    _gauge("queue_held_messages", "Messages that workers have taken.", "What is it doing?", "queue"),
    _gauge(
        "queue_limited_messages",
        "Messages among the ready ones that wait for their limit.",
        "How far behind?",
        "queue",
    ),
    _gauge("limit_places_taken", "Places of a limit that running tasks have.", "What is it doing?", "limit"),
    _gauge("limit_waiting_messages", "Messages that wait for this limit.", "How far behind?", "limit"),
    _gauge("queue_paused", "1: the queue is paused, so no message is taken.", "How far behind?", "queue"),
    _gauge(
        "delayed_messages_uncounted",
        "Delayed messages beyond those looked at, in no queue's number: there are too many.",
        "How far behind?",
    ),
    _gauge(
        "schedule_last_sent_timestamp_seconds",
        "When the task of the schedule was last sent; absent before the first time.",
        "What is it doing?",
        "schedule",
    ),
    _gauge(
        "schedule_paused",
        "1: the schedule is paused, so its moments are skipped.",
        "What is it doing?",
        "schedule",
    ),
    _gauge("dead_letters_kept", "Dead letters that wait for a person.", "What failed?"),
    _gauge("revocations", "Ids of revoked tasks, which no worker starts.", "What is it doing?"),
)
"""Read from Redis at each scrape, but for the version."""
