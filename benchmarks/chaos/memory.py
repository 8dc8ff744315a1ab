"""Memory of processes over time, and whether it is flat."""

import math
import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from benchmarks.chaos.brokers import Redis
from benchmarks.chaos.processes import Workers

__all__ = ["flatness", "samples"]

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MEBIBYTE = 1024 * 1024
HOUR_SECONDS = 3600


def samples(workers: Workers, store: Redis) -> Iterator[tuple[str, int, int]]:
    """Name, process and resident bytes of each worker's main process and of Redis, and what Redis counts."""
    for worker in workers.all:
        with suppress(OSError):
            yield worker.name, worker.pid, resident_bytes(worker.pid)
        with suppress(OSError):
            yield f"{worker.name} pool", worker.pid, sum(map(resident_bytes, _children(worker.pid)))
    with suppress(OSError):
        yield "redis", store.process.pid, resident_bytes(store.process.pid)
    with suppress(redis.RedisError):
        info: Any = store.client.info("memory")
        yield "redis used", store.process.pid, info["used_memory"]


def resident_bytes(pid: int) -> int:
    """What of a process is in memory, what it shares with others included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def flatness(points: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Mean MiB of the first and of the last quarter, and the slope with its 95 % interval, in MiB an hour.

    `points`: seconds and bytes, in the order of time; the fewest that say anything are eight.
    """
    times = [at / HOUR_SECONDS for at, _ in points]
    sizes = [size / MEBIBYTE for _, size in points]
    quarter = len(points) // 4
    slope, intercept = statistics.linear_regression(times, sizes)
    middle = statistics.fmean(times)
    errors = sum((size - slope * at - intercept) ** 2 for at, size in zip(times, sizes, strict=True))
    spread = sum((at - middle) ** 2 for at in times)
    return {
        "first_quarter": round(statistics.fmean(sizes[:quarter]), 1),
        "last_quarter": round(statistics.fmean(sizes[-quarter:]), 1),
        "slope": round(slope, 2),
        "slope_interval": round(1.96 * math.sqrt(errors / (len(points) - 2) / spread), 2),
    }
