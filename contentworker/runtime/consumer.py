"""A Celery consumer that keeps every message it cannot turn into a task."""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from celery.app.task import Context
from celery.exceptions import NotRegistered
from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.consumer import Consumer
from kombu.exceptions import KombuError

from contentworker.errors import PermanentError
from contentworker.runtime import connections, dead_letters
from contentworker.runtime.final_failures import keep
from contentworker.runtime.leases import ARGUMENTS_SHOWN, NOT_SHOWN, end_all_work
from contentworker.runtime.transport import UNREADABLE, holder
from contentworker.runtime.transport.server import UnsuitableServerError

__all__ = ["InvalidMessageError", "KeepingConsumer", "PoisonMessageError"]

logger = get_logger(__name__)

EVENTS_SECONDS = 0.2
"""How late events of tasks may be, where they are sent at all."""
EVENTS_AT_A_TIME = 500


class InvalidMessageError(PermanentError):
    """The message is no call of a task; the worker kept it as a dead letter."""


class PoisonMessageError(PermanentError):
    """A task whose worker died each time it had it; it is not run again."""


class KeepingConsumer(Consumer):
    """A consumer that loses nothing: not what it cannot read, and not what runs while Redis is away.

    Celery rejects what it cannot read, which on Redis deletes it. Here it becomes a dead letter first.
    """

    loop: Any
    _server_is_checked = False
    _events_due = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        holder.when_fenced(lambda: end_all_work(self.pool))
        self._celery_loop, self.loop = self.loop, self._loop

    def connection_for_read(self, heartbeat: Any = None) -> Any:
        """Connect; the first time, end the worker where messages would not be safe on this server.

        Checked here, as the event loop's first act is to write a lock. Only the first time, since a worker
        that serves already may meet a replica for a moment during a failover.
        """
        connection = super().connection_for_read(heartbeat)
        if not self._server_is_checked:
            try:
                with connection.default_channel.conn_or_acquire() as client:
                    warnings = connections.check_server(client, self.app.amqp.queues.consume_from)
            except UnsuitableServerError as error:
                logger.critical("%s cannot be used: %s", connection.as_uri(), error)
                raise SystemExit(os.EX_CONFIG) from None
            for warning in warnings:
                logger.warning("%s: %s", connection.as_uri(), warning)
            self._server_is_checked = True
        return connection

    def ensure_connected(self, conn: Any) -> Any:
        """Look for Redis every two seconds at least; Celery would soon look twice a minute."""
        connect = partial(conn.ensure_connection, interval_start=0.5, interval_step=0.5, interval_max=1.5)

        def connect_at_last(say: Callable[..., None], *arguments: Any, **options: Any) -> Any:
            def still_away(*failure: Any) -> None:
                self.on_still_away()
                say(*failure)

            return connect(still_away, *arguments, **options)

        conn.ensure_connection = connect_at_last
        return super().ensure_connected(conn)

    def on_still_away(self) -> None:
        """Redis could not be reached, again; to be replaced by whoever is to know."""

    def _loop(self, *arguments: Any) -> Any:
        """Replace pool processes that died while no loop ran: Celery's ends the worker over one of them.

        It had stopped watching such a process without having removed it ("file descriptor is None").
        """
        processes = getattr(getattr(self.pool, "_pool", None), "_pool", None)
        if processes is not None:
            self.pool.maintain_pool()
            for process in processes:
                if getattr(process, "_sentinel_poll", 0) is None:
                    del process._sentinel_poll
        return self._celery_loop(*arguments)

    def on_send_event_buffered(self) -> None:
        """Send events a few times a second: Celery would in each turn of its loop, and wait for Redis."""
        now = time.monotonic()
        if self.hub and now >= self._events_due:  # else they go with the others, or their timer is gone
            self._events_due = now + EVENTS_SECONDS
            self.event_dispatcher.buffer_limit = EVENTS_AT_A_TIME
            self.hub.call_later(EVENTS_SECONDS, self._flush_events)

    def on_close(self) -> None:
        """After a lost connection: keep every task that was taken, as they are this worker's by lease."""
        if self.app.runtime_settings.broker.transport == "plain":
            super().on_close()

    def shutdown(self) -> None:
        """End the leases last, when nothing runs any more."""
        with suppress(OSError, *self.connection_errors):
            self._flush_events()
        super().shutdown()
        if state.active_requests:
            end_all_work(self.pool)
        holder.stop_all()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """Also catch what a malformed message raises in Celery itself: there it would stop the worker."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> Any:
            try:
                if isinstance(message.headers, dict):  # whatever client has sent it
                    shown = dict.fromkeys(ARGUMENTS_SHOWN, NOT_SHOWN)
                    message.headers = {**message.headers, **shown}
                if _header(message, "task") in self.strategies:
                    _check_parts(message)
                    if getattr(message, "deliveries", 0) >= self.app.runtime_settings.limits.max_deliveries:
                        return self._keep_poison(message)
                return handle(message)
            except (KombuError, LookupError, TypeError, ValueError, AttributeError) as error:
                return self.on_invalid_task(None, message, error)

        return on_task_received

    def _keep_poison(self, message: Any) -> None:
        error = f"its worker died {message.deliveries} times while it had this task"
        self._keep(message, "poison", error, PoisonMessageError(error))

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Valid JSON, yet no task message."""
        self._keep(message, "invalid", "no Celery task message: it names no task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task that this worker has not got."""
        name = _header(message, "task")
        self._keep(message, "unknown task", f"no task named {name!r} is registered", NotRegistered(name))

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task message with parts missing or of the wrong type."""
        self._keep(message, "invalid", f"{type(exc).__name__}: {exc}")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Bytes that are no JSON, or not of an accepted content type."""
        if message.content_type == UNREADABLE:
            self._keep(message, "unreadable", "no message: not JSON, or without the parts that kombu needs")
        else:
            self._keep(message, "invalid", f"{type(exc).__name__}: {exc}")

    def _keep(
        self, message: Any, reason: dead_letters.Reason, error: str, failure: Exception | None = None
    ) -> None:
        task_id = _header(message, "id")
        letter = dead_letters.DeadLetter(
            reason=reason,
            error=error,
            task=_header(message, "task"),
            task_id=task_id,
            worker=self.hostname,
            **dead_letters.parts_of(message),
        )

        def let_go() -> None:
            if task_id:  # first: its errbacks are to be sent before the message is gone
                kept = failure or InvalidMessageError(error)
                try:
                    self.app.backend.mark_as_failure(task_id, kept, request=_context(message))
                except Exception:  # whatever a foreign message makes Celery raise
                    logger.exception("The failure of %s[%s] could not be told", letter.task, task_id)
            message.reject_log_error(logger, self.connection_errors)

        if keep(self.app, letter, message, let_go):
            let_go()


def _header(message: Any, name: str) -> str:
    """A header as text, empty where the message has none; headers of a foreign message may be anything."""
    headers = message.headers
    value = headers.get(name, "") if isinstance(headers, dict) else ""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "backslashreplace").decode()  # JSON can say half a surrogate pair


def _context(message: Any) -> Context | None:
    """What Celery needs to call the task's errbacks; None where the message does not say it readably."""
    try:
        _check_parts(message)
        args, kwargs, embed = message.payload
        return Context(
            {**message.headers, **(embed or {}), "args": args, "kwargs": kwargs, "delivery_info": {}}
        )
    except Exception:  # whatever foreign bytes make kombu raise
        return None


def _check_parts(message: Any) -> None:
    """Raise a ValueError for parts of the wrong type, which Celery passes on to the pool unseen.

    There they fail outside of any task: nobody would acknowledge the message, and it would come back again
    and again.
    """
    headers = message.headers
    if not isinstance(headers.get("id"), str):
        raise ValueError("header id: must be a string")
    headers["id"].encode()  # a UnicodeEncodeError, which is a ValueError: it is the key of a result
    if not isinstance(headers.get("retries") or 0, int):
        raise ValueError("header retries: must be an integer")
    limits = headers.get("timelimit") or (None, None)
    if (
        not isinstance(limits, list | tuple)
        or len(limits) != 2
        or not all(isinstance(limit or 0, int | float) for limit in limits)
    ):
        raise ValueError("header timelimit: must be two numbers, of which any may be null")
    match message.payload:
        case [list(), dict(), dict() | None]:
            return
    raise ValueError("body: must be [args, kwargs, embed]")
