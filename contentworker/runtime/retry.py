"""When a failed task is tried again: one policy for raised errors, `self.retry()` and lost processes."""

import random
from typing import Any

from celery.exceptions import Reject, SoftTimeLimitExceeded
from pydantic import ValidationError

from contentworker.errors import PermanentError
from contentworker.runtime.final_failures import FinalFailures
from contentworker.runtime.leases import HeldRequest, HeldTask
from contentworker.runtime.metrics.requests import CountedRequest
from contentworker.runtime.settings import RetrySettings
from contentworker.runtime.transport.protocol import REPLACES

__all__ = ["RetryingRequest", "RetryingTask", "retry_delay_seconds"]


def retry_delay_seconds(policy: RetrySettings, retries: int) -> float:
    """Seconds to wait before retry number `retries` (0 for the first).

    min(max_delay, initial_delay * multiplier ** retries) + uniform(0, jitter). Celery's own `retry_jitter`
    is no substitute: it draws from zero up to the delay, so that a "60 s" delay averages 30 s.
    """
    try:
        delay = policy.initial_delay_seconds * policy.multiplier**retries
    except OverflowError:
        delay = policy.max_delay_seconds
    return min(policy.max_delay_seconds, delay) + random.uniform(0, policy.jitter_seconds)


class RetryingRequest(HeldRequest, FinalFailures, CountedRequest):
    """Lets the task see which request failed while Celery handles the failure.

    A child that dies cannot retry its task; the main process does, outside any task's context, and asks
    the task for `default_retry_delay`. That depends on how often this request has been tried.
    """

    _is_replaced = False

    def on_retry(self, exc_info: Any) -> None:
        """Handle a retry that the task has sent."""
        self._is_replaced = True
        super().on_retry(exc_info)

    def _retry_worker_lost(self, exc: BaseException, exc_info: Any) -> bool:
        self._is_replaced = True
        self._is_replaced = super()._retry_worker_lost(exc, exc_info)
        return self._is_replaced

    def let_go(self) -> None:
        """Acknowledge, unless the retry has taken this message's place (see `signature_from_request`)."""
        delivery = getattr(self._message, "delivery", None)
        if self._is_replaced and delivery is not None:
            self._message.channel.holder.acknowledge_replaced(delivery)
        super().let_go()

    def on_failure(self, exc_info: object, send_failed_event: bool = True, return_ok: bool = False) -> object:
        self.task.request_stack.push(self._context)
        try:
            return super().on_failure(exc_info, send_failed_event, return_ok)
        finally:
            self.task.request_stack.pop()


class RetryingTask(HeldTask):
    """A task that is retried by the policy in `retry_policy`, at most `max_retries` times.

    Never retried, since it cannot help: an error that says so (`PermanentError`), data of the wrong shape
    (pydantic's `ValidationError`), a `Reject`, and a soft time limit.
    """

    abstract = True
    Request = RetryingRequest

    retry_policy: RetrySettings
    autoretry_for: tuple[type[Exception], ...] = (Exception,)
    dont_autoretry_for = (PermanentError, ValidationError, Reject, SoftTimeLimitExceeded)
    # Expected: logged in a line, without a traceback.
    throws = (PermanentError,)
    # Off, so that every retry asks for default_retry_delay, below.
    retry_backoff = False

    acks_late = True
    retry_on_worker_lost = True
    # Only where the retry could not even be sent: then the message goes back to its queue.
    reject_on_worker_lost = True

    def retry(self, *args: Any, **kwargs: Any) -> Any:
        """Send the task again as Celery does; where that fails, the message goes back to its queue."""
        try:
            return super().retry(*args, **kwargs)
        except Reject as rejected:
            # Celery gives it up here, which would lose the task for an outage of Redis.
            raise Reject(rejected.reason, requeue=True) from rejected

    def signature_from_request(self, request: Any = None, *args: Any, **options: Any) -> Any:
        """What a retry sends. In Redis it takes the place of the message that failed, in one step.

        So there are never both, nor neither, whenever the worker dies; and a retry whose sending was delayed
        until another worker has the message is none.
        """
        request = self.request if request is None else request
        if held := (request.properties or {}).get("held"):
            options[REPLACES] = held[2:]
        return super().signature_from_request(request, *args, **options)

    @property
    def default_retry_delay(self) -> float:
        """Seconds before the next retry of the current request; `retry(countdown=…)` overrides it."""
        return retry_delay_seconds(self.retry_policy, self.request.retries)
