"""Measures what a limit of many tasks together costs: CPU for each task, and a fetch while many keys wait.

    nox -s bench -- benchmarks/limits.py
    python benchmarks/limits.py [--quick]

It prints two tables, from which docs/limits.md says what a limit costs, and keeps every measurement in
`benchmarks/results/limits.json` (`--quick`: nowhere). CPU is that of the worker and the server together, as
in `benchmarks/transport.py`: the same worker runs no-op tasks without a limit, and with one that is never
reached, in turn. The time of a fetch is the server's own (`INFO commandstats`), with the admission that
follows where nothing was parked.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.transport import SECONDS, Load, Sample, Side, run_in_turn  # noqa: E402 -- needs the path above
from contentworker.runtime.development import local_redis  # noqa: E402 -- needs the path above
from contentworker.runtime.transport.limits import Limit, in_json, partition  # noqa: E402 -- likewise
from contentworker.runtime.transport.protocol import Protocol  # noqa: E402 -- likewise

RESULTS = ROOT / "benchmarks" / "results" / "limits.json"
KEPT = {"LIMITS__MAX_TASKS_PER_CHILD": "1000000"}
MOST_CPU, MOST_FETCH = 1.15, 2.0
"""The bars: how much more than without a limit, and than without waiting keys."""
ONE_QUEUE = {"LIMITS__ONE__QUEUES": '["celery"]'}
SIDES = [
    Side("no limit", "our_app", SECONDS, "typed.", KEPT),
    Side(
        "a concurrency",
        "our_app",
        SECONDS,
        "typed.",
        {**KEPT, **ONE_QUEUE, "LIMITS__ONE__CONCURRENCY": "1000"},
    ),
    Side("a rate", "our_app", SECONDS, "typed.", {**KEPT, **ONE_QUEUE, "LIMITS__ONE__RATE": "100000/s"}),
    Side(
        "a concurrency for each of as many keys as tasks",
        "our_app",
        SECONDS,
        "typed.",
        {**KEPT, **ONE_QUEUE, "LIMITS__ONE__CONCURRENCY": "1", "LIMITS__ONE__HEADER": "id"},
    ),
    Side(
        "a concurrency for each value of an argument",
        "keyed_app",
        SECONDS,
        "typed.",
        {**KEPT, **ONE_QUEUE, "LIMITS__ONE__CONCURRENCY": "1000"},
    ),
]
LIMITS = in_json({"one": Limit(1, 0, 0)})
LIST = "celery"
AT_A_TIME = 500
"""Messages of one script of the set-up."""


@dataclass(frozen=True)
class Fetch:
    """A situation in which fetches are timed."""

    name: str
    blocked: int
    """Keys with a message that may not start, as the key's place is taken."""
    ready: int
    """Keys with messages that may start."""


FETCHES = (
    Fetch("no key waits", 0, 0),
    Fetch("10,000 keys wait for a place", 10_000, 0),
    Fetch("10 keys may start", 0, 10),
    Fetch("10,000 keys may start", 0, 10_000),
)


def time_fetches(client: redis.Redis, fetch: Fetch, count: int) -> float:
    """Microseconds that the server takes for a fetch of one message, and to let it start."""
    client.flushall()
    protocol = Protocol(client)
    for holder in ("other", "ours"):
        protocol.register(holder)
    numbers = iter(range(1, 10**9))
    put(protocol, client, numbers, [f"blocked-{key}" for key in range(fetch.blocked)] * 2, room=fetch.blocked)
    each = max(1, count // fetch.ready + 1) if fetch.ready else 0
    put(protocol, client, numbers, [f"ready-{key}" for key in range(fetch.ready)] * each, room=0)
    if not fetch.ready:
        client.lpush(LIST, *(b'{"n":%d}' % number for number in range(count)))
    done: list[str] = []
    client.config_resetstat()
    for number in range(1, count + 1):
        answer = protocol.fetch("ours", number, 1, [LIST], done, limits=LIMITS)
        _, (taken,) = protocol.fetched(answer)
        if not taken.partition:
            protocol.admit("ours", 1, LIMITS, [(taken.tag, partition("one", str(number)), True)])
        done = [taken.tag, f"place:{taken.tag}"]
    stats: Any = client.info("commandstats")
    return float(stats["cmdstat_evalsha"]["usec"]) / count


def put(
    protocol: Protocol, client: redis.Redis, numbers: Iterator[int], keys: Sequence[str], *, room: int
) -> None:
    """Have a message of each key wait, but for as many as there is room for: they have the keys' places."""
    for start in range(0, len(keys), AT_A_TIME):
        some = keys[start : start + AT_A_TIME]
        client.lpush(LIST, *(b"{}" for _ in some))
        _, taken = protocol.fetched(protocol.fetch("other", next(numbers), len(some), [LIST]))
        asked = [(each.tag, partition("one", key), True) for each, key in zip(taken, some, strict=True)]
        protocol.admit("other", room, LIMITS, asked)


def ratios(samples: dict[str, list[Sample]]) -> dict[str, float]:
    """CPU for a task beside that without a limit: the median of the rounds' ratios."""
    first = samples[SIDES[0].name]
    return {
        name: statistics.median(
            one["cpu_milliseconds_per_task"] / base["cpu_milliseconds_per_task"]
            for one, base in zip(each, first, strict=True)
        )
        for name, each in samples.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few measurements, kept nowhere")
    options = parser.parse_args(arguments)
    rounds, tasks, fetches = (2, 1_000, 500) if options.quick else (7, 6_000, 3_000)
    with tempfile.TemporaryDirectory() as folder, local_redis.throwaway(Path(folder)) as url:
        client = redis.Redis.from_url(url)
        times = {fetch.name: [time_fetches(client, fetch, fetches) for _ in range(3)] for fetch in FETCHES}
        client.close()
    print("| a fetch while | microseconds in Redis |\n|---|---|")
    for name, microseconds in times.items():
        print(f"| {name} | {statistics.median(microseconds):.0f} |")
    samples = run_in_turn(SIDES, Load("limits", tasks, stores_results=False), rounds)
    print("\n| limit | CPU of a task, ms | beside none |\n|---|---|---|")
    found = ratios(samples)
    for name, each in samples.items():
        cpu = statistics.median(one["cpu_milliseconds_per_task"] for one in each)
        print(f"| {name} | {cpu:.3f} | {found[name]:.2f} |")
    if not options.quick:
        RESULTS.write_text(json.dumps({"fetch_microseconds": times, "tasks": samples}, indent=1) + "\n")
    medians = [statistics.median(times[fetch.name]) for fetch in FETCHES]
    worst = max(medians[1] / medians[0], medians[3] / medians[2])
    if max(found.values()) > MOST_CPU or worst > MOST_FETCH:
        sys.exit(f"A bar is missed: {max(found.values()):.2f} of {MOST_CPU}, {worst:.2f} of {MOST_FETCH}")


if __name__ == "__main__":
    main()
