"""Measures what many workers cost: the beats that renew their leases, and workers that have nothing to do.

    nox -s bench -- benchmarks/scale.py [--json]

Registers so many workers in a Redis of its own and renews their leases in turn. Counted are the CPU of Redis
for a beat, and the time that a worker waits for its answer. Targets: with 2,000 workers 1.5 times the CPU of
ten workers in the same run, and 1 ms.

Then it starts a worker of one queue and one of four, with this transport and with Celery's own. It counts the
commands that Redis runs for each while there are no messages, those inside scripts included. Last, it pushes
messages into the lists of its queues, of any priority, and measures until the worker has taken each. Targets:
5 and 10 commands a second, and 100 ms for 99 of 100 messages.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import redis  # noqa: E402 -- needs the path above

from contentworker.runtime.development import local_redis  # noqa: E402 -- likewise
from contentworker.runtime.transport.protocol import CALM_SECONDS, Protocol  # noqa: E402 -- likewise

SIZES = (10, 100, 400, 1000, 2000)
RUNS = 3
BEATS = 10_000
"""Beats of a run, of all workers together."""
SETTLING_SECONDS = 3
COUNTED_SECONDS = 3 * CALM_SECONDS
MESSAGES = 100


def redis_cpu_seconds(client: redis.Redis) -> float:
    """CPU time, user and system, that Redis has used."""
    info = client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


def measure(client: redis.Redis, size: int) -> tuple[float, float]:
    """Seconds of Redis's CPU for a beat, and the median time that one takes, with so many workers."""
    client.flushall()
    protocol = Protocol(client)
    names = [f"host:place:{number}:{number:012x}" for number in range(size)]
    for name in names:
        protocol.register(name)
    times = []
    before = redis_cpu_seconds(client)
    for _ in range(BEATS // size):
        for name in names:
            asked = time.perf_counter()
            # No lease counts as silent, however slow the machine is.
            protocol.beat(name, silent_seconds=60)
            times.append(time.perf_counter() - asked)
    return (redis_cpu_seconds(client) - before) / len(times), statistics.median(times)


def idle(url: str, transport: str, queues: int) -> tuple[float, float, float]:
    """Commands a second for a worker without work; seconds until it takes a message, p50 and p99."""
    client = redis.Redis.from_url(url)
    client.flushall()
    names = ["evaluation", "rewrite", "escalation", "celery"][:queues]
    env = {**os.environ, "REDIS_URL": url, "WORKER__BROKER__TRANSPORT": transport}
    command = [sys.executable, "-m", "contentworker", "worker", *(f"--queue={name}" for name in names)]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as worker:
        try:
            while not client.exists("_kombu.binding.celery.pidbox"):
                if worker.poll() is not None:
                    sys.exit("the worker ended")
                time.sleep(0.1)
            time.sleep(SETTLING_SECONDS)
            before = commands(client)
            time.sleep(COUNTED_SECONDS)
            cost = (commands(client) - before) / COUNTED_SECONDS
            return (cost, *percentiles([taken_after(client, random.choice(names)) for _ in range(MESSAGES)]))
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait()
            client.close()


def taken_after(client: redis.Redis, queue: str) -> float:
    """Seconds until an idle worker has taken a message. It is none of Celery's, and ends as a dead letter."""
    time.sleep(random.uniform(0.05, 0.15))  # it is idle again
    key = random.choice([queue, *(f"{queue}\x06\x16{priority}" for priority in (3, 6, 9))])
    pushed = time.perf_counter()
    client.lpush(key, "{}")
    while client.exists(key):
        time.sleep(0.0005)
    return time.perf_counter() - pushed


def percentiles(values: list[float]) -> tuple[float, float]:
    """The median, and what 99 of 100 do not exceed."""
    return statistics.median(values), sorted(values)[round(len(values) * 0.99) - 1]


def commands(client: redis.Redis) -> int:
    """How many commands Redis has run, without this program's own."""
    found = client.info("commandstats")
    return sum(each["calls"] for name, each in found.items() if name != "cmdstat_info")


def main() -> None:
    """Print medians and ratios; with --json as JSON."""
    found: dict[int, list[tuple[float, float]]] = {size: [] for size in SIZES}
    with tempfile.TemporaryDirectory() as folder, local_redis.throwaway(Path(folder, "redis")) as url:
        client = redis.Redis.from_url(url)
        for _ in range(RUNS):
            for size in SIZES:
                found[size].append(measure(client, size))
        client.close()
        found_idle = {
            (queues, transport): idle(url, transport, queues)
            for queues in (1, 4)
            for transport in ("leased", "plain")
        }
    rows = {
        size: [statistics.median(each) * 1e6 for each in zip(*runs, strict=True)]
        for size, runs in found.items()
    }
    if "--json" in sys.argv:
        print(
            json.dumps({str(size): {"redis_us": row[0], "worker_us": row[1]} for size, row in rows.items()})
        )
        return
    print("| workers | Redis CPU of a beat, µs | ratio | a beat takes, µs |\n|---|---|---|---|")
    for size, (cpu, taken) in rows.items():
        print(f"| {size:,} | {cpu:.0f} | {cpu / rows[SIZES[0]][0]:.2f} | {taken:.0f} |")
    print("\n| idle worker | queues | commands a second | takes a message after, ms: p50 | p99 |")
    print("|---|---|---|---|---|")
    for (queues, transport), (cost, *latency) in found_idle.items():
        p50, p99 = (each * 1e3 for each in latency)
        print(f"| {transport} | {queues} | {cost:.1f} | {p50:.1f} | {p99:.1f} |")


if __name__ == "__main__":
    main()
