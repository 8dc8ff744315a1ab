"""The three kinds of task. Choose one with `@shared_task(base=…)`."""

from contentworker import config
from contentworker.runtime.arguments import TypedTask
from contentworker.runtime.claims import ClaimingTask
from contentworker.runtime.retry import RetryingTask

__all__ = ["BaseTask", "CriticalTask", "IdempotentTask"]

_retries = config.load().retries


class BaseTask(TypedTask, RetryingTask):
    """The default: tried again at most `retries.base_max_retries` times (3).

    Delivered at least once: when its worker dies the task runs again, so its effect must bear repeating.
    """

    abstract = True
    retry_policy = _retries
    max_retries = _retries.base_max_retries


class IdempotentTask(BaseTask):
    """Twice is the same as once: tried again at most `retries.idempotent_max_retries` times (5)."""

    abstract = True
    max_retries = _retries.idempotent_max_retries


class CriticalTask(ClaimingTask, BaseTask):
    """Must not run twice by itself, as a repeat costs money: no error and no lost process repeats it.

    Each run claims its message first. A run that is cut off, by the death of its pool process or of the whole
    worker, is a visible FAILURE and a dead letter; a second delivery is dropped.
    """

    abstract = True
    max_retries = _retries.critical_max_retries
    autoretry_for = ()
    # Without leases a claim could not tell a dead worker from a slow one; then it is acknowledged early.
    acks_late = config.load().broker.transport == "leased"
    retry_on_worker_lost = False
    reject_on_worker_lost = False
