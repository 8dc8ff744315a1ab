"""Measures what a real worker notices of a thousand others on the same Redis.

    nox -s bench -- benchmarks/crowd.py [--workers 1000] [--seconds 20] [--json]

The others are simulated by a few processes. Each renews its lease as a worker with work does, waits for a
message on a connection of its own, and fetches once a second. They hold no messages: a real worker without
work does less. Beside them a real worker serves a queue, to which a task is sent as soon as the result of the
one before is there.
"""

import argparse
import heapq
import json
import os
import random
import selectors
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import redis  # noqa: E402 -- needs the path above

from contentworker import config  # noqa: E402 -- likewise
from contentworker.runtime.development import local_redis  # noqa: E402 -- likewise
from contentworker.runtime.transport.keys import LEASES  # noqa: E402 -- likewise
from contentworker.runtime.transport.lease import BEAT_SECONDS  # noqa: E402 -- likewise
from contentworker.runtime.transport.protocol import Protocol  # noqa: E402 -- likewise
from contentworker.runtime.worker.application import build  # noqa: E402 -- likewise

PROCESSES = 2
QUEUE = "crowd"
"""Of the simulated workers; nothing is sent to it."""
FETCH_SECONDS = 1.0
"""Between two fetches of a simulated worker."""
WAIT = ("BLMOVE", QUEUE, QUEUE, "RIGHT", "RIGHT", FETCH_SECONDS)


def simulate(url: str, first: int, count: int) -> None:
    """Be so many workers, until stdin is closed."""
    client = redis.Redis.from_url(url, max_connections=count + 1)
    protocol, selector = Protocol(client), selectors.DefaultSelector()
    beats: list[tuple[float, str]] = []
    fetches: dict[str, int] = {}
    for number in range(first, first + count):
        name = f"elsewhere:boot:{number}:{number:012x}"
        protocol.register(name)
        heapq.heappush(beats, (time.monotonic() + random.uniform(0, BEAT_SECONDS), name))
        fetches[name] = 0
        connection: Any = client.connection_pool.get_connection()
        connection.send_command(*WAIT)
        selector.register(connection._sock, selectors.EVENT_READ, (name, connection))  # noqa: SLF001
    selector.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        while beats[0][0] <= time.monotonic():
            due, name = heapq.heappop(beats)
            protocol.beat(name)
            heapq.heappush(beats, (max(due + BEAT_SECONDS, time.monotonic()), name))
        for key, _ in selector.select(max(0, beats[0][0] - time.monotonic())):
            if key.data is None:
                return
            name, connection = key.data
            connection.read_response()
            fetches[name] += 1
            protocol.fetch(name, fetches[name], 2, [QUEUE])
            connection.send_command(*WAIT)


@contextmanager
def crowd(url: str, count: int) -> Iterator[None]:
    """So many simulated workers."""
    share = -(-count // PROCESSES)
    started = []
    for number in range(PROCESSES if count else 0):
        command = [sys.executable, __file__, "--simulate", url, str(number * share), str(share)]
        started.append(
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    try:
        for each in started:
            assert each.stdout
            if each.stdout.readline() != "ready\n":
                sys.exit("a process that simulates workers ended")
        yield
    finally:
        for each in started:
            each.communicate()


@contextmanager
def real_worker(url: str) -> Iterator[None]:
    """One worker, as a service starts it."""
    command = [sys.executable, "-m", "contentworker", "worker", "--queue=celery"]
    env = {**os.environ, "REDIS_URL": url}
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as worker:
        try:
            yield
        finally:
            worker.send_signal(signal.SIGTERM)


def measure(client: redis.Redis, app: Any, seconds: float) -> dict[str, float]:
    """Send tasks for so long; return how long they took, and what Redis did."""

    def used() -> tuple[float, int]:
        cpu: Any = client.info("cpu")
        statistics_of_commands: Any = client.info("commandstats")
        calls = sum(each["calls"] for each in statistics_of_commands.values())
        return cpu["used_cpu_user"] + cpu["used_cpu_sys"], calls

    app.send_task("tasks.health_check").get(timeout=120)  # the worker is there
    times = []
    began, (cpu, calls) = time.monotonic(), used()
    while time.monotonic() < began + seconds:
        sent = time.perf_counter()
        app.send_task("tasks.health_check").get(timeout=120)
        times.append(time.perf_counter() - sent)
    took, (cpu_after, calls_after) = time.monotonic() - began, used()
    centiles = statistics.quantiles(times, n=100)
    return {
        "tasks": len(times),
        "p50_ms": centiles[49] * 1000,
        "p99_ms": centiles[98] * 1000,
        "redis_cpu_percent": (cpu_after - cpu) / took * 100,
        "commands_per_second": (calls_after - calls) / took,
    }


def main() -> None:
    """Print what was measured alone and among the others; with --json as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, local_redis.throwaway(Path(folder, "redis")) as url:
        client = redis.Redis.from_url(url)
        app = build(config.load(), url)
        with real_worker(url):
            for count in (0, options.workers):
                with crowd(url, count):
                    rows[count] = measure(client, app, options.seconds)
                    found: Any = client.hlen(LEASES)
                    if found < count + 1:
                        sys.exit(f"{count + 1 - found} leases were lost")
        app.close()
        client.close()
    if options.json:
        print(json.dumps(rows))
        return
    print("| other workers | a task takes, p50 / p99 | CPU of Redis | commands a second |\n|---|---|---|---|")
    for count, row in rows.items():
        print(
            f"| {count:,} | {row['p50_ms']:.0f} / {row['p99_ms']:.0f} ms | {row['redis_cpu_percent']:.0f} % "
            f"| {row['commands_per_second']:,.0f} |"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--simulate"]:
        simulate(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
