"""A Celery consumer that makes a dead letter of every message it cannot turn into a task."""

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
"""Time between two batches of task events (`--task-events`): Flower shows a task this late at most."""
EVENTS_AT_A_TIME = 500
"""How many events wait for the next batch, at most; one more sends the batch at once."""


class InvalidMessageError(PermanentError):
    """The message is not a valid task message; the worker made it a dead letter."""


class PoisonMessageError(PermanentError):
    """Several workers died while they had this task; it does not run again."""


class KeepingConsumer(Consumer):
    """A consumer that loses no message.

    Celery rejects a message that it cannot read, and on Redis that deletes it. Here it becomes a dead letter
    first. While Redis is unreachable, this worker's tasks keep running.
    """

    loop: Any
    _server_is_checked = False
    _events_due = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._when_still_away: list[Callable[[], None]] = []  # first, as steps of the blueprint add to it
        super().__init__(*args, **kwargs)
        self._revocations = Revocations(self.app)
        holder.when_fenced(lambda: pool_children.end_all_work(self.pool))
        admission.bound_decompression(self.app.runtime_settings.limits.max_message_bytes)
        limits.apply(self.app)
        self._celery_loop, self.loop = self.loop, self._loop

    def when_still_away(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each failed attempt to connect to Redis."""
        self._when_still_away.append(callback)

    def connection_for_read(self, heartbeat: Any = None) -> Any:
        """Connect; the first time, end the worker if messages would not be safe on this server.

        It is checked here because the event loop begins with a write, and only the first time because a
        running worker may reach a replica for a moment during a failover.
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
        """Try to connect at least every two seconds. Celery would slow down to twice a minute."""
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
        """Serve another queue, unless the transport refuses its name, which would end the worker."""
        if not isinstance(queue, str) or "\n" in queue:
            logger.error("Queue %r is not added: its name must be one line", queue)
            return
        super().add_task_queue(queue, *arguments, **options)

    def _loop(self, *arguments: Any) -> Any:
        """Catch up on the deaths of pool processes while no loop ran, then run Celery's loop.

        Celery stops watching a dead process, but does not remove it, and its loop would then end the worker
        ("file descriptor is None"). A similar report: https://github.com/celery/celery/issues/9250
        """
        if pool_children.processes_of(self.pool) is not None:
            self.pool.maintain_pool()
            for process in pool_children.processes_of(self.pool):
                if getattr(process, "_sentinel_poll", 0) is None:
                    del process._sentinel_poll  # noqa: SLF001 (Celery's)
        return self._celery_loop(*arguments)

    def on_send_event_buffered(self) -> None:
        """Send events a few times a second. Celery would wait for Redis in each turn of its loop."""
        now = time.monotonic()
        if self.hub and now >= self._events_due:  # otherwise a timer that is already set sends them
            self._events_due = now + EVENTS_SECONDS
            self.event_dispatcher.buffer_limit = EVENTS_AT_A_TIME
            self.hub.call_later(EVENTS_SECONDS, self._flush_events)

    def on_close(self) -> None:
        """Keep this worker's tasks when the connection is lost: it still holds their messages by lease."""
        if self.app.runtime_settings.broker.transport == "plain":
            super().on_close()

    def cancel_active_requests(self) -> None:
        """End every task of this worker at once (cold shutdown).

        Celery does not cancel a task that a pool process has started but not reported yet: it waits for it.
        """
        super().cancel_active_requests()
        unreported = state.reserved_requests - state.active_requests
        if unreported and pool_children.processes_of(self.pool) is not None:
            for request in unreported:
                request._already_cancelled = True  # noqa: SLF001 (as Celery does: it goes back, and does not fail)
            for process in list(pool_children.processes_of(self.pool)):
                self.pool.terminate_job(process.pid, signal.SIGTERM)

    def shutdown(self) -> None:
        """Shut down, and end the leases last, when no task runs any more."""
        with suppress(OSError, *self.connection_errors):
            self._flush_events()
        super().shutdown()
        if state.active_requests:
            pool_children.end_all_work(self.pool)
        holder.stop_all()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """Handle every error that a message causes in Celery. It would end this worker, then the next."""
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
        """Deal with a message that must not run, and return True. Otherwise check it, and return False."""
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
        """Check a message. Look up whether it is revoked (Celery handles that) or a duplicate."""
        message.headers = message.headers.copy()
        message.headers.update(dict.fromkeys(ARGUMENTS_SHOWN, NOT_SHOWN))
        if not getattr(message, "delivery", None):
            message.properties.pop("held", None)  # only the transport may write it
        admission.check(message, self.strategies)
        task_id = admission.task_id_of(message)
        if not task_id:
            return True
        self._revocations.look_up(message, task_id)
        return unique_messages.admit(self, message, task_id)

    def _give_back(self, message: Any, error: Exception) -> None:
        """Return a message, as Redis failed while it was received; after `max_deliveries` it is poison."""
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
        """Discard a message that its limit does not allow to run, or make it a dead letter."""
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
        except Exception:  # a message of another client may make Celery raise anything
            logger.exception("%s was discarded, but its result could not be stored as REVOKED", task_id)
        unique_messages.let_go(message)
        self._settle(message)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Make a dead letter of valid JSON that is not a task message."""
        self._keep(message, "invalid", "not a Celery task message: it names no task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Make a dead letter of a message whose task this worker does not have."""
        name = _header(message, "task")
        self._keep(message, "unknown task", f"no task named {name!r} is registered", NotRegistered(name))

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Make a dead letter of a task message with parts that are missing or have the wrong type."""
        self._keep(message, "invalid", f"{type(exc).__name__}: {exc}")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Make a dead letter of a message with a wrong content type or a body that cannot be decoded."""
        if getattr(message, "delivery", self) is None:  # broadcast: every worker would keep a copy
            logger.warning("A broadcast message is dropped: %s: %s", type(exc).__name__, exc)
        elif message.content_type == UNREADABLE:
            self._keep_undecoded(message)
        else:
            self._keep(message, "invalid", f"{type(exc).__name__}: {exc}")

    def _keep_undecoded(self, message: Any) -> None:
        """Make a dead letter of bytes that are not JSON, too many, or ended `max_deliveries` workers."""
        size, most = len(getattr(message, "raw", b"")), self.app.runtime_settings.limits.max_message_bytes
        if self._is_poison(message):
            message.headers = admission.headers_of(message.raw)
            self._keep_poison(message)
        elif size > most:
            error = f"message: must be at most {most} bytes (limits.max_message_bytes), not {size}"
            self._keep(message, "invalid", error)
        else:
            self._keep(message, "unreadable", "not a message: not JSON, or without parts that kombu needs")

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
                if reason == "poison":  # first, because decoding it for `_tell` may be what ends workers
                    self._settle(message)
                self._tell(message, task_id, failure or InvalidMessageError(error))
                unique_messages.let_go(message, is_dead_letter=True)
                self._settle(message)  # only now: its errbacks must be sent before the message is gone

            if keep(self.app, letter, message, let_go):
                let_go()
        except Exception:
            logger.exception(
                "A message can neither run nor become a dead letter: this worker holds it until it ends"
            )

    def _tell(self, message: Any, task_id: str, failure: Exception) -> None:
        """Store the failure as the task's result, and send its errbacks."""
        if not task_id:
            return
        try:
            self.app.backend.mark_as_failure(task_id, failure, request=_context(message))
        except Exception:  # a message of another client may make Celery raise anything
            logger.exception("The failure of %s could not be stored as its result", task_id)

    def _settle(self, message: Any) -> None:
        if message.acknowledged:
            return
        if delivery := getattr(message, "delivery", None):  # no failover may lose both it and its dead letter
            message.channel.holder.acknowledge_in_order(delivery)
        message.reject_log_error(logger, self.connection_errors)


def _header(message: Any, name: str) -> str:
    """A header as text; empty if there is none. Another client's headers may be anything."""
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
    except Exception:  # noqa: BLE001 (another client's bytes may make kombu raise anything)
        return None
