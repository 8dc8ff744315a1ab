"""The request class of every task: what the worker's main process does with one message.

The life of a failing task, step by step. Step 3 runs in the pool process. All other steps run in the worker's
main process, which also learns of failures that leave a pool process no time to act.

1. `consumer.py` takes a message by lease and makes a `TaskRequest` of it. The message stays held: it is not
   acknowledged until step 7.
2. `execute_using_pool` hands it to the pool. If the lease has ended, another worker has the message, and this
   one drops it. If it cannot be handed over (its arguments cannot be pickled), it fails: go to step 5.
3. The task runs (`retry.py`); for a `CriticalTask`, `claims.py` claims the run first. The task raises. If the
   error is worth another try, a retry replaces the failed message in Redis, in one step, and the run ends as
   `Retry`. Any other error ends the task.
4. `on_failure` gets the error, or `on_timeout` the time limit. If the lease has ended meanwhile, the outcome
   belongs to another worker: no retry, no result, no dead letter. If the pool process died,
   `_retry_worker_lost` sends the retry that the process could not send.
5. If the failure is final, it is remembered (`_failure`). These are not final: a retry, `Ignore`, a revoked
   task, a `Reject` that goes back to its queue, a process that died after its task's success was stored.
6. `acknowledge` (or `reject`) first writes the dead letter (`final_failures.py`). If Redis is unreachable or
   full, the message stays held; a thread writes the letter later and then acknowledges.
7. `acknowledge_now` marks the claim as done, then acknowledges the message. If the retry of step 3 replaced
   the message, nothing is left in Redis: it is only forgotten here.
8. The end is counted, once.

If a step raises, the worker goes on: `_settles` turns the error into a final failure (step 5); `_goes_on`
logs it if the task still runs. Otherwise Celery's event loop would end the worker, or the message would stay
held for as long as the worker lives.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any

from celery.exceptions import Ignore, Reject, Retry, TaskRevokedError, Terminated, TimeLimitExceeded
from celery.utils.log import get_logger
from celery.worker import state as work
from celery.worker.request import ExceptionInfo, Request
from celery.worker.state import task_ready
from redis.exceptions import RedisError

from contentworker.runtime.logs import context as log_context
from contentworker.runtime.logs.context import NOT_SHOWN
from contentworker.runtime.metrics import count, observe
from contentworker.runtime.metrics.definitions import DUPLICATES, TASK_SECONDS, TASKS, WAITING_SECONDS
from contentworker.runtime.records import revocations
from contentworker.runtime.records.dead_letters import PRIORITY_MARK, DeadLetter
from contentworker.runtime.records.queue_state import since
from contentworker.runtime.transport import uniqueness
from contentworker.runtime.transport.protocol import Replaced
from contentworker.runtime.transport.validity import is_held
from contentworker.runtime.worker import final_failures

__all__ = ["ReplacingRetry", "TaskRequest", "is_replaced"]

logger = get_logger(__name__)

Handler = Callable[..., Any]


class ReplacingRetry(Retry):
    """A retry whose message has taken the place of the failed one in Redis."""


def is_replaced(request: Any) -> bool:
    """Whether this process has sent a retry in the place of a request's message."""
    replaced = getattr(request, "replaced", None)
    return isinstance(replaced, Replaced) and replaced.is_sent


def _settles(handle: Handler) -> Handler:
    """Wrap a handler that decides about the message: if it raises, the task has finally failed."""

    @wraps(handle)
    def guarded(self: "TaskRequest", *arguments: Any, **options: Any) -> Any:
        try:
            return handle(self, *arguments, **options)
        except TaskRevokedError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, the task has failed)
            self.fail(error)

    return guarded


def _goes_on(handle: Handler) -> Handler:
    """Wrap a handler that runs while the task runs: log its errors. billiard would end the worker."""

    @wraps(handle)
    def guarded(self: "TaskRequest", *arguments: Any, **options: Any) -> Any:
        try:
            return handle(self, *arguments, **options)
        except Exception:
            logger.exception("%s of %s[%s] failed; the task goes on", handle.__name__, self._type, self.id)

    return guarded


class TaskRequest(Request):
    """One message of a task in this worker; the module's docstring lists the steps in their order."""

    _failure: Any = None
    """Exception info of a final failure, while there is one."""
    _is_letter_written: bool | None = None
    _is_retried = False
    """Whether the pool process has sent a retry in the message's place."""
    _is_lost_without_retry = False
    _is_duplicate = False
    _is_revoked = False
    """Whether it ends without a run: it was revoked, or has expired."""
    _outcome = ""
    """The state to count, if the error alone does not show it."""
    _run_seconds: float | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Wrap the two methods that Celery's `create_request_cls` writes into a class for each task.

        They call nothing of their base class, so overriding them here would have no effect.
        """
        super().__init_subclass__(**options)
        if "execute_using_pool" in vars(cls):
            own: Any = cls
            own.execute_using_pool = _started_by(cls.execute_using_pool)
            own.on_success = _ended_by(cls.on_success)

    def info(self, safe: bool = False) -> dict[str, Any]:
        """What `inspect` shows: everything but the arguments, which may be private texts."""
        return {**super().info(safe=safe), "args": NOT_SHOWN, "kwargs": NOT_SHOWN}

    # Step 2: to the pool.

    def start(self) -> None:
        """Check, before the task goes to the pool, that the message is still this worker's.

        Raises:
            TaskRevokedError: another worker may have it by now.
        """
        if not self.is_held:
            task_ready(self)
            raise TaskRevokedError(self.id)
        if getattr(self._message, "deliveries", 0):
            self._holder.note_start(self._delivery)
        if self._delivery is not None and self._message.channel.closed:
            self._look_up_revocation()
        if (claim := self._claim) is not None and claim.kept == "queued":
            self._begin(claim)

    def _look_up_revocation(self) -> None:
        """Look up whether the task was revoked while this worker had no connection and could not be told."""
        lifetime_seconds = self._app.runtime_settings.retention.revocations_seconds
        with self._going_back():
            if revocations.is_revoked(self._holder.client, self.id, lifetime_seconds):
                work.revoked.add(self.id)  # Celery does the rest

    @contextmanager
    def _going_back(self) -> Iterator[None]:
        """If Redis fails in this block, the message goes back to its queue."""
        try:
            yield
        except RedisError as error:
            logger.warning("%s[%s] goes back to its queue: %s", self._type, self.id, error)
            task_ready(self)
            self.reject(requeue=True)
            raise TaskRevokedError(self.id) from error

    def _begin(self, claim: uniqueness.Claim) -> None:
        """Release the lock of a unique task that blocks others until it starts."""
        with self._going_back():
            is_newest = uniqueness.begin(self._holder.client, claim)
        if not is_newest:
            logger.info("%s[%s] was replaced before it started", self._type, self.id)
            count(DUPLICATES, task=self._type)
            task_ready(self)
            self.acknowledge()
            raise TaskRevokedError(self.id)

    def end_as_duplicate(self, owner: str) -> None:
        """End without running, as a revoked task does: the task with the id `owner` waits or runs."""
        self._is_duplicate = True
        self._announce_revoked(f"duplicate of {owner}", False, None, False)  # noqa: FBT003 (Celery's own)

    @_goes_on
    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Observe how long the message waited, now that the task starts."""
        super().on_accepted(pid, time_accepted)
        # The transport's headers hide the ETA from `get`, so that Celery does not wait for it again.
        began = since(self._request_dict.get("sent_at"), dict.get(self._request_dict, "eta"))
        if began is not None:
            observe(WAITING_SECONDS, self.time_start - began.timestamp(), queue=self._queue)

    # Step 4: the failure arrives.

    @_settles
    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Handle any end but success, as Celery does, unless another worker has the message now.

        For a hard time limit billiard calls this first, and `on_timeout` after it.
        """
        if not self.is_held:
            task_ready(self)
            return None
        error, acknowledged_early = final_failures.exception(exc_info), self.acknowledged
        if isinstance(error, TimeLimitExceeded) and self._claim is not None and self._claim.kept != "queued":
            # billiard kills the process only after this, but once the lock is free another task may run.
            with suppress(ProcessLookupError):
                os.kill(self.worker_pid, signal.SIGKILL)
        # `default_retry_delay` asks which request failed; in the main process, no running task can tell.
        self.task.request_stack.push(self._context)
        try:
            with log_context.handling(self._request_dict, self.delivery_info):
                if self._may_be_final(error):
                    self._failure = exc_info
                if isinstance(error, Reject) and error.requeue and self.task.claimed and self._delivery:
                    self.task.give_up_claim(self._holder, self._delivery, self._context)
                try:
                    return super().on_failure(exc_info, send_failed_event, return_ok)
                finally:
                    self._count(self._outcome or _state_of(error))
                    if acknowledged_early:
                        self._is_kept()
        finally:
            self.task.request_stack.pop()

    @_goes_on
    def on_timeout(self, soft: bool, timeout: float) -> Any:
        """Handle a time limit as Celery does, unless another worker has the message now."""
        if self.is_held:
            with log_context.handling(self._request_dict, self.delivery_info):
                return super().on_timeout(soft, timeout)
        task_ready(self)
        return None

    def on_retry(self, exc_info: Any) -> None:
        """Note whether the task's retry replaced this message, then handle it as Celery does."""
        self._is_retried = isinstance(final_failures.exception(exc_info), ReplacingRetry)
        super().on_retry(exc_info)

    def _retry_worker_lost(self, exc: BaseException, exc_info: Any) -> bool:
        failure, self._failure = self._failure, None
        is_sent: bool = super()._retry_worker_lost(exc, exc_info)
        self._is_lost_without_retry = not is_sent
        if is_sent:
            self._outcome = "retry"
        else:
            self._failure = failure
        return is_sent

    # Step 5: is it final?

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
        meta = super()._success_was_stored()
        if meta:
            self._failure, self._outcome = None, "success"
        return meta

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        self._is_revoked = True  # Celery acknowledges before it returns
        super()._announce_revoked(reason, terminated, signum, expired)
        if not self._is_duplicate:
            self._count("revoked")

    def fail(self, error: Exception) -> None:
        """Make `error`, which occurred while this process handled the message, final. Never raises."""
        logger.error("%s[%s] cannot be handled: %r", self._type, self.id, error, exc_info=error)
        if self.acknowledged:
            return
        try:
            if self._failure is None:
                self._failure = ExceptionInfo()  # of the error that the caller handles
            self.acknowledge()
        except Exception:
            logger.exception("The message of %s[%s] stays held until this worker ends", self._type, self.id)

    # Steps 6 and 7: the letter, then the message.

    def acknowledge(self) -> None:
        """Acknowledge; after a final failure, only once the dead letter is written."""
        if self._is_kept():
            self.acknowledge_now()

    def reject(self, requeue: bool = False) -> None:
        """Reject; after a final failure, only once the dead letter is written.

        If the pool process died and the retry could not be sent, the message goes back with one more death.
        """
        if requeue and not self.acknowledged:
            self._failure = None
        if requeue and self._is_lost_without_retry and self._delivery is not None:
            self._holder.give_back(self._delivery, front=False, counted=True)
        if not self._is_kept():
            return
        if requeue:
            self._outcome = "rejected"
        else:
            self._let_go()
        super().reject(requeue)

    def acknowledge_now(self) -> None:
        """End the claim, then acknowledge. If the message comes again in between, it counts as done.

        If a retry has replaced the message, just forget it.
        """
        if self._delivery is not None and not self.acknowledged:
            if self._is_retried or is_replaced(self._context):
                self._holder.forget(self._delivery)
            else:
                if self.task.claimed:
                    self.task.end_claim(self._holder, self._delivery, self._context)
                self._let_go()
        super().acknowledge()

    def _let_go(self) -> None:
        """Release the lock of a unique task that has ended, before its message is gone: so none stays.

        Release it even if it was released when the task began: a failover may have lost that, and other calls
        would be duplicates for a day. After a lock or a dead letter, also acknowledge the message, over the
        same connection: otherwise a failover could lose what was written, but not the acknowledgement.
        """
        claim, delivery = self._claim, self._delivery
        if delivery is None or self.acknowledged:
            return
        may_go = claim is not None and (claim.kept != "ttl" or self._is_revoked)
        if may_go:
            self._holder.do(uniqueness.release, self._holder.client, claim, delivery.holder, delivery.tag)
        if may_go or self._failure is not None:
            self._holder.acknowledge_in_order(delivery)

    def _is_kept(self) -> bool:
        """Whether there is no final failure, or its dead letter is written."""
        if self._failure is None:
            return True
        if self._is_letter_written is None:
            self._is_letter_written = self.keep_letter(final_failures.letter_of(self, self._failure))
        return self._is_letter_written

    def keep_letter(self, letter: DeadLetter) -> bool:
        """Write the dead letter now and return True, or acknowledge later, when it is written."""
        return final_failures.keep(self._app, letter, self._message, self.acknowledge_now)

    # Step 8: counting.

    def _count(self, state: str) -> None:
        if not state:
            return
        count(TASKS, task=self._type, queue=self._queue, state=state)
        seconds = self._run_seconds
        if seconds is None and self.time_start:  # the process died before it could tell
            seconds = time.time() - self.time_start
        if seconds is not None:
            observe(TASK_SECONDS, seconds, task=self._type)

    # The message.

    @property
    def is_held(self) -> bool:
        """Whether no other worker can be given the message."""
        return is_held(self._request_dict["properties"])

    @property
    def _delivery(self) -> Any:
        """The transport's record of the message; None if it came without a lease."""
        return getattr(self._message, "delivery", None)

    @property
    def _claim(self) -> uniqueness.Claim | None:
        """The claim of a unique task to its lock, as long as it may have the lock."""
        return getattr(self._message, "claim", None)

    @property
    def _holder(self) -> Any:
        return self._message.channel.holder

    @property
    def _queue(self) -> str:
        delivery = self._delivery
        key = delivery.list_key if delivery else (self.delivery_info or {}).get("routing_key")
        return str(key).partition(PRIORITY_MARK)[0]


def _started_by(hand_over: Handler) -> Handler:
    """Wrap `execute_using_pool`: check the lease first; if it raises, take the task back from the pool.

    An idle process gets the task at once. Celery would send it in the next turn of the event loop, and in
    between handle the end of the task before, and ask Redis for more.
    """

    @wraps(hand_over)
    def execute_using_pool(self: TaskRequest, pool: Any, **options: Any) -> Any:
        try:
            self.start()
            result = hand_over(self, pool, **options)
        except TaskRevokedError:
            raise
        except Exception as error:
            self.fail(error)
            task_ready(self)
            _take_back(pool, self.id)
            raise TaskRevokedError(self.id) from error  # Celery frees the slot of the pool on this error only
        write = getattr(getattr(pool, "_pool", None), "on_poll_start", None)
        # A worker that is shutting down starts nothing more: its fetched messages go back to their queues.
        if write and pool.active and work.should_stop is None and work.should_terminate is None:
            write()
        return result

    return execute_using_pool


def _ended_by(handle: Handler) -> Handler:
    """Wrap `on_success`, which pools also call for failures: count a success, and note how long it ran."""

    @wraps(handle)
    def on_success(self: TaskRequest, answer: Any, **options: Any) -> Any:
        failed, _, self._run_seconds = answer
        if not failed:
            self._count("success")
        return handle(self, answer, **options)

    return _settles(on_success)


def _take_back(pool: Any, task_id: str) -> None:
    """Forget a task that the pool could not pickle. Otherwise the worker would wait for it when it ends."""
    results = getattr(getattr(pool, "_pool", None), "_cache", {})
    for result in list(results.values()):
        if result.correlation_id == task_id and not hasattr(result, "_payload"):
            result.discard()


def _state_of(error: BaseException) -> str:
    """The state to count for an error; empty if it is counted elsewhere, as for a terminated task."""
    if isinstance(error, Terminated):
        return ""
    for kind, state in ((Retry, "retry"), (Reject, "rejected"), (Ignore, "ignored")):
        if isinstance(error, kind):
            return state
    return "failure"
