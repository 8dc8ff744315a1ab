"""The three kinds of task: choose one with `@shared_task(base=…)`. Beside them, what several tasks share."""

from collections.abc import Callable
from typing import Annotated, Any

from celery import Task
from celery.signals import worker_init
from pydantic import Field, StrictStr

from contentworker import config
from contentworker.errors import ConfigError
from contentworker.runtime.worker.arguments import TypedTask
from contentworker.runtime.worker.claims import ClaimingTask
from contentworker.runtime.worker.retry import RetryingTask
from contentworker.runtime.worker.routing import queue_of
from contentworker.runtime.worker.unique import UniqueTask

__all__ = ["BaseTask", "CriticalTask", "IdempotentTask", "Question", "at_start"]

Question = Annotated[StrictStr, Field(min_length=1)]

_retries = config.load().retries


class BaseTask(UniqueTask, TypedTask, RetryingTask):
    """The default: retried at most `retries.base_max_retries` times (3).

    Delivered at least once: if its worker dies the task runs again, so its effect must bear repeating.
    """

    abstract = True
    retry_policy = _retries
    max_retries = _retries.base_max_retries


class IdempotentTask(BaseTask):
    """Twice has the effect of once: retried at most `retries.idempotent_max_retries` times (5)."""

    abstract = True
    max_retries = _retries.idempotent_max_retries


class CriticalTask(ClaimingTask, BaseTask):
    """A repeat costs money: no error and no lost process repeats it.

    Each run claims its message first. A run that is cut off, by the death of its pool process or of the whole
    worker, is a visible FAILURE and a dead letter; a second delivery is dropped.
    """

    abstract = True
    max_retries = _retries.critical_max_retries
    autoretry_for = ()
    # Without leases a claim could not tell a dead worker from a slow one, so the plain transport
    # acknowledges early.
    acks_late = config.load().broker.transport == "leased"
    retry_on_worker_lost = False
    reject_on_worker_lost = False


def at_start(task: Task, prepare: Callable[[Any], None]) -> None:
    """Call `prepare` with the application before the pool forks, in a worker that serves the task's queue.

    A `ConfigError` that it raises stops the worker.
    """

    def prepare_worker(sender: Any, **_: Any) -> None:
        if queue_of(task.name, config.load()) not in sender.app.amqp.queues.consume_from:
            return
        try:
            prepare(sender.app)
        except ConfigError as error:
            # Celery logs any other exception of a signal's receiver and starts the worker anyway.
            raise SystemExit(f"Configuration error\n{error}") from None

    worker_init.connect(prepare_worker, weak=False)
