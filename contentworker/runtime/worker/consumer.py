"""A Celery consumer that keeps every message it cannot turn into a task."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from celery.app.task import Context
from celery.exceptions import NotRegistered
from celery.utils.log import get_logger
from celery.utils.saferepr import saferepr
from celery.worker import state
from celery.worker.consumer import Consumer
from kombu.exceptions import OperationalError
from kombu.utils.json import loads
from redis.exceptions import RedisError

from contentworker.errors import PermanentError
from contentworker.printable import encodable
from contentworker.runtime import metrics
from contentworker.runtime.logs import context as log_context
from contentworker.runtime.logs.context import ARGUMENTS_SHOWN, NOT_SHOWN
from contentworker.runtime.metrics.definitions import TASKS
from contentworker.runtime.records import connections, dead_letters
from contentworker.runtime.transport import UNREADABLE, holder
from contentworker.runtime.transport.limits import Refusal
from contentworker.runtime.transport.server import UnsuitableServerError
from contentworker.runtime.worker import admission, limits, pool_children, unique_messages
from contentworker.runtime.worker.final_failures import keep
from contentworker.runtime.worker.revoking import Revocations

__all__ = ["InvalidMessageError", "KeepingConsumer", "PoisonMessageError"]

logger = get_logger(__name__)

EVENTS_SECONDS = 0.2
"""Between two batches of task events (`--task-events`); Flower shows a task this late at most."""
EVENTS_AT_A_TIME = 500
"""Most events that wait for the next batch; one more sends it at once."""


class InvalidMessageError(PermanentError):
    """The message is not a task message; the worker kept it as a dead letter."""


class PoisonMessageError(PermanentError):
    """Each worker that had this task died; it is not run again."""


class KeepingConsumer(Consumer):
    """A consumer that loses no message.

    Celery rejects what it cannot read, which on Redis deletes it. Here it becomes a dead letter first. While
    Redis is away, the tasks that this worker has keep running.
    """

    loop: Any
    _server_is_checked = False
    _events_due = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._when_still_away: list[Callable[[], None]] = []  # first: steps of the blueprint add to it
        super().__init__(*args, **kwargs)
        self._revocations = Revocations(self.app)
        holder.when_fenced(lambda: pool_children.end_all_work(self.pool))
        admission.bound_decompression(self.app.runtime_settings.limits.max_message_bytes)
        limits.apply(self.app)
        self._celery_loop, self.loop = self.loop, self._loop

    def when_still_away(self, callback: Callable[[], None]) -> None:
        """Have `callback` called after each attempt to connect to Redis that failed."""
        self._when_still_away.append(callback)

    def connection_for_read(self, heartbeat: Any = None) -> Any:
        """Connect; the first time, end the worker if messages would not be safe on this server.

        Checked here because the event loop first writes a lock. Only the first time because a running worker
        may meet a replica for a moment during a failover.
        """
        connection = super().connection_for_read(heartbeat)
        if not self._server_is_checked:
            try:
                with connection.default_channel.conn_or_acquire() as client:
                    warnings = connections.check_server(
                        client, self.app.amqp.queues.consume_from, self.app.runtime_settings.broker
                    )
            except UnsuitableServerError as error:
                logger.critical("%s cannot be used: %s", connection.as_uri(), error)
                raise SystemExit(os.EX_CONFIG) from None
            for warning in warnings:
                logger.warning("%s: %s", connection.as_uri(), warning)
            self._server_is_checked = True
        return connection

    def ensure_connected(self, conn: Any) -> Any:
        """Try to connect at least every two seconds; Celery slows down to twice a minute."""
        connect = partial(conn.ensure_connection, interval_start=0.5, interval_step=0.5, interval_max=1.5)

        def connect_and_tell(log: Callable[..., None], *arguments: Any, **options: Any) -> Any:
            def still_away(*failure: Any) -> None:
                for callback in self._when_still_away:
                    callback()
                log(*failure)

            return connect(still_away, *arguments, **options)

        conn.ensure_connection = connect_and_tell
        return super().ensure_connected(conn)

    def add_task_queue(self, queue: Any, *arguments: Any, **options: Any) -> None:
        """Serve another queue, unless the transport would refuse its name: that would end the worker."""
        if not isinstance(queue, str) or "\n" in queue:
            logger.error("Queue %r is not added: its name must be one line", queue)
            return
        super().add_task_queue(queue, *arguments, **options)

    def _loop(self, *arguments: Any) -> Any:
        """Make up for what happened while no loop ran, then run Celery's loop.

        Tasks may have been revoked, and pool processes may have died.

        Celery has stopped watching such a process but not removed it. Its loop would end the worker over one
        ("file descriptor is None"); a similar report: https://github.com/celery/celery/issues/9250
        """
        waiting = state.reserved_requests - state.active_requests
        self._revocations.look_up_held([request.id for request in waiting])
        if pool_children.processes_of(self.pool) is not None:
            self.pool.maintain_pool()
            for process in pool_children.processes_of(self.pool):
                if getattr(process, "_sentinel_poll", 0) is None:
                    del process._sentinel_poll  # noqa: SLF001 (Celery's)
        return self._celery_loop(*arguments)

    def on_send_event_buffered(self) -> None:
        """Send events a few times a second: Celery waits for Redis in each turn of its loop."""
        now = time.monotonic()
        if self.hub and now >= self._events_due:  # else a timer that is already set sends them
            self._events_due = now + EVENTS_SECONDS
            self.event_dispatcher.buffer_limit = EVENTS_AT_A_TIME
            self.hub.call_later(EVENTS_SECONDS, self._flush_events)

    def on_close(self) -> None:
        """Keep the tasks of this worker after a lost connection: it still has them by lease."""
        if self.app.runtime_settings.broker.transport == "plain":
            super().on_close()

    def cancel_active_requests(self) -> None:
        """End every task of this worker at once (cold shutdown).

        Celery does not cancel a task that a pool process has begun but not reported: it waits for its end.
        """
        super().cancel_active_requests()
        unreported = state.reserved_requests - state.active_requests
        if unreported and pool_children.processes_of(self.pool) is not None:
            for request in unreported:
                request._already_cancelled = True  # noqa: SLF001 (as Celery does: it goes back, and is no failure)
            for process in list(pool_children.processes_of(self.pool)):
                self.pool.terminate_job(process.pid, signal.SIGTERM)

    def shutdown(self) -> None:
        """End the leases last, when no task runs."""
        with suppress(OSError, *self.connection_errors):
            self._flush_events()
        super().shutdown()
        if state.active_requests:
            pool_children.end_all_work(self.pool)
        holder.stop_all()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """Handle every error that a message makes Celery raise: it would end this worker, then the next."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> Any:
            with log_context.handling(message.headers, message.delivery_info):
                try:
                    return None if self._has_settled(message) else handle(message)
                except (RedisError, OperationalError, *self.connection_errors) as error:
                    self._give_back(message, error)
                except Exception as error:  # noqa: BLE001 (whatever is wrong with a message must not end the worker)
                    self._keep(message, "invalid", f"{type(error).__name__}: {error}")

        return on_task_received

    def _has_settled(self, message: Any) -> bool:
        """Whether the message is dealt with: it must not be run. Otherwise it has been checked."""
        if message.content_type == UNREADABLE:
            self._keep_undecoded(message)
        elif self._is_poison(message):
            self._keep_poison(message)
        elif refusal := getattr(message, "refusal", None):
            self._refuse(message, refusal)
        else:
            return isinstance(message.headers, dict) and not self._is_to_run(message)
        return True

    def _is_to_run(self, message: Any) -> bool:
        """Check a message; look up whether it is revoked, which Celery handles, or a duplicate."""
        message.headers = message.headers.copy()
        message.headers.update(dict.fromkeys(ARGUMENTS_SHOWN, NOT_SHOWN))
        if not getattr(message, "delivery", None):
            message.properties.pop("held", None)  # else the transport has written it
        admission.check(message, self.strategies)
        task_id = admission.task_id_of(message)
        if not task_id:
            return True
        self._revocations.look_up(message, task_id)
        return unique_messages.admit(self, message, task_id)

    def _give_back(self, message: Any, error: Exception) -> None:
        """Return a message that was received while Redis failed; after `max_deliveries` it is poison."""
        logger.warning("A message goes back to its queue: %s", error)
        if delivery := getattr(message, "delivery", None):
            message.channel.holder.give_back(delivery, front=False, counted=True)
        else:
            message.reject_log_error(logger, self.connection_errors, requeue=True)

    def _is_poison(self, message: Any) -> bool:
        deliveries = getattr(message, "deliveries", 0)
        return bool(deliveries >= self.app.runtime_settings.limits.max_deliveries)

    def _keep_poison(self, message: Any) -> None:
        error = f"its worker died {message.deliveries} times while it had this task"
        self._keep(message, "poison", error, PoisonMessageError(error))

    def _refuse(self, message: Any, refusal: Refusal) -> None:
        """Do what its limit says of a message that must not be run."""
        if refusal.kind != "discarded":
            self._keep(message, refusal.kind, refusal.text)
            return
        task_id, task = _header(message, "id"), _header(message, "task")
        logger.warning("Discarded %s[%s]: %s", task, task_id, refusal.text)
        queue = dead_letters.parts_of(message)["queue"]
        metrics.count(TASKS, task=task, queue=queue, state="revoked")
        try:
            self.app.backend.mark_as_revoked(task_id, refusal.text, request=_context(message))
        except (RedisError, OperationalError, *self.connection_errors):
            raise
        except Exception:  # a foreign message may make Celery raise anything
            logger.exception("The result of %s, which was discarded, could not be stored as REVOKED", task_id)
        unique_messages.let_go(message)
        self._settle(message)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Keep valid JSON that is not a task message."""
        self._keep(message, "invalid", "not a Celery task message: it names no task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Keep a message of a task that this worker does not have."""
        name = _header(message, "task")
        self._keep(message, "unknown task", f"no task named {name!r} is registered", NotRegistered(name))

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Keep a task message with parts missing or of the wrong type."""
        self._keep(message, "invalid", f"{type(exc).__name__}: {exc}")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Keep a message whose body cannot be decompressed, or is not of an accepted content type."""
        if getattr(message, "delivery", self) is None:  # broadcast: every worker would keep a copy
            logger.warning("A broadcast message is dropped: %s: %s", type(exc).__name__, exc)
        elif message.content_type == UNREADABLE:
            self._keep_undecoded(message)
        else:
            self._keep(message, "invalid", f"{type(exc).__name__}: {exc}")

    def _keep_undecoded(self, message: Any) -> None:
        """Keep bytes that are not JSON, are too many, or have ended `max_deliveries` workers."""
        size, most = len(getattr(message, "raw", b"")), self.app.runtime_settings.limits.max_message_bytes
        if self._is_poison(message):
            message.headers = admission.headers_of(message.raw)
            self._keep_poison(message)
        elif size > most:
            error = f"message: must be at most {most} bytes (limits.max_message_bytes), not {size}"
            self._keep(message, "invalid", error)
        else:
            self._keep(message, "unreadable", "no message: not JSON, or without the parts that kombu needs")

    def _keep(
        self, message: Any, reason: dead_letters.Reason, error: str, failure: Exception | None = None
    ) -> None:
        """Make a dead letter of a message. Never raises."""
        try:
            task_id, name = _header(message, "id"), _header(message, "task")
            letter = dead_letters.DeadLetter(
                reason=reason,
                error=error,
                task=name,
                task_id=task_id,
                critical=bool(getattr(self.app.tasks.get(name), "claimed", False)),
                worker=self.hostname,
                **dead_letters.parts_of(message),
            )

            def let_go() -> None:
                if reason == "poison":  # first: to decode it for `_tell` may be what ends workers
                    self._settle(message)
                    message.channel.holder.flush()
                self._tell(message, task_id, failure or InvalidMessageError(error))
                unique_messages.let_go(message)
                self._settle(message)  # only now: its errbacks must be sent before the message is gone

            if keep(self.app, letter, message, let_go):
                let_go()
        except Exception:
            logger.exception("A message stays held until this worker ends: it could be neither run nor kept")

    def _tell(self, message: Any, task_id: str, failure: Exception) -> None:
        """Store the failure as the task's result, and send its errbacks."""
        if not task_id:
            return
        try:
            self.app.backend.mark_as_failure(task_id, failure, request=_context(message))
        except Exception:  # a foreign message may make Celery raise anything
            logger.exception("The failure of %s could not be stored as its result", task_id)

    def _settle(self, message: Any) -> None:
        if not message.acknowledged:
            message.reject_log_error(logger, self.connection_errors)


def _header(message: Any, name: str) -> str:
    """A header as text; empty if there is none. The headers of a foreign message may be anything."""
    headers = message.headers
    value = headers.get(name, "") if isinstance(headers, dict) else ""
    text = value if isinstance(value, str) else saferepr(value)
    return encodable(text)


def _context(message: Any) -> Context | None:
    """The request that Celery needs to call the task's errbacks; None if the message cannot be read."""
    try:
        if message.content_type == UNREADABLE:  # not decoded yet
            decoded: Any = loads(message.raw)
            message = message.channel.Message(decoded, channel=message.channel)
            message.accept = {admission.CONTENT_TYPE}
        admission.check(message, {message.headers["task"]})
        args, kwargs, embed = message.payload
        return Context(
            {**message.headers, **(embed or {}), "args": args, "kwargs": kwargs, "delivery_info": {}}
        )
    except Exception:  # noqa: BLE001 (foreign bytes may make kombu raise anything)
        return None
