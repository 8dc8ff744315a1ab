"""The systems that are compared. Each is Celery with another transport or configuration."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.chaos import crash_points
from benchmarks.chaos.promises import PLACES

__all__ = ["SYSTEMS", "System", "register"]

VISIBILITY_TIMEOUT_SECONDS = 30

SAFE = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
}

SWEPT_EVERY_SECOND = {
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}

# Short delays, so that a retry is over within a run; the limits keep the short visibility timeout allowed.
OUR_ENVIRONMENT = {
    "WORKER__RETRIES__INITIAL_DELAY_SECONDS": "1",
    "WORKER__RETRIES__MAX_DELAY_SECONDS": "5",
    "WORKER__RETRIES__JITTER_SECONDS": "0",
    "WORKER__LIMITS__SOFT_TIME_LIMIT_SECONDS": "15",
    "WORKER__LIMITS__HARD_TIME_LIMIT_SECONDS": "20",
}


LIMIT = {
    # Settings may only name tasks of tasks/: `worker_app` gives its own a name that this matches.
    "WORKER__LIMITS__CHAOS__TASKS": '["tasks.maintenance.*"]',
    "WORKER__LIMITS__CHAOS__HEADER": "customer",
    "WORKER__LIMITS__CHAOS__CONCURRENCY": str(PLACES),
}


@dataclass(frozen=True)
class System:
    """How to start it, and how long it may take to recover."""

    name: str
    title: str
    description: str
    patience_seconds: float
    """How long nothing may happen before an unfinished task counts as left for good, or lost."""
    broker: str = "redis"
    configuration: Mapping[str, Any] | None = None
    """Celery's; None for this project's own application."""
    env: Mapping[str, str] = field(default_factory=dict)
    needs_python: tuple[int, int] | None = None
    """It runs on an interpreter given with `--python-for-peers`."""
    worker_options: tuple[str, ...] = ()
    stranded: bool = False
    """What it holds after the run comes back only after an hour, its default visibility timeout."""
    promises: bool = False
    """It has unique tasks, schedules that any number of beats send, and revocations that last."""
    crash_points: tuple[str, ...] = ()
    """Names for `CONTENTWORKER_TRANSPORT_CRASH_AT`."""

    def environment(self, broker_url: str, results_url: str) -> dict[str, str]:
        """What tells its processes which system they are."""
        if self.configuration is None:
            return {"REDIS_URL": broker_url, **OUR_ENVIRONMENT, **self.env}
        urls: dict[str, Any] = {"broker_url": broker_url, "result_backend": results_url}
        if broker_url.startswith("rediss:"):
            checked = {"ssl_cert_reqs": "required"}
            urls |= {"broker_use_ssl": checked, "redis_backend_use_ssl": checked}
        return {"CHAOS_CONFIG": json.dumps({**urls, **self.configuration}), **self.env}


SYSTEMS: dict[str, System] = {}


def register(system: System) -> None:
    """Add a system to those that are known by name."""
    SYSTEMS[system.name] = system


register(
    System(
        "leased",
        "ours",
        'this project, `transport = "leased"`',
        patience_seconds=45,
        env={"WORKER__BROKER__TRANSPORT": "leased"},
        crash_points=crash_points.POINTS,
    )
)
register(
    System(
        "flow",
        "ours, all features",
        "the same, with limited, unique and revoked tasks among the others, and a schedule sent by two beats",
        patience_seconds=45,
        env={"WORKER__BROKER__TRANSPORT": "leased", **LIMIT},
        promises=True,
        crash_points=crash_points.POINTS,
    )
)
register(
    System(
        "plain",
        "ours, plain transport",
        'this project, `transport = "plain"`, visibility timeout 30 s',
        patience_seconds=VISIBILITY_TIMEOUT_SECONDS + 15,
        env={
            "WORKER__BROKER__TRANSPORT": "plain",
            "WORKER__BROKER__VISIBILITY_TIMEOUT_SECONDS": str(VISIBILITY_TIMEOUT_SECONDS),
            "WORKER__BROKER__RESTORE_INTERVAL_SECONDS": "1",
        },
    )
)
register(
    System(
        "defaults",
        "Celery, defaults",
        "Celery on Redis as it comes",
        patience_seconds=15,
        configuration={"broker_connection_retry_on_startup": True},
        stranded=True,
    )
)
register(
    System(
        "tuned",
        "Celery, tuned",
        "late acknowledgement, reject on worker lost, prefetch 1, visibility timeout 30 s swept every second",
        patience_seconds=VISIBILITY_TIMEOUT_SECONDS + 15,
        configuration={
            **SAFE,
            "broker_transport_options": SWEPT_EVERY_SECOND,
        },
    )
)
register(
    System(
        "retrying",
        "Celery, new settings",
        "the same with `task_retry_on_worker_lost` of Celery 5.7",
        patience_seconds=VISIBILITY_TIMEOUT_SECONDS + 15,
        configuration={
            **SAFE,
            "task_retry_on_worker_lost": True,
            "broker_transport_options": SWEPT_EVERY_SECOND,
        },
    )
)
register(
    System(
        "redis-plus",
        "celery-redis-plus",
        "celery-redis-plus, the same settings; its sweep has a fixed interval of 60 s",
        patience_seconds=VISIBILITY_TIMEOUT_SECONDS + 120,
        configuration={
            **SAFE,
            "imports_first": ["celery_redis_plus.signals"],
            "broker_transport": "celery_redis_plus.transport:Transport",
            "broker_transport_options": {"visibility_timeout": VISIBILITY_TIMEOUT_SECONDS},
        },
        needs_python=(3, 13),
    )
)
register(
    System(
        "rabbitmq",
        "RabbitMQ",
        "Celery on RabbitMQ: quorum queues, publisher confirms, late acknowledgement, reject on worker lost",
        patience_seconds=20,
        broker="rabbitmq",
        configuration={
            **SAFE,
            "task_default_queue_type": "quorum",
            "worker_detect_quorum_queues": True,
            "broker_transport_options": {"confirm_publish": True},
        },
    )
)
register(
    System(
        "pgmq",
        "PGMQ",
        "Celery on PostgreSQL with kombu's PGMQ transport: late acknowledgement, reject on worker lost,"
        " prefetch 1, visibility timeout 30 s; without broadcasts",
        patience_seconds=VISIBILITY_TIMEOUT_SECONDS + 15,
        broker="pgmq",
        worker_options=("--without-heartbeat",),
        configuration={
            **SAFE,
            # Not every version of PGMQ has the topics that broadcasts need.
            "worker_enable_remote_control": False,
            "broker_transport_options": {
                "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
                "init_extension": False,
                "polling_interval": 0.1,
                "wait_time_seconds": 1,
            },
        },
    )
)
