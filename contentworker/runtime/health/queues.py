"""Is every queue served? Sends a real task through each queue and times the answer."""

import time
from collections.abc import Iterable
from typing import Any, Literal

from celery import Celery
from celery.result import AsyncResult
from kombu import Connection
from pydantic import BaseModel, Field

from contentworker.runtime.health import HEALTH_TASK
from contentworker.runtime.records import queue_state
from contentworker.runtime.transport.protocol import Protocol

__all__ = ["HealthStatus", "QueueHealth", "check_queues"]

POLL_SECONDS = 0.01
INSPECT_SECONDS = 1.0
MESSAGES_AT_A_TIME = 10
NEWEST_MESSAGES = 1000
"""Messages to search for a probe to take back. One that is not among them expires when a worker takes it."""

HealthStatus = Literal["ok", "busy", "paused", "down"]


class QueueHealth(BaseModel):
    """Health of one queue."""

    queue: str
    status: HealthStatus = Field(
        description="`ok`: a worker answered; `busy`: its workers are running tasks, so the probe still "
        "waited when its time was up; `paused`: you paused it; "
        "`down`: no worker serves it, or none that does answers."
    )
    latency_seconds: float | None = Field(description="Time from sending the probe to its answer.")
    depth: int = Field(description="Messages waiting, before the probe was sent.")
    waiting_for_limit: int = Field(description="How many of these wait for their limit.")
    oldest_message_seconds: float | None = Field(
        description="Age of the message at the front, if its sender stamped it, as our clients do."
    )
    workers: list[str] = Field(description="Workers that serve it; only filled if the probe got no answer.")


def check_queues(app: Celery, queues: Iterable[str], timeout_seconds: float) -> list[QueueHealth]:
    """Send a probe through each queue and wait for all answers, at most `timeout_seconds` in all.

    Deletes an unanswered probe, so that probes do not pile up in a queue without workers.

    Raises:
        kombu.exceptions.OperationalError: Redis is unreachable.
    """
    names = list(queues)
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1)
        with connection.default_channel.conn_or_acquire() as client:
            waiting = queue_state.waiting(client, names)
            paused = Protocol(client).paused()
    sent = time.monotonic()
    pending = {
        name: app.send_task(HEALTH_TASK, queue=name, expires=timeout_seconds, retry=False)
        for name in names
        if name not in paused
    }
    latencies = _await_answers(pending, sent, timeout_seconds)
    unanswered = [name for name in names if name not in {*latencies, *paused}]
    workers, busy = _workers(app, unanswered) if unanswered else ({}, set())
    worked_on: set[str] = set()
    with app.connection_for_write() as connection:
        if unanswered:
            with connection.default_channel.conn_or_acquire() as client:
                worked_on = queue_state.worked_on(client)
        for name in unanswered:
            _take_back(connection, name, pending[name].id)
            pending[name].forget()
    return [
        QueueHealth(
            queue=name,
            status=_status(
                is_paused=name in paused,
                answered=name in latencies,
                # Or it holds messages: a busy worker may take longer to say what it runs than we wait.
                is_busy=name in worked_on or bool(busy & set(workers.get(name, ()))),
            ),
            latency_seconds=latencies.get(name),
            depth=waiting[name].number,
            waiting_for_limit=waiting[name].parked,
            oldest_message_seconds=waiting[name].oldest_seconds,
            workers=workers.get(name, []),
        )
        for name in names
    ]


def _status(*, is_paused: bool, answered: bool, is_busy: bool) -> HealthStatus:
    if is_paused:
        return "paused"
    return "ok" if answered else "busy" if is_busy else "down"


def _await_answers(pending: dict[str, AsyncResult], sent: float, timeout_seconds: float) -> dict[str, float]:
    # Polled and not subscribed to, so that each answer has a time of its own, whatever their order.
    latencies: dict[str, float] = {}
    while len(latencies) < len(pending) and (elapsed := time.monotonic() - sent) < timeout_seconds:
        for name, result in pending.items():
            if name not in latencies and result.successful():
                latencies[name] = elapsed
                result.forget()
        time.sleep(POLL_SECONDS)
    return latencies


def _take_back(connection: Connection, queue: str, task_id: str) -> None:
    """Delete a probe that still waits: Redis keeps an expired message until a worker takes it."""
    channel: Any = connection.default_channel
    with channel.conn_or_acquire() as client:
        # A few at a time from the newest on, where the probe is: messages may be articles of 2 MB.
        for start in range(0, NEWEST_MESSAGES, MESSAGES_AT_A_TIME):
            for raw in client.lrange(queue, start, start + MESSAGES_AT_A_TIME - 1):
                if task_id.encode() in raw:
                    client.lrem(queue, 1, raw)
                    return


def _workers(app: Celery, queues: list[str]) -> tuple[dict[str, list[str]], set[str]]:
    """Workers by queue, and the workers that are running a task."""
    inspect = app.control.inspect(timeout=INSPECT_SECONDS)
    serving = inspect.active_queues() or {}
    workers = {
        queue: sorted(
            node for node, served in serving.items() if queue in [item["name"] for item in served or ()]
        )
        for queue in queues
    }
    busy = {node for node, running in (inspect.active() or {}).items() if running} if serving else set()
    return workers, busy
