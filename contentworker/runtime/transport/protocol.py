"""The steps of the protocol. Each is one script or one command, which Redis does whole or not at all.

`README.md` beside this file has the states of a message and why no step can lose it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

__all__ = [
    "DELAYED",
    "IDLE",
    "LEASES",
    "PAUSED",
    "PREFIX",
    "REPLACES",
    "VERSION",
    "Beat",
    "HolderGoneError",
    "Protocol",
    "held_key",
    "record",
    "started_field",
]

VERSION = "1"
PREFIX = "contentworker:transport"
"""Key of the protocol's version, and start of every other key."""

LEASES = f"{PREFIX}:leases"
"""Hash: holder → how often it has renewed its lease."""
DELAYED = f"{PREFIX}:delayed"
"""Sorted set of records by the time they are due, in milliseconds of Redis's clock."""
PAUSED = f"{PREFIX}:paused"
"""Set of queues that nothing is taken from; what is taken already runs on."""
IDLE = f"{PREFIX}:idle"
"""Never written: to block on it is to wait."""

REPLACES = "replaces"
"""Property of a message that is published in the place of a held one, in one step: its holder and tag."""

PROMOTED_AT_A_TIME = 500


class HolderGoneError(Exception):
    """The holder has no lease: it never registered, or another worker took back what it held."""


def record(key: str, origin: str, raw: str) -> str:
    """A message outside of its list: version, the list, who made the record, and the message untouched."""
    return f"{VERSION}\n{key}\n{origin}\n{raw}"


# Redis refuses a script on a full server if its first write may grow memory, but never stops one midway
# (redis.io, "Lua scripts and maxmemory"; the same in 6.2). So each script begins with a write that shrinks.
_RECORDS = """
local function pack(key, origin, raw) return '1\\n' .. key .. '\\n' .. origin .. '\\n' .. raw end
local function unpack_record(record)
    local version, key, at = string.match(record, '^(%d+)\\n([^\\n]*)\\n[^\\n]*\\n()')
    if version ~= '1' then return nil end
    return key, string.sub(record, at)
end
local function delivered_again(raw)
    local count, rest = string.match(raw, '^{"deliveries":(%d+),()')
    if count then return '{"deliveries":' .. (count + 1) .. ',' .. string.sub(raw, rest) end
    local first = string.match(raw, '^{%s*()"')
    if first then return '{"deliveries":1,' .. string.sub(raw, first) end
    return raw
end
-- Puts fields of a holder's hash back at the front of their lists, in the order they had there.
local function put_back(held, counted, wanted)
    local found, started, unknown = {}, {}, 0
    local all = redis.call('HGETALL', held)
    for i = 1, #all, 2 do
        local number, place = string.match(all[i], '^(%d+)-(%d+)$')
        if number and (not wanted or number == wanted) then
            found[#found + 1] = {tonumber(number), tonumber(place), all[i], all[i + 1]}
        elseif string.sub(all[i], 1, 8) == 'started:' then
            started[string.sub(all[i], 9)] = true
        end
    end
    table.sort(found, function(a, b)
        if a[1] ~= b[1] then return a[1] > b[1] end
        return a[2] > b[2]
    end)
    local moved = 0
    for _, each in ipairs(found) do
        local key, raw = unpack_record(each[4])
        if key then
            redis.call('HDEL', held, each[3], 'started:' .. each[3])
            -- From the second time on only what had been started counts: the rest only stood in line.
            if counted and (started[each[3]] or not string.match(raw, '^{"deliveries":')) then
                raw = delivered_again(raw)
            end
            redis.call('RPUSH', key, raw)
            moved = moved + 1
        else
            unknown = unknown + 1
        end
    end
    return moved, unknown
end
"""

_REGISTER = """
local version = redis.call('GET', KEYS[1])
if version and version ~= ARGV[1] then return version end
redis.call('HDEL', KEYS[2], '')
redis.call('SET', KEYS[1], ARGV[1])
redis.call('HSETNX', KEYS[2], ARGV[2], 0)
return ARGV[1]
"""

_FETCH = (
    _RECORDS
    + """
local holder, number, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local acknowledged = #ARGV > 3 and redis.call('HDEL', KEYS[2], unpack(ARGV, 4)) or 0
if redis.call('HEXISTS', KEYS[1], holder) == 0 then return {-1, 0} end
local cancelled = redis.call('HGET', KEYS[2], 'cancelled')
if cancelled and tonumber(number) <= tonumber(cancelled) then return {acknowledged, 0} end
local found, taken, paused = {acknowledged}, 0, 0
for i = 4, #KEYS do
    local is_paused = redis.call('SISMEMBER', KEYS[3], string.match(KEYS[i], '^[^\\6]*')) == 1
    if is_paused then paused = 1 end
    while taken < limit and not is_paused do
        local raw = redis.call('RPOP', KEYS[i])
        if not raw then break end
        local tag = number .. '-' .. taken
        redis.call('HSET', KEYS[2], tag, pack(KEYS[i], holder .. '/' .. tag, raw))
        found[#found + 1] = tag
        found[#found + 1] = KEYS[i]
        found[#found + 1] = raw
        taken = taken + 1
    end
end
found[#found + 1] = paused
return found
"""
)

_CANCEL_FETCH = (
    _RECORDS
    + """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
put_back(KEYS[2], false, ARGV[2])
redis.call('HDEL', KEYS[2], '')
local cancelled = redis.call('HGET', KEYS[2], 'cancelled')
if not cancelled or tonumber(cancelled) < tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[2], 'cancelled', ARGV[2])
end
return 1
"""
)

_GIVE_BACK = (
    _RECORDS
    + """
local held = redis.call('HGET', KEYS[1], ARGV[1])
if not held then return 0 end
local key, raw = unpack_record(held)
if not key then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1], 'started:' .. ARGV[1])
redis.call(ARGV[2], key, raw)
return 1
"""
)

_START = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then redis.call('HSET', KEYS[1], ARGV[2], 1) end
"""

_DELAY = """
local time = redis.call('TIME')
if tonumber(ARGV[2]) <= time[1] * 1000 + time[2] / 1000 then return 0 end
local held = redis.call('HGET', KEYS[1], ARGV[1])
if not held then return 1 end
redis.call('HDEL', KEYS[1], ARGV[1], 'started:' .. ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[2], held)
return 1
"""

_REPLACE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1], 'started:' .. ARGV[1])
if ARGV[3] == '' then
    redis.call('LPUSH', KEYS[2], ARGV[2])
else
    redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
end
return 1
"""

_BEAT = (
    _RECORDS
    + """
redis.call('HDEL', KEYS[1], '')
local alive = redis.call('HEXISTS', KEYS[1], ARGV[1])
if alive == 1 then redis.call('HINCRBY', KEYS[1], ARGV[1], 1) end
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[2])
local promoted = 0
for i = #due, 1, -1 do
    local key, raw = unpack_record(due[i])
    if key then
        redis.call('ZREM', KEYS[2], due[i])
        redis.call('RPUSH', key, raw)
        promoted = promoted + 1
    end
end
return {alive, promoted, redis.call('HGETALL', KEYS[1])}
"""
)

_RECLAIM = (
    _RECORDS
    + """
if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {0, 0} end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], 'cancelled')
local moved, unknown = put_back(KEYS[2], ARGV[3] == '1', nil)
return {moved, unknown}
"""
)

_HAND_BACK = (
    _RECORDS
    + """
local moved = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)) do
    local key, raw = unpack_record(member)
    if key then
        redis.call('ZREM', KEYS[1], member)
        redis.call('LPUSH', key, raw)
        moved = moved + 1
    end
end
return moved
"""
)

_PURGE_DELAYED = (
    _RECORDS
    + """
local lists, purged = {}, 0
for _, key in ipairs(ARGV) do lists[key] = true end
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local key = unpack_record(member)
    if key and lists[key] then purged = purged + redis.call('ZREM', KEYS[1], member) end
end
return purged
"""
)


@dataclass(frozen=True)
class Beat:
    """What a worker learns from a beat."""

    alive: bool
    """Whether its own lease still stood, and so is renewed."""
    promoted: int
    """Delayed messages that were due and are now at the front of their lists."""
    leases: Mapping[str, int]
    """How often each holder has renewed its lease."""


class Protocol:
    """The protocol over a redis-py client. Every method may be repeated if its answer was lost."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._register = client.register_script(_REGISTER)
        self.fetch_script = client.register_script(_FETCH)
        self._cancel_fetch = client.register_script(_CANCEL_FETCH)
        self._give_back = client.register_script(_GIVE_BACK)
        self._delay = client.register_script(_DELAY)
        self._replace = client.register_script(_REPLACE)
        self._start = client.register_script(_START)
        self._beat = client.register_script(_BEAT)
        self._reclaim = client.register_script(_RECLAIM)
        self._hand_back = client.register_script(_HAND_BACK)
        self._purge_delayed = client.register_script(_PURGE_DELAYED)

    def register(self, holder: str) -> None:
        """Give a holder its lease.

        Raises:
            ValueError: the records in Redis are of another version; nothing was written.
        """
        version = _text(self._register(keys=[PREFIX, LEASES], args=[VERSION, holder]))
        if version != VERSION:
            raise ValueError(
                f"Redis holds records of version {version} of this transport (key {PREFIX}); "
                f"this is version {VERSION}"
            )
        self.load_fetch()

    def load_fetch(self) -> None:
        """Have Redis know the fetch script, which is sent by its digest only."""
        self._client.script_load(_FETCH)

    def fetch_command(
        self, holder: str, number: int, limit: int, lists: Sequence[str], acknowledged: Sequence[str] = ()
    ) -> list[Any]:
        """The command that takes at most `limit` messages from the first lists that have any.

        `number` grows with each fetch of a holder. The messages with the tags in `acknowledged` are let go
        of in the same step. The answer goes to `fetched`.
        """
        keys = [LEASES, held_key(holder), PAUSED, *lists]
        return ["EVALSHA", self.fetch_script.sha, len(keys), *keys, holder, number, limit, *acknowledged]

    @staticmethod
    def fetched(answer: Any) -> tuple[int, list[tuple[str, str, bytes]]]:
        """How many were acknowledged; and tag, list and bytes of each message that was taken, in order.

        Raises:
            HolderGoneError: nothing was taken, as the holder has no lease.
        """
        if answer[0] < 0:
            raise HolderGoneError
        messages = range(1, len(answer) - 1, 3)
        return answer[0], [(_text(answer[i]), _text(answer[i + 1]), _bytes(answer[i + 2])) for i in messages]

    @staticmethod
    def met_a_pause(answer: Any) -> bool:
        """Whether a fetch passed over a queue that is paused."""
        return bool(answer[-1])

    def pause(self, queue: str) -> None:
        """Have nobody take anything from a queue, until `resume`."""
        self._client.sadd(PAUSED, queue)

    def resume(self, queue: str) -> None:
        """End a queue's pause, if it has one."""
        self._client.srem(PAUSED, queue)

    def paused(self) -> set[str]:
        """The queues that are paused."""
        return {_text(name) for name in self._client.smembers(PAUSED)}

    def fetch(
        self, holder: str, number: int, limit: int, lists: Sequence[str], acknowledged: Sequence[str] = ()
    ) -> Any:
        """Take messages, and wait for the answer, which goes to `fetched`."""
        command = self.fetch_command(holder, number, limit, lists, acknowledged)
        try:
            return self._client.execute_command(*command)
        except redis.exceptions.NoScriptError:
            self.load_fetch()
            return self._client.execute_command(*command)

    def cancel_fetch(self, holder: str, number: int) -> None:
        """Put back what a fetch took whose answer was lost; if it has not run yet, it never will."""
        self._cancel_fetch(keys=[LEASES, held_key(holder)], args=[holder, number])

    def acknowledge(self, holder: str, *tags: str) -> int:
        """Let go of messages for good; return how many of them the holder still held."""
        removed: int = self._client.hdel(held_key(holder), *tags)
        return removed

    def start(self, holder: str, tag: str) -> None:
        """Note that a message's work begins, so that a death of the worker counts as its delivery."""
        self._start(keys=[held_key(holder)], args=[tag, started_field(tag)])

    def held(self, holder: str) -> list[str]:
        """The tags of all that a holder holds."""
        fields = map(_text, self._client.hkeys(held_key(holder)))
        return [field for field in fields if field[:1].isdigit()]

    def give_back(self, holder: str, tag: str, *, front: bool) -> bool:
        """Put a message back into its list; False if it was not held any more."""
        command = "RPUSH" if front else "LPUSH"
        return bool(self._give_back(keys=[held_key(holder)], args=[tag, command]))

    def delay(self, holder: str, tag: str, due_milliseconds: int) -> bool:
        """Move a held message to the delayed ones; False if it is due by Redis's clock."""
        return bool(self._delay(keys=[held_key(holder), DELAYED], args=[tag, due_milliseconds]))

    def replace(
        self, holder: str, tag: str, key: str, message: str | bytes, due_milliseconds: int | None
    ) -> bool:
        """Put another message in the place of a held one; False if it was not held any more.

        It goes to the back of the list `key`, or, as a record of it, to the delayed ones.
        """
        due = "" if due_milliseconds is None else due_milliseconds
        where = key if due_milliseconds is None else DELAYED
        return bool(self._replace(keys=[held_key(holder), where], args=[tag, message, due]))

    def beat(self, holder: str, promote: int = PROMOTED_AT_A_TIME) -> Beat:
        """Renew the holder's lease, move at most `promote` due messages, and read every lease."""
        alive, promoted, leases = self._beat(keys=[LEASES, DELAYED], args=[holder, promote])
        pairs = zip(leases[::2], leases[1::2], strict=True)
        return Beat(bool(alive), promoted, {_text(name): int(renewals) for name, renewals in pairs})

    def reclaim(self, holder: str, renewals: int) -> tuple[int, int]:
        """Put back all that a dead holder held, unless it has renewed its lease meanwhile.

        Returns how many went back, and how many are of an unknown version and stay.
        """
        moved, unknown = self._reclaim(keys=[LEASES, held_key(holder)], args=[holder, renewals, 1])
        return moved, unknown

    def release(self, holder: str) -> int:
        """Put back all that a holder holds which runs none of it, and end its lease."""
        return int(self._reclaim(keys=[LEASES, held_key(holder)], args=[holder, "", 0])[0])

    def hand_back(self, limit: int = PROMOTED_AT_A_TIME) -> int:
        """Move at most `limit` delayed messages into their lists, due or not; return how many."""
        return int(self._hand_back(keys=[DELAYED], args=[limit]))

    def purge_delayed(self, lists: Sequence[str]) -> int:
        """Delete the delayed messages of these lists; return how many."""
        return int(self._purge_delayed(keys=[DELAYED], args=list(lists)))


def started_field(tag: str) -> str:
    """The field beside a record that tells that its work began."""
    return f"started:{tag}"


def held_key(holder: str) -> str:
    """The hash of what a holder holds: tag → record."""
    return f"{PREFIX}:held:{holder}"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value
