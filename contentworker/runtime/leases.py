"""What a lost lease means to Celery: no work goes on, and none begins, on messages that are another's."""

import os
import signal
import time
from contextlib import suppress
from functools import wraps
from typing import Any

from celery import Task
from celery.exceptions import Reject, TaskRevokedError
from celery.utils.log import get_logger
from celery.worker.request import Request
from celery.worker.state import task_ready

from contentworker.runtime import log_context
from contentworker.runtime.transport.validity import is_held

__all__ = ["ARGUMENTS_SHOWN", "NOT_SHOWN", "HeldRequest", "HeldTask", "end_all_work"]

logger = get_logger(__name__)

ARGUMENTS_SHOWN = ("argsrepr", "kwargsrepr")
"""Headers with the beginning of a task's arguments, which logs, events and Flower show."""
NOT_SHOWN = "(not shown)"
"""Not empty: Celery would then look at the arguments themselves."""


class HeldRequest(Request):
    """A request that ends without a trace where its message is not this worker's any more."""

    def info(self, safe: bool = False) -> dict[str, Any]:
        """What `inspect` shows of it: not its arguments, which are other people's texts."""
        found: dict[str, Any] = super().info(safe=safe)
        return {**found, "args": NOT_SHOWN, "kwargs": NOT_SHOWN}

    @property
    def is_held(self) -> bool:
        """Whether nobody else can be given the message."""
        return is_held(self._request_dict["properties"])

    def __init_subclass__(cls, **options: Any) -> None:
        """Celery makes a class for each task, whose `execute_using_pool` does not call that of its base."""
        super().__init_subclass__(**options)
        hand_over = cls.__dict__.get("execute_using_pool")
        if hand_over is not None:

            @wraps(hand_over)
            def begin(self: HeldRequest, pool: Any, **more: Any) -> Any:
                self.begin()
                return hand_over(self, pool, **more)

            cls.execute_using_pool = begin

    def begin(self) -> None:
        """What comes before the task is handed to the pool.

        Raises:
            TaskRevokedError: another worker may have its message by now.
        """
        if not self.is_held:
            task_ready(self)
            raise TaskRevokedError(self.id)
        if getattr(self._message, "deliveries", 0):
            self._message.channel.holder.note_start(self._message.delivery)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Leave a failure to the worker that has the message now: no retry, no result."""
        if self.is_held:
            with log_context.handling(self._request_dict, self.delivery_info):
                return super().on_failure(exc_info, send_failed_event, return_ok)
        task_ready(self)
        return None

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        """The same for a time limit."""
        if self.is_held:
            with log_context.handling(self._request_dict, self.delivery_info):
                return super().on_timeout(soft, timeout)
        task_ready(self)
        return None


class HeldTask(Task):
    """A task whose run begins only where its message is still held."""

    abstract = True
    # Of a result Celery shows the beginning in logs and events.
    resultrepr_maxsize = 0

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Checked where the task runs: between the worker and its pool process the lease may have ended.

        Raises:
            Reject: it has. Were it the worker's after all, the message would go back to its queue.
        """
        if not is_held(getattr(self.request, "properties", None) or {}):
            raise Reject("its lease is over", requeue=True)
        self.request.begun = time.monotonic()
        super().before_start(task_id, args, kwargs)


def end_all_work(pool: Any) -> None:
    """End whatever the pool runs, at once; called from another thread than Celery's own."""
    processes = getattr(getattr(pool, "_pool", None), "_pool", None)
    if processes is None:
        logger.critical("Threads cannot be stopped: this worker ends")
        os._exit(os.EX_TEMPFAIL)
    for process in list(processes):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
