"""How many messages of each queue are waiting, delayed, held by a worker, or dead. Writes nothing.

Messages may be articles of megabytes, so scripts look at them inside Redis and return counts and times only.
Each script is short, because workers wait while it runs.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contentworker.printable import decoded
from contentworker.runtime.records import pauses
from contentworker.runtime.records.dead_letters import PRIORITY_MARK, STREAM
from contentworker.runtime.records.pauses import PAUSED_BY, Pause
from contentworker.runtime.transport.keys import (
    DELAYED,
    LEASES,
    LIMITS,
    PARKED,
    PAUSED,
    PREFIX,
    RENEWED,
    REVOKED,
    held_key,
)
from contentworker.runtime.transport.lease import LEASE_SECONDS
from contentworker.runtime.transport.scripts import load

__all__ = ["LimitState", "QueueState", "State", "Waiting", "read", "since", "waiting", "worked_on"]

PRIORITIES = ("", *(f"{PRIORITY_MARK}{priority}" for priority in (3, 6, 9)))
"""Ends of the names of a queue's lists: kombu's standard priorities."""
RECORDS_AT_A_TIME = 500
"""Most delayed messages that one script looks at."""
BYTES_AT_A_TIME = 4_000_000
"""A script stops after this many bytes of delayed messages."""
MOST_HOLDERS = 1_000
"""Most workers whose messages are counted."""
MOST_HELD = 10_000
"""Most held messages that are looked at."""

_WAITING = load(__file__, "waiting")
_COUNT_DELAYED = load(__file__, "count_delayed")
_COUNT_HELD = load(__file__, "count_held")


@dataclass(frozen=True)
class Waiting:
    """The messages of a queue that wait: in its lists, or parked as their limit is reached."""

    number: int
    oldest_seconds: float | None
    """Longest time that a next message has waited, among the queue's lists. Such a message is ready, and due.

    None if there is no message, or none that says when it was sent. Messages of our clients do. Of messages
    that wait for their limits, a hundred keys are looked at, and two megabytes."""
    parked: int = 0
    """How many of them wait for their limit (docs/limits.md)."""


@dataclass(frozen=True)
class QueueState:
    """One queue."""

    queue: str
    ready: int
    """Messages for any worker to take, at once or when their limit allows it."""
    delayed: int
    """Messages that are not due yet, retries included."""
    held: int
    """Messages that a worker with a lease has taken: it runs them, or has fetched them in advance."""
    oldest_message_seconds: float | None
    is_paused: bool
    pause: Pause | None = None
    """Who paused it, and when, where that is known."""
    parked: int = 0
    """Messages among the ready ones that wait for their limit."""


@dataclass(frozen=True)
class LimitState:
    """One limit of many tasks together."""

    limit: str
    taken: int
    """Places that running tasks have, if it has a concurrency."""
    waiting: int
    """Messages that may not start yet."""


@dataclass(frozen=True)
class State:
    """All queues, at about the same moment."""

    queues: tuple[QueueState, ...]
    leases: int
    """Workers with a lease, which hold messages or may; `plain` workers have none."""
    dead_letters: int
    delayed_uncounted: int
    """Delayed messages of any queue beyond the bound: those that are due last."""
    revocations: int = 0
    """Ids of revoked tasks that are kept."""
    limits: tuple[LimitState, ...] = ()
    """The limits that have a place taken or a message waiting, by name."""


def read(client: Any, queues: Sequence[str], most_records: int = 10_000) -> State:
    """Count the messages of these queues. `client` is a redis-py client.

    Looks at no more than `most_records` delayed messages, and as many held ones.

    Raises:
        redis.exceptions.RedisError: Redis is unreachable, or refuses.
    """
    lists = waiting(client, queues)
    pipeline = client.pipeline(transaction=False)
    pipeline.smembers(PAUSED)
    pipeline.hkeys(LEASES)
    pipeline.xlen(STREAM)
    pipeline.zcard(DELAYED)
    pipeline.hgetall(PAUSED_BY)
    pipeline.zcard(REVOKED)
    pipeline.hgetall(LIMITS)
    paused, holders, dead_letters, delayed_number, paused_by, revocations, limits = pipeline.execute()
    known = pauses.known(paused_by)
    looked_at, delayed = _delayed(client, min(delayed_number, most_records))
    held = _held(client, [decoded(name) for name in holders[:MOST_HOLDERS]], most_records)
    names_paused = {decoded(name) for name in paused}
    return State(
        queues=tuple(
            QueueState(
                queue=name,
                ready=lists[name].number,
                delayed=delayed[name],
                held=held[name],
                oldest_message_seconds=lists[name].oldest_seconds,
                is_paused=name in names_paused,
                pause=known.get(name) if name in names_paused else None,
                parked=lists[name].parked,
            )
            for name in queues
        ),
        leases=len(holders),
        dead_letters=dead_letters,
        delayed_uncounted=max(0, delayed_number - looked_at),
        revocations=revocations,
        limits=_limits({decoded(field): int(number) for field, number in limits.items()}),
    )


def waiting(client: Any, queues: Iterable[str]) -> dict[str, Waiting]:
    """The waiting messages of each queue.

    Raises:
        redis.exceptions.RedisError: Redis is unreachable, or refuses.
    """
    names = list(queues)
    script = client.register_script(_WAITING)
    pipeline = client.pipeline(transaction=False)
    for name in names:
        script(keys=[PARKED, PREFIX, *(name + priority for priority in PRIORITIES)], client=pipeline)
    now = datetime.now(UTC)
    queues_waiting = {}
    for name, (number, parked, *times) in zip(names, pipeline.execute(), strict=True):
        starts = map(since, times[::2], times[1::2])
        ages = [max(0.0, (now - start).total_seconds()) for start in starts if start]
        queues_waiting[name] = Waiting(number, max(ages, default=None), parked)
    return queues_waiting


def worked_on(client: Any) -> set[str]:
    """The queues whose messages a living worker holds: it renews its lease, so it is busy, not down.

    Raises:
        redis.exceptions.RedisError: Redis is unreachable, or refuses.
    """
    seconds, _ = client.time()
    holders = client.zrangebyscore(
        RENEWED, (seconds - LEASE_SECONDS) * 1000, "+inf", start=0, num=MOST_HOLDERS
    )
    return {*_held(client, [decoded(name) for name in holders], MOST_HELD)}


def _limits(numbers: dict[str, int]) -> tuple[LimitState, ...]:
    # The empty name is of messages without a limit, in a queue where others have one.
    names = {field.partition(":")[2] for field in numbers} - {""}
    return tuple(
        LimitState(name, numbers.get(f"taken:{name}", 0), numbers.get(f"waiting:{name}", 0))
        for name in sorted(names)
    )


def since(sent_at: Any, eta: Any) -> datetime | None:
    """When a message became ready, by two of its headers: when it was sent, or, if delayed, when it was due.

    None if the message does not say when it was sent.
    """
    sent = _time(sent_at)
    due = _time(eta) if eta else None
    return max(sent, due) if sent and due else sent


def _time(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(decoded(text))
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _delayed(client: Any, number: int) -> tuple[int, Counter[str]]:
    """How many delayed messages were looked at, and how many of them each queue has."""
    script = client.register_script(_COUNT_DELAYED)
    counts: Counter[str] = Counter()
    at = 0
    while at < number:
        asked = min(RECORDS_AT_A_TIME, number - at)
        before, (at, *numbers) = at, script(keys=[DELAYED], args=[at, asked, BYTES_AT_A_TIME])
        _add(counts, numbers)
        if at == before:  # there are fewer by now
            break
    return at, counts


def _held(client: Any, holders: Sequence[str], most: int) -> Counter[str]:
    script = client.register_script(_COUNT_HELD)
    counts: Counter[str] = Counter()
    at = 0
    for name in holders:
        if at >= most:
            break
        at, *numbers = script(keys=[held_key(name)], args=[at, most - at])
        _add(counts, numbers)
    return counts


def _add(counts: Counter[str], numbers: Sequence[Any]) -> None:
    for key, number in zip(numbers[::2], numbers[1::2], strict=True):
        counts[decoded(key).partition(PRIORITY_MARK)[0]] += number
