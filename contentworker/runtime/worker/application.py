"""The Celery application, made from the settings."""

import logging
import os
from datetime import UTC, datetime
from functools import partial
from typing import Any

import kombu
from celery import Celery
from celery.app.amqp import AMQP
from celery.signals import before_task_publish, celeryd_init

from contentworker.errors import ConfigError
from contentworker.runtime import transport
from contentworker.runtime.logs import (
    error_reports,  # noqa: F401 -- for the signals that it connects
    lines,  # noqa: F401 -- for the signals that it connects
    traces,
)
from contentworker.runtime.logs.context import ARGUMENTS_SHOWN, NOT_SHOWN
from contentworker.runtime.records import connections
from contentworker.runtime.settings import DevelopmentSettings, RuntimeSettings
from contentworker.runtime.transport.protocol import REPLACES
from contentworker.runtime.worker import (
    command_line,
    limits,
    pool_children,  # noqa: F401 -- for the signals that it connects
    revoking,
    schedules,
    unique_sending,
)
from contentworker.runtime.worker.routing import kombu_queues, router
from contentworker.runtime.worker.unique import Unique

__all__ = ["build", "celery_configuration"]

# By the scheme of their address; loaded when a result is first stored or read.
RESULT_BACKENDS = {
    "redis": "contentworker.runtime.worker.results:RedisBackend",
    "rediss": "contentworker.runtime.worker.results:RedisBackend",
    "sentinel": "contentworker.runtime.worker.results:SentinelBackend",
}
RESULT_RETRIES = 40
RESULT_SLEEP_MILLISECONDS = 1000
"""Longest pause. Full jitter halves it on average: 40 tries take about 20 s, longer than a lease."""


class Connection(kombu.Connection):
    """A connection whose address in log lines shows `**` for a password only if it has one."""

    @property
    def requires_hub(self) -> type:
        """The class of a worker's event loop. Only a worker asks for it, so a client does not load it."""
        from contentworker.runtime.worker.event_loop import Hub

        return Hub

    def as_uri(self, include_password: bool = False, **options: Any) -> str:
        """The address, as kombu writes it."""
        return str(super().as_uri(include_password=include_password or not self.password, **options))


class Amqp(AMQP):
    """Celery's `amqp`, with this project's connections."""

    Connection = Connection


class Application(Celery):
    """A Celery application that has its Redis database to itself."""

    amqp_cls = Amqp
    control_cls = "contentworker.runtime.worker.revoking:Control"

    development: DevelopmentSettings | None = None
    """Set in a worker that reloads, which is in development mode; None in services and clients."""

    def now(self) -> datetime:
        """The time in the application's zone. Ten times as fast as Celery's; each result calls it."""
        return datetime.now(UTC).astimezone(self.timezone)

    def enter_development(self) -> None:
        """Turn development mode on, unless `worker.toml` turns it off."""
        settings: DevelopmentSettings = self.runtime_settings.development
        self.development = settings if settings.enabled else None

    def send_task(
        self, name: str, args: Any = None, kwargs: Any = None, *more: Any, unique: Any = None, **options: Any
    ) -> Any:
        """Send a task, as Celery does; a unique one only if none with its key waits or runs (docs/unique.md).

        `unique` is a declaration for this call, instead of the task's. A retry replaces its message.

        Raises:
            ValueError: `unique`, or an argument in its key, is not valid. The error names the field.
        """
        if key := limits.key_header(self, name, args, kwargs, options.get("queue")):
            options["headers"] = {**(options.get("headers") or {}), **key}
        task = self._tasks.get(name)
        if unique is None:
            unique = getattr(task, "unique", None)
        if not unique or REPLACES in options:
            return super().send_task(name, args, kwargs, *more, **options)
        options |= zip(("countdown", "eta", "task_id"), more, strict=False)
        call = (name, args or (), kwargs or {})
        return unique_sending.send(self, super().send_task, call, Unique.of(unique), options)

    def _connection(self, url: Any, *args: Any, transport_options: Any = None, **kwargs: Any) -> Any:
        """Connect to the broker. All programs connect here: worker, beat, client, control and Flower.

        Raises:
            ConfigError: a key prefix is set. Dead letters, claims and other keys would not have it.
        """
        options = {**self.conf.broker_transport_options, **(transport_options or {})}
        if options.get("global_keyprefix"):
            command_line.refuse(
                ConfigError(
                    "broker_transport_options: global_keyprefix is not supported by this application, whose "
                    "dead letters, claims and results would be shared; give it a database of its own in "
                    "REDIS_URL (redis://host:6379/1)"
                )
            )
        return super()._connection(url, *args, transport_options=transport_options, **kwargs)


POOL_PROCESS_START_SECONDS = 60
"""How long a new pool process may take to start, before it is killed and another one is started.

Celery's 4 s are too few on a busy machine: starting processes again and again keeps it busy, so that no
worker ever gets one.
"""


def build(settings: RuntimeSettings, redis_url: str) -> Celery:
    """Make an application with all queues, and without tasks. It does not connect to anything yet.

    Raises:
        ConfigError: the environment asks for traces that cannot be sent.
    """
    traces.begin()
    transport.register(settings.broker.transport)
    app = Application("contentworker")
    app.loader.override_backends = RESULT_BACKENDS
    app.runtime_settings = settings
    app.connect_redis = partial(connections.connect, redis_url, settings.broker)
    app.conf.update(celery_configuration(settings, redis_url))
    return app


def celery_configuration(settings: RuntimeSettings, redis_url: str) -> dict[str, Any]:
    """Celery's configuration for these settings. `redis_url` is the address of broker and results."""
    broker = settings.broker
    address = connections.celery_configuration(redis_url, broker)
    return {
        **address,
        "result_expires": settings.results.expires_seconds,
        # JSON only: unpickling a message would run whatever its sender wants.
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        # Every queue is declared, so that a misspelt one is an error and not a new queue.
        "task_queues": kombu_queues(settings.queues),
        "task_default_queue": settings.default_queue,
        "task_create_missing_queues": False,
        "task_routes": (router(settings),),
        "beat_schedule": schedules.beat_schedule(settings.schedules),
        "beat_scheduler": schedules.SCHEDULER,
        # At least once, by default; `tasks/base.py` has the tasks that differ.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_soft_time_limit": settings.limits.soft_time_limit_seconds,
        "task_time_limit": settings.limits.hard_time_limit_seconds,
        "worker_max_tasks_per_child": settings.limits.max_tasks_per_child,
        "worker_proc_alive_timeout": POOL_PROCESS_START_SECONDS,
        "worker_prefetch_multiplier": 1,
        "worker_consumer": "contentworker.runtime.worker.consumer:KeepingConsumer",
        # A task keeps running while the connection is away. Its message stays held and counts as prefetched,
        # so nothing needs to be reduced after a reconnect.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_enable_prefetch_count_reduction": settings.broker.transport == "plain",
        # If the broker is unreachable, at the start or later, wait for as long as it takes.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # Also if it refuses writes: a replica during a failover, a server whose disk is full.
        "broker_channel_error_retry": True,
        "broker_connection_timeout": broker.connect_timeout_seconds,
        "broker_transport_options": {
            "socket_timeout": broker.socket_timeout_seconds,
            "socket_connect_timeout": broker.connect_timeout_seconds,
            "socket_keepalive": True,
            "health_check_interval": broker.health_check_interval_seconds,
            "visibility_timeout": broker.visibility_timeout_seconds,
            "unacked_restore_interval": broker.restore_interval_seconds,
            "unacked_restore_throttle": 1,
            "hold_across_connections": True,
            "max_message_bytes": settings.limits.max_message_bytes,
            "max_deliveries": settings.limits.max_deliveries,
            "wait_for_replicas": broker.wait_for_replicas,
            **address["broker_transport_options"],
        },
        "redis_socket_timeout": broker.socket_timeout_seconds,
        "redis_socket_connect_timeout": broker.connect_timeout_seconds,
        "redis_backend_health_check_interval": broker.health_check_interval_seconds,
    }


@celeryd_init.connect
def _set_up_worker(instance: Any = None, conf: Any = None, **_: Any) -> None:
    """Set up what only a worker needs. A client does not load these modules, and gets an error at once."""
    # If Celery cannot store the result of a successful task, the task fails. So try longer.
    conf.update(
        result_backend_always_retry=True,
        result_backend_max_retries=RESULT_RETRIES,
        result_backend_max_sleep_between_retries_ms=RESULT_SLEEP_MILLISECONDS,
    )
    logging.getLogger("celery.backends.base").addFilter(_reason_for_traceback)
    logging.getLogger("celery.pool").addFilter(_without_arguments)
    if {"NOTIFY_SOCKET", "WORKER_ALIVE_FILE", "WORKER_WATCHDOG_SECONDS"} & os.environ.keys():
        from contentworker.runtime.health import pulse

        pulse.begin(instance)
    if os.getpid() == 1:  # of a container
        from contentworker.runtime.worker.orphans import OrphanStep

        instance.app.steps["consumer"].add(OrphanStep)
    from contentworker.runtime.logs import outages, task_lines

    outages.begin(instance)
    revoking.begin()
    task_lines.begin(instance.app)
    if instance.app.runtime_settings.metrics.enabled:
        from contentworker.runtime.metrics import worker

        worker.begin(instance)


def _reason_for_traceback(record: logging.LogRecord) -> bool:
    """Replace the traceback of each failed attempt (some fifty lines) by one line with the error."""
    if record.levelno == logging.WARNING and record.exc_info and isinstance(record.args, tuple):
        record.msg, record.args = f"{record.msg} (%s)", (*record.args, record.exc_info[1])
        record.exc_info = None
    return True


def _without_arguments(record: logging.LogRecord) -> bool:
    """Hide the message in the debug line that Celery logs for each task it hands to the pool."""
    if str(record.msg).startswith("TaskPool: Apply") and isinstance(record.args, tuple):
        record.args = (record.args[0], NOT_SHOWN, NOT_SHOWN)
    return True


@before_task_publish.connect
def _stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Add the time at which a message is sent, from which the age of a queue's oldest message is known.

    Also hide the argument previews that Celery puts into the headers.
    """
    if headers is not None:
        headers["sent_at"] = datetime.now(UTC).isoformat()
        headers.update(dict.fromkeys(ARGUMENTS_SHOWN, NOT_SHOWN))
