"""Retries: one policy for raised errors, `self.retry()` and lost processes."""

import random
import time
from typing import Any

from celery import Task
from celery.exceptions import Reject, Retry, SoftTimeLimitExceeded
from kombu.exceptions import OperationalError
from pydantic import ValidationError
from redis.exceptions import RedisError

from contentworker.errors import PermanentError
from contentworker.runtime.settings import RetrySettings
from contentworker.runtime.transport.protocol import REPLACES, Replaced
from contentworker.runtime.transport.validity import is_held
from contentworker.runtime.worker.request import ReplacingRetry, TaskRequest, is_replaced

__all__ = ["RetryingTask", "retry_delay_seconds"]


def retry_delay_seconds(policy: RetrySettings, retries: int) -> float:
    """Seconds before the next retry of a task that has been retried `retries` times.

    min(max_delay, initial_delay * multiplier ** retries) + uniform(0, jitter). Celery's `retry_jitter` draws
    from zero up to the delay instead, so that a "60 s" delay averages 30 s.
    """
    try:
        delay = policy.initial_delay_seconds * policy.multiplier**retries
    except OverflowError:
        delay = policy.max_delay_seconds
    return min(policy.max_delay_seconds, delay) + random.uniform(0, policy.jitter_seconds)  # noqa: S311 (spreads retries, keeps no secret)


class RetryingTask(Task):
    """A task that is retried as `retry_policy` says, at most `max_retries` times.

    There is no retry where it cannot help: after a `PermanentError`, data of the wrong shape (pydantic's
    `ValidationError`), a `Reject`, or a soft time limit.
    """

    abstract = True
    Request = TaskRequest
    claimed = False
    """Whether each run claims its message first (`claims.py`)."""

    retry_policy: RetrySettings
    autoretry_for: tuple[type[Exception], ...] = (Exception,)
    dont_autoretry_for = (PermanentError, ValidationError, Reject, SoftTimeLimitExceeded)
    # Expected errors: logged in one line, without a traceback.
    throws = (PermanentError,)
    # Off, so that every retry uses default_retry_delay, below.
    retry_backoff = False

    acks_late = True
    retry_on_worker_lost = True
    # Only if the retry could not be sent: then the message goes back to its queue.
    reject_on_worker_lost = True
    # Celery shows the beginning of a result in logs and events, and a result may be an article.
    resultrepr_maxsize = 0

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Check in the pool process that the lease still holds: it may have ended meanwhile.

        Raises:
            Reject: the lease has ended. If this process is wrong, the message goes back to its queue.
        """
        if not is_held(getattr(self.request, "properties", None) or {}):
            raise Reject("its lease is over", requeue=True)
        self.request.begun = time.monotonic()  # for the log line of a failure: Celery times only successes
        super().before_start(task_id, args, kwargs)

    def retry(self, *args: Any, **kwargs: Any) -> Any:
        """Send the task again as Celery does; if Redis is away, the message goes back to its queue."""
        try:
            return self._marked(super().retry(*args, **kwargs))  # with `throw=False`
        except Retry as retry:
            self._marked(retry)
            raise
        except Reject as rejected:
            # Celery rejects a message whose retry cannot be sent, so an outage of Redis would lose the task.
            # If a retry can never be sent because of its content, it stays rejected: it would run for ever.
            if isinstance(rejected.reason, OperationalError | RedisError | OSError):
                raise Reject(rejected.reason, requeue=True) from rejected
            raise

    def _marked(self, retry: Any) -> Any:
        if is_replaced(self.request):
            retry.__class__ = ReplacingRetry
        return retry

    def signature_from_request(self, request: Any = None, *args: Any, **options: Any) -> Any:
        """The signature of a retry, which replaces the failed message in Redis in one step.

        Whenever the worker dies, exactly one of the two is in Redis. If another worker has the message by
        then, the retry is dropped.
        """
        request = self.request if request is None else request
        if held := (request.properties or {}).get("held"):
            request.replaced = options[REPLACES] = Replaced(*held[2:])
        return super().signature_from_request(request, *args, **options)

    @property
    def default_retry_delay(self) -> float:
        """Seconds before the next retry of the current request; `retry(countdown=…)` overrides them."""
        development = getattr(self.app, "development", None)
        policy = development.retry_policy if development else self.retry_policy
        return retry_delay_seconds(policy, self.request.retries)
