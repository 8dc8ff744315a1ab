"""Every task that has failed for good becomes a dead letter before its message is acknowledged.

It is written by the worker's main process, which learns of every failure, also of those that leave a pool
process no time to write anything, and which has the message as it lay in Redis.
"""

import queue
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from celery import Celery
from celery.exceptions import (
    Ignore,
    MaxRetriesExceededError,
    Reject,
    Retry,
    SoftTimeLimitExceeded,
    Terminated,
    TimeLimitExceeded,
    WorkerLostError,
)
from celery.utils.log import get_logger
from celery.utils.serialization import UnpickleableExceptionWrapper
from celery.worker.request import ExceptionWithTraceback, Request
from redis.exceptions import RedisError

from contentworker.runtime import dead_letters, metrics
from contentworker.runtime.metrics.definitions import DEAD_LETTERS
from contentworker.runtime.transport.validity import is_held

__all__ = ["FinalFailures", "keep"]

logger = get_logger(__name__)

TRY_AGAIN_SECONDS = 1.0

_unwritten: "queue.Queue[tuple[Any, ...]]" = queue.Queue()


class FinalFailures(Request):
    """A request that lets go of its message only when its failure, if that is final, is a dead letter.

    Not final: what is retried, ignored, revoked or goes back to its queue, and a process that was lost after
    its task had succeeded. A subclass that has to do something before a message is acknowledged overrides
    `let_go`: `acknowledge` may find that it is not the time yet.
    """

    _failure: Any = None
    _kept: bool | None = None

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Handle a failure as Celery does. A hard time limit comes here as well, before `on_timeout`."""
        acknowledged_early = self.acknowledged
        if self._may_be_final(_exception(exc_info)):
            self._failure = exc_info
        try:
            return super().on_failure(exc_info, send_failed_event, return_ok)
        finally:
            if acknowledged_early:
                self._is_kept()

    def acknowledge(self) -> None:
        """Keep a final failure; only then let go of the message."""
        if self._is_kept():
            self.let_go()

    def let_go(self) -> None:
        """Acknowledge."""
        super().acknowledge()

    def reject(self, requeue: bool = False) -> None:
        """The same for a rejection, which is final unless the message goes back to its queue."""
        if requeue and not self.acknowledged:
            self._failure = None
        if self._is_kept():
            super().reject(requeue)

    def _may_be_final(self, error: BaseException) -> bool:
        if isinstance(error, SystemExit | KeyboardInterrupt):
            return not (self._already_cancelled or self._already_revoked)
        if isinstance(error, Reject):
            return not error.requeue
        return not isinstance(error, Ignore | Retry | Terminated)

    def _worker_lost_info(self, exc: BaseException) -> Any:
        self._failure = super()._worker_lost_info(exc)
        return self._failure

    def _success_was_stored(self) -> Any:
        found = super()._success_was_stored()
        if found:
            self._failure = None
        return found

    def _retry_worker_lost(self, exc: BaseException, exc_info: Any) -> bool:
        failure, self._failure = self._failure, None
        is_sent: bool = super()._retry_worker_lost(exc, exc_info)
        if not is_sent:
            self._failure = failure
        return is_sent

    def _is_kept(self) -> bool:
        """Whether nothing final has happened, or it is a dead letter by now."""
        if self._failure is None:
            return True
        if self._kept is None:
            self._kept = keep(self._app, self._letter(), self._message, self.let_go)
        return self._kept

    def _letter(self) -> dead_letters.DeadLetter:
        error = _exception(self._failure)
        name = _type_name(error)
        return dead_letters.DeadLetter(
            reason=self._reason(error),
            error=f"{name.rpartition('.')[2]}: {_text(error)}",
            exception=name,
            traceback=self._failure.traceback or "",
            task=self._type,
            task_id=self.id,
            worker=self._hostname,
            **dead_letters.parts_of(self._message),
        )

    def _reason(self, error: BaseException) -> dead_letters.Reason:
        own = getattr(error, "dead_letter_reason", None)
        if own in dead_letters.REASONS:
            reason: dead_letters.Reason = own
            return reason
        if isinstance(error, TimeLimitExceeded | SoftTimeLimitExceeded):
            return "time limit"
        if isinstance(error, WorkerLostError):
            return "interrupted" if getattr(self.task, "claimed", False) else "lost process"
        if isinstance(error, MaxRetriesExceededError) or self._is_out_of_retries_for(error):
            return "retries exhausted"
        return "failed"

    def _is_out_of_retries_for(self, error: BaseException) -> bool:
        task = self.task
        never_retried = tuple(getattr(task, "dont_autoretry_for", ()))
        return (
            task.max_retries is not None
            and (self._context.retries or 0) >= task.max_retries
            and isinstance(error, tuple(getattr(task, "autoretry_for", ())))
            and not isinstance(error, never_retried)
        )


def keep(app: Celery, letter: dead_letters.DeadLetter, message: Any, let_go: Callable[[], object]) -> bool:
    """Write a letter; True when it is there, so that its message can be let go of.

    False where Redis is away or full. The message then stays held and unacknowledged: if this worker ends it
    goes back to its queue. The letter is tried again once a second, from a thread, and `let_go` is called
    there as soon as it is written.
    """
    reason: object = "others wait already"
    if not _unwritten.unfinished_tasks:  # else it would only wait for a time-out as well
        try:
            _write(app, letter, message)
        except (RedisError, OSError) as error:
            reason = error
        else:
            return True
    logger.error(
        "The dead letter of %s[%s] cannot be written, so its message stays held: %s",
        *(letter.task or "no task", letter.task_id, reason),
    )
    _unwritten.put((app, letter, message, let_go))
    _start_writer()
    return False


def _write(app: Celery, letter: dead_letters.DeadLetter, message: Any) -> None:
    # The holder's client has short time-outs, repeats nothing by itself, and outlives the message's channel,
    # which a reconnect closes. A message without a holder came by the plain transport: then the result
    # backend's, which speaks to the same Redis. Both may be used by several threads.
    is_leased = getattr(message, "delivery", None) is not None
    client = message.channel.holder.client if is_leased else app.backend.client
    letter_id = dead_letters.add(client, letter, app.runtime_settings.dead_letters)
    metrics.count(DEAD_LETTERS, queue=letter.queue, reason=letter.reason)
    logger.warning(
        "Kept %s[%s] from queue %s as dead letter %s (%s): %s",
        *(letter.task or "no task", letter.task_id, letter.queue, letter_id, letter.reason),
        letter.error.partition("\n")[0],
    )


def _write_later() -> None:
    while True:
        app, letter, message, let_go = _unwritten.get()
        # What is not held any more is another worker's by now, with all that becomes of it.
        while is_held(message.properties):
            try:
                _write(app, letter, message)
            except (RedisError, OSError):
                time.sleep(TRY_AGAIN_SECONDS)
                continue
            try:
                let_go()
            except Exception:  # whatever it is: the other letters have to be written
                logger.exception("%s[%s] is a dead letter, but still held", letter.task, letter.task_id)
            break
        _unwritten.task_done()


@cache
def _start_writer() -> None:
    threading.Thread(target=_write_later, name="dead-letters", daemon=True).start()


def _exception(exc_info: Any) -> BaseException:
    error: BaseException = exc_info.exception
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def _type_name(error: BaseException) -> str:
    if isinstance(error, UnpickleableExceptionWrapper):
        return f"{error.exc_module}.{error.exc_cls_name}"
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an error of the task's own making may fail even at that
        return "its text cannot be read"
