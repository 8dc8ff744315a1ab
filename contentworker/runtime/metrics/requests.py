"""Every end of a task, counted in the worker's main process: it learns of those that a pool process does not
live to tell, and so no pool process has anything to count."""

import time
from functools import wraps
from typing import Any

from celery.exceptions import Ignore, Reject, Retry, Terminated
from celery.worker.request import ExceptionWithTraceback, Request

from contentworker.runtime.dead_letters import PRIORITY_MARK
from contentworker.runtime.metrics import count, observe
from contentworker.runtime.metrics.definitions import TASK_SECONDS, TASKS, WAITING_SECONDS
from contentworker.runtime.queue_state import since

__all__ = ["CountedRequest"]


class CountedRequest(Request):
    """Counts how it ended, how long it ran and how long it had waited.

    It comes last among the bases of a request class: what another keeps from Celery is not counted either.
    """

    _became = ""
    _run_seconds: float | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Celery makes a class for each task, whose `on_success` does not call that of its base."""
        super().__init_subclass__(**options)
        handle = cls.__dict__.get("on_success")
        if handle is not None:

            @wraps(handle)
            def ended(self: CountedRequest, answer: Any, **more: Any) -> Any:
                failed, _, self._run_seconds = answer
                if not failed:
                    self._count("success")
                return handle(self, answer, **more)

            cls.on_success = ended

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """The task begins."""
        super().on_accepted(pid, time_accepted)
        began = since(self._request_dict.get("sent_at"), getattr(self._message, "eta", None))
        if began is not None:
            observe(WAITING_SECONDS, self.time_start - began.timestamp(), queue=self._queue)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Any end but success; a hard time limit comes here as well."""
        try:
            return super().on_failure(exc_info, send_failed_event, return_ok)
        finally:
            self._count(self._became or _state_of(exc_info.exception))

    def reject(self, requeue: bool = False) -> None:
        """The message goes back, or is given up."""
        if requeue:
            self._became = "rejected"
        super().reject(requeue)

    def _retry_worker_lost(self, exc: BaseException, exc_info: Any) -> bool:
        is_sent: bool = super()._retry_worker_lost(exc, exc_info)
        if is_sent:
            self._became = "retry"
        return is_sent

    def _success_was_stored(self) -> Any:
        found = super()._success_was_stored()
        if found:
            self._became = "success"
        return found

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        super()._announce_revoked(reason, terminated, signum, expired)
        self._count("revoked")

    @property
    def _queue(self) -> str:
        delivery = getattr(self._message, "delivery", None)
        key = delivery.list_key if delivery else (self.delivery_info or {}).get("routing_key")
        return str(key).partition(PRIORITY_MARK)[0]

    def _count(self, state: str) -> None:
        if not state:
            return
        count(TASKS, task=self._type, queue=self._queue, state=state)
        seconds = self._run_seconds
        if seconds is None and self.time_start:  # its process did not live to say it
            seconds = time.time() - self.time_start
        if seconds is not None:
            observe(TASK_SECONDS, seconds, task=self._type)


def _state_of(error: BaseException) -> str:
    if isinstance(error, ExceptionWithTraceback):
        error = error.exc
    if isinstance(error, Terminated):
        return ""  # counted as revoked
    for kind, state in ((Retry, "retry"), (Reject, "rejected"), (Ignore, "ignored")):
        if isinstance(error, kind):
            return state
    return "failure"
