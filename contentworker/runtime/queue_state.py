"""What Redis holds of the queues' messages: waiting, delayed, held and dead. Nothing is written.

Messages may be articles of megabytes, so they are looked at where they are: scripts return counts and times,
never a message. Each script is short, lest Redis keeps the workers waiting.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contentworker.runtime.dead_letters import PRIORITY_MARK, STREAM
from contentworker.runtime.transport.protocol import DELAYED, LEASES, PAUSED, held_key

__all__ = ["QueueState", "State", "Waiting", "read", "since", "waiting"]

PRIORITIES = ("", *(f"{PRIORITY_MARK}{priority}" for priority in (3, 6, 9)))
"""What a queue's lists have after its name: kombu's standard priorities."""
RECORDS_AT_A_TIME = 500
BYTES_AT_A_TIME = 4_000_000
MOST_HOLDERS = 1_000

# Time and due time of the message that a list gives next; of a string they are found without parsing it, as
# neither pattern can occur within one: its quotes would be escaped there.
_WAITING = """
local found = {0}
for _, key in ipairs(KEYS) do
    local length = redis.call('LLEN', key)
    if length > 0 then
        local raw = redis.call('LINDEX', key, -1)
        found[1] = found[1] + length
        found[#found + 1] = string.match(raw, '"sent_at"%s*:%s*"([^"]*)"') or ''
        found[#found + 1] = string.match(raw, '"eta"%s*:%s*"([^"]*)"') or ''
    end
end
return found
"""

_COUNT = """
local at, stop, bytes, counts = tonumber(ARGV[1]), ARGV[1] + ARGV[2], 0, {}
local function count(record)
    local key = string.match(record, '^1\\n([^\\n]*)\\n')
    if key then counts[key] = (counts[key] or 0) + 1 end
    bytes = bytes + #record
end
"""

_RETURN = """
local found = {at}
for key, number in pairs(counts) do
    found[#found + 1] = key
    found[#found + 1] = number
end
return found
"""

_COUNT_DELAYED = (
    _COUNT
    + """
while at < stop and bytes < tonumber(ARGV[3]) do
    local member = redis.call('ZRANGE', KEYS[1], at, at)[1]
    if not member then break end
    count(member)
    at = at + 1
end
"""
    + _RETURN
)

_COUNT_HELD = (
    _COUNT
    + """
for _, tag in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.match(tag, '^%d+-%d+$') and at < stop then
        count(redis.call('HGET', KEYS[1], tag))
        at = at + 1
    end
end
"""
    + _RETURN
)


@dataclass(frozen=True)
class Waiting:
    """The messages in a queue's lists."""

    number: int
    oldest_seconds: float | None
    """Since the message that is next, in whichever of the lists that is longest, could have been taken.

    None without a message, and where none says when it was sent: our own clients do."""


@dataclass(frozen=True)
class QueueState:
    """One queue."""

    queue: str
    ready: int
    """In its lists: a worker could take them."""
    delayed: int
    """Not due yet, retries among them."""
    held: int
    """Taken by a worker with a lease: it runs them, or has them lie ready."""
    oldest_message_seconds: float | None
    is_paused: bool


@dataclass(frozen=True)
class State:
    """All queues, at about one moment."""

    queues: tuple[QueueState, ...]
    leases: int
    """Workers that hold messages, or may; those of the plain transport have no leases."""
    dead_letters: int
    delayed_uncounted: int
    """Delayed messages beyond the bound, the last to be due: of any queue."""


def read(client: Any, queues: Sequence[str], most_records: int = 10_000) -> State:
    """Look at these queues. `client` is a redis-py client.

    At most `most_records` delayed messages are looked at, and as many held ones. Those of other queues are
    counted nowhere.

    Raises:
        redis.exceptions.RedisError: Redis is away, or refuses.
    """
    lists = waiting(client, queues)
    pipeline = client.pipeline(transaction=False)
    pipeline.smembers(PAUSED)
    pipeline.hkeys(LEASES)
    pipeline.xlen(STREAM)
    pipeline.zcard(DELAYED)
    paused, holders, dead_letters, delayed_number = pipeline.execute()
    looked_at, delayed = _delayed(client, min(delayed_number, most_records))
    held = _held(client, [_text(name) for name in holders[:MOST_HOLDERS]], most_records)
    names_paused = {_text(name) for name in paused}
    return State(
        queues=tuple(
            QueueState(
                queue=name,
                ready=lists[name].number,
                delayed=delayed[name],
                held=held[name],
                oldest_message_seconds=lists[name].oldest_seconds,
                is_paused=name in names_paused,
            )
            for name in queues
        ),
        leases=len(holders),
        dead_letters=dead_letters,
        delayed_uncounted=max(0, delayed_number - looked_at),
    )


def waiting(client: Any, queues: Iterable[str]) -> dict[str, Waiting]:
    """The waiting messages of each queue.

    Raises:
        redis.exceptions.RedisError: Redis is away, or refuses.
    """
    names = list(queues)
    script = client.register_script(_WAITING)
    pipeline = client.pipeline(transaction=False)
    for name in names:
        script(keys=[name + priority for priority in PRIORITIES], client=pipeline)
    now = datetime.now(UTC)
    found = {}
    for name, (number, *times) in zip(names, pipeline.execute(), strict=True):
        starts = map(since, times[::2], times[1::2])
        ages = [max(0.0, (now - start).total_seconds()) for start in starts if start]
        found[name] = Waiting(number, max(ages, default=None))
    return found


def since(sent_at: Any, eta: Any) -> datetime | None:
    """Since when a message could have been taken, by two of its headers: a delayed one since it was due.

    None where it does not say readably when it was sent.
    """
    sent = _time(sent_at)
    due = _time(eta) if eta else None
    return max(sent, due) if sent and due else sent


def _time(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(text))
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _delayed(client: Any, number: int) -> tuple[int, Counter[str]]:
    """How many of the delayed messages were looked at, and how many are of each queue."""
    script = client.register_script(_COUNT_DELAYED)
    counts: Counter[str] = Counter()
    at = 0
    while at < number:
        asked = min(RECORDS_AT_A_TIME, number - at)
        before, (at, *found) = at, script(keys=[DELAYED], args=[at, asked, BYTES_AT_A_TIME])
        _add(counts, found)
        if at == before:  # there were fewer by now
            break
    return at, counts


def _held(client: Any, holders: Sequence[str], most: int) -> Counter[str]:
    script = client.register_script(_COUNT_HELD)
    counts: Counter[str] = Counter()
    at = 0
    for name in holders:
        if at >= most:
            break
        at, *found = script(keys=[held_key(name)], args=[at, most - at])
        _add(counts, found)
    return counts


def _add(counts: Counter[str], found: Sequence[Any]) -> None:
    for key, number in zip(found[::2], found[1::2], strict=True):
        counts[_text(key).partition(PRIORITY_MARK)[0]] += number


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
