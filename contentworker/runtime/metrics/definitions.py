"""What is measured of the machinery: the exporter, the page of the docs and the dashboard come from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from contentworker.runtime.dead_letters import REASONS

__all__ = [
    "COUNTED",
    "DEAD_LETTERS",
    "DROPPED",
    "OTHER",
    "PROMOTED",
    "READ",
    "RECLAIMED",
    "STATES",
    "TASKS",
    "TASK_SECONDS",
    "WAITING_SECONDS",
    "Metric",
    "Question",
]

OTHER = "other"
"""Value of a label in the place of all that its metric does not know."""
STATES = ("success", "failure", "retry", "rejected", "ignored", "revoked")

Question = Literal["Is it up?", "How far behind?", "What failed?", "What does it cost?", "What is it doing?"]


@dataclass(frozen=True)
class Metric:
    """One metric, of which the values of each label are bounded."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    answers: Question
    """The operator's question that it belongs to: a row of the dashboard."""
    labels: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    """Name → values. None for `task`, `queue` and `worker`, which the application knows."""
    buckets: tuple[float, ...] = ()


TASKS = Metric(
    "contentworker_tasks_total",
    "counter",
    "Runs of tasks by how they ended; `retry` is one that will be tried again, `rejected` went back to its "
    "queue.",
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
    "From the time a task was sent, or was due where it was sent for later, to its start.",
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
DROPPED = Metric(
    "contentworker_metrics_dropped_total",
    "counter",
    "Measurements that were given up: too many at once, or Redis refused them.",
    "Is it up?",
)
COUNTED = (TASKS, TASK_SECONDS, WAITING_SECONDS, DEAD_LETTERS, RECLAIMED, PROMOTED, DROPPED)
"""Counted by the workers, kept in Redis."""

READ = (
    Metric("contentworker_up", "gauge", "1: Redis answered this scrape; 0: it did not.", "Is it up?"),
    Metric(
        "contentworker_read_seconds",
        "gauge",
        "How long Redis took for what this scrape shows.",
        "Is it up?",
    ),
    Metric(
        "contentworker_queue_workers",
        "gauge",
        "Workers that serve the queue and gave a sign of life in the last 15 s.",
        "Is it up?",
        {"queue": None},
    ),
    Metric(
        "contentworker_worker_last_sign_timestamp_seconds",
        "gauge",
        "When the worker's event loop last gave a sign of life; one that stopped in good order has none.",
        "Is it up?",
        {"worker": None},
    ),
    Metric(
        "contentworker_leases",
        "gauge",
        "Workers with a lease on the messages that they hold.",
        "Is it up?",
    ),
    Metric(
        "contentworker_queue_ready_messages",
        "gauge",
        "Messages that a worker could take.",
        "How far behind?",
        {"queue": None},
    ),
    Metric(
        "contentworker_queue_oldest_message_seconds",
        "gauge",
        "Age of the oldest message at a front of the queue; absent where none says when it was sent.",
        "How far behind?",
        {"queue": None},
    ),
    Metric(
        "contentworker_queue_delayed_messages",
        "gauge",
        "Messages that are not due yet, retries among them.",
        "How far behind?",
        {"queue": None},
    ),
    Metric(
        "contentworker_queue_held_messages",
        "gauge",
        "Messages that workers have taken.",
        "What is it doing?",
        {"queue": None},
    ),
    Metric(
        "contentworker_queue_paused",
        "gauge",
        "1: nothing is taken from the queue, on purpose.",
        "How far behind?",
        {"queue": None},
    ),
    Metric(
        "contentworker_delayed_messages_uncounted",
        "gauge",
        "Delayed messages, the last to be due, that no queue's number has: there are too many to look at.",
        "How far behind?",
    ),
    Metric(
        "contentworker_dead_letters_kept",
        "gauge",
        "Dead letters that wait for a person.",
        "What failed?",
    ),
)
"""Read from Redis at each scrape."""
