"""Reads the state of the queues, the workers' signs of life and what the workers counted, at one moment."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contentworker.printable import decoded
from contentworker.runtime.metrics.definitions import Metric
from contentworker.runtime.metrics.recording import PREFIX, SEPARATOR, SLOTS, WORKERS
from contentworker.runtime.records import queue_state, schedules
from contentworker.runtime.records.schedules import Schedules

__all__ = ["Sign", "Snapshot", "read"]

MOST_WORKERS = 500
"""Workers to show: those with the newest signs of life."""


@dataclass(frozen=True)
class Sign:
    """A worker's last sign of life."""

    worker: str
    queues: tuple[str, ...]
    timestamp_seconds: float
    age_seconds: float
    """Age by the clock of Redis, which also made the timestamp."""
    slots: int = 0
    """Tasks that it can run at the same time; 0: a worker of a release that did not say so."""
    busy_slots: int = 0
    """Tasks that it ran then."""


@dataclass(frozen=True)
class Snapshot:
    """What Redis knew at one moment."""

    state: queue_state.State
    signs: tuple[Sign, ...]
    schedules: Schedules
    counted: dict[str, dict[tuple[str, ...], int]]
    """Millionths by the metric's name, and by the values of its labels (and the part of a histogram)."""
    seconds: float
    """How long reading took."""


def read(client: Any, queues: Sequence[str], metrics: Sequence[Metric]) -> Snapshot:
    """Read a snapshot. `client` is a redis-py client.

    Raises:
        redis.exceptions.RedisError: Redis is unreachable, or refuses a command.
    """
    begun = time.monotonic()
    state = queue_state.read(client, queues)
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    pipeline.zrange(WORKERS, -MOST_WORKERS, -1, withscores=True)
    pipeline.hgetall(SLOTS)
    for metric in metrics:
        pipeline.hgetall(f"{PREFIX}:{metric.name}")
    (now, _), workers, slots, *hashes = pipeline.execute()
    return Snapshot(
        state=state,
        signs=_signs(workers, {decoded(key): decoded(value) for key, value in slots.items()}, now),
        schedules=schedules.read(client),
        counted={metric.name: _numbers(fields) for metric, fields in zip(metrics, hashes, strict=True)},
        seconds=time.monotonic() - begun,
    )


def _signs(members: Sequence[tuple[Any, float]], slots: Mapping[str, str], now: int) -> tuple[Sign, ...]:
    """Each worker's last sign: a worker that now serves other queues than before has two members."""
    signs = {}
    for member, timestamp_seconds in members:  # the oldest first
        worker, *queues = decoded(member).split(SEPARATOR)
        number, _, busy = slots.get(worker, "0").partition(SEPARATOR)
        age_seconds = max(0.0, now - timestamp_seconds)
        signs[worker] = Sign(
            worker, tuple(queues), timestamp_seconds, age_seconds, int(number), int(busy or 0)
        )
    return tuple(signs.values())


def _numbers(fields: dict[Any, Any]) -> dict[tuple[str, ...], int]:
    return {_labels(decoded(field)): int(number) for field, number in fields.items()}


def _labels(field: str) -> tuple[str, ...]:
    return tuple(field.split(SEPARATOR)) if field else ()  # a number without labels has an empty field
