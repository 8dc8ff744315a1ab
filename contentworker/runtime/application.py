"""The Celery application, made from the settings."""

import logging
import os
from datetime import UTC, datetime
from functools import partial
from typing import Any

from celery import Celery
from celery.signals import before_task_publish, celeryd_init

from contentworker.runtime import (  # noqa: F401
    connections,
    error_reports,
    logs,
    pool_children,
    schedules,
    traces,
    transport,
)
from contentworker.runtime.leases import ARGUMENTS_SHOWN, NOT_SHOWN
from contentworker.runtime.routing import Router, kombu_queues
from contentworker.runtime.settings import RuntimeSettings

__all__ = ["build", "celery_configuration"]

# By the scheme of their address; loaded when a result is stored or asked for.
RESULT_BACKENDS = {
    "redis": "contentworker.runtime.results:RedisBackend",
    "rediss": "contentworker.runtime.results:RedisBackend",
    "sentinel": "contentworker.runtime.results:SentinelBackend",
}
RESULT_RETRIES = 40
RESULT_SLEEP_MILLISECONDS = 1000
"""Of a full jitter, so that the retries take some 20 s: longer than a lease, which ends the work anyway."""


def build(settings: RuntimeSettings, redis_url: str) -> Celery:
    """Make an application that knows every queue and, so far, no task. It connects to nothing yet.

    Raises:
        ConfigError: the environment asks for traces in a way that cannot be done.
    """
    traces.begin()
    transport.register(settings.broker.transport)
    app = Celery("contentworker")
    app.loader.override_backends = RESULT_BACKENDS
    app.runtime_settings = settings
    app.connect_redis = partial(connections.connect, redis_url, settings.broker)
    app.conf.update(celery_configuration(settings, redis_url))
    return app


def celery_configuration(settings: RuntimeSettings, redis_url: str) -> dict[str, Any]:
    """Celery's own configuration keys for our settings. `redis_url` serves broker and results."""
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
        # Queues: all are declared, and a misspelt one is an error and not a new queue.
        "task_queues": kombu_queues(settings.queues),
        "task_default_queue": settings.default_queue,
        "task_create_missing_queues": False,
        "task_routes": (Router(settings.queues),),
        "beat_schedule": schedules.beat_schedule(settings.schedules),
        "beat_scheduler": schedules.SCHEDULER,
        # At least once; what differs is said in the task's base class.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_soft_time_limit": settings.limits.soft_time_limit_seconds,
        "task_time_limit": settings.limits.hard_time_limit_seconds,
        "worker_max_tasks_per_child": settings.limits.max_tasks_per_child,
        "worker_prefetch_multiplier": 1,
        "worker_consumer": "contentworker.runtime.consumer:KeepingConsumer",
        # A task goes on while the connection is away: its child has all that it needs. What is held counts
        # as prefetched all the while, so that nothing needs to be reduced afterwards.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_enable_prefetch_count_reduction": settings.broker.transport == "plain",
        # A broker that is away, at the start or later, is waited for, however long.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # As is one that refuses to write: a replica during a failover, a server whose disk is full.
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
            **address["broker_transport_options"],
        },
        "redis_socket_timeout": broker.socket_timeout_seconds,
        "redis_socket_connect_timeout": broker.connect_timeout_seconds,
        "redis_backend_health_check_interval": broker.health_check_interval_seconds,
    }


@celeryd_init.connect
def _store_results_later(conf: Any = None, **_: Any) -> None:
    """Have a worker wait for Redis with a result; Celery would make a failure of a task that has ended well.

    Not a client: who asks for a result while Redis is away is to be told so.
    """
    conf.update(
        result_backend_always_retry=True,
        result_backend_max_retries=RESULT_RETRIES,
        result_backend_max_sleep_between_retries_ms=RESULT_SLEEP_MILLISECONDS,
    )
    logging.getLogger("celery.backends.base").addFilter(_without_traceback)
    logging.getLogger("celery.pool").addFilter(_without_arguments)


@celeryd_init.connect
def _give_signs_of_life(instance: Any = None, **_: Any) -> None:
    """Only where somebody listens; not even the module is loaded elsewhere."""
    if {"NOTIFY_SOCKET", "WORKER_ALIVE_FILE", "WORKER_WATCHDOG_SECONDS"} & os.environ.keys():
        from contentworker.runtime import pulse

        pulse.begin(instance)


@celeryd_init.connect
def _measure(instance: Any = None, **_: Any) -> None:
    """Only in a worker, and where it is wanted."""
    if instance.app.runtime_settings.metrics.enabled:
        from contentworker.runtime.metrics import worker

        worker.begin(instance)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Celery says each time how the connection failed, in fifty lines."""
    if record.levelno == logging.WARNING:
        record.exc_info = None
    return True


def _without_arguments(record: logging.LogRecord) -> bool:
    """At level debug Celery says what it hands to the pool: the whole message."""
    if str(record.msg).startswith("TaskPool: Apply"):
        record.args = (
            (record.args[0], NOT_SHOWN, NOT_SHOWN) if isinstance(record.args, tuple) else record.args
        )
    return True


@before_task_publish.connect
def _stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Say when a message was sent: Celery does not, and the age of a queue's oldest message needs it.

    Its arguments, of which Celery writes the beginning into headers, are nobody's to read by the way.
    """
    if headers is not None:
        headers["sent_at"] = datetime.now(UTC).isoformat()
        headers.update(dict.fromkeys(ARGUMENTS_SHOWN, NOT_SHOWN))
