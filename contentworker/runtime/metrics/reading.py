"""What Redis knows at one moment: the queues' state, the workers' signs, and what workers have counted."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contentworker.runtime import queue_state
from contentworker.runtime.metrics.definitions import Metric
from contentworker.runtime.metrics.recording import PREFIX, SEPARATOR, WORKERS

__all__ = ["Sign", "Snapshot", "read"]

MOST_WORKERS = 500


@dataclass(frozen=True)
class Sign:
    """A worker's last sign of life."""

    worker: str
    queues: tuple[str, ...]
    timestamp_seconds: float
    age_seconds: float
    """By Redis's clock, which has both times."""


@dataclass(frozen=True)
class Snapshot:
    """All of it."""

    state: queue_state.State
    signs: tuple[Sign, ...]
    counted: dict[str, dict[tuple[str, ...], int]]
    """Metric's name → values of its labels, and the part of a histogram → millionths."""
    seconds: float
    """How long it took to read."""


def read(client: Any, queues: Sequence[str], metrics: Sequence[Metric]) -> Snapshot:
    """Read it. `client` is a redis-py client.

    Raises:
        redis.exceptions.RedisError: Redis is away, or refuses.
    """
    begun = time.monotonic()
    state = queue_state.read(client, queues)
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    pipeline.zrange(WORKERS, -MOST_WORKERS, -1, withscores=True)
    for metric in metrics:
        pipeline.hgetall(f"{PREFIX}:{metric.name}")
    (now, _), workers, *hashes = pipeline.execute()
    return Snapshot(
        state=state,
        signs=_signs(workers, now),
        counted={metric.name: _numbers(found) for metric, found in zip(metrics, hashes, strict=True)},
        seconds=time.monotonic() - begun,
    )


def _signs(found: Sequence[tuple[Any, float]], now: int) -> tuple[Sign, ...]:
    """Each worker's last: one that serves other queues than it did has two."""
    signs = {}
    for member, timestamp_seconds in found:  # the oldest first
        worker, *queues = _text(member).split(SEPARATOR)
        signs[worker] = Sign(worker, tuple(queues), timestamp_seconds, max(0.0, now - timestamp_seconds))
    return tuple(signs.values())


def _numbers(found: dict[Any, Any]) -> dict[tuple[str, ...], int]:
    return {_values(_text(field)): int(number) for field, number in found.items()}


def _values(field: str) -> tuple[str, ...]:
    return tuple(field.split(SEPARATOR)) if field else ()  # empty: a number without a label


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
