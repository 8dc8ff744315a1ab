"""The steps of the protocol. Each is one script or one command, which Redis does completely or not at all.

docs/transport.md has the states of a message, and says why no step can lose it. The scripts are in
`protocol.*.lua`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import redis

from contentworker.runtime.transport.keys import (
    BLOCKED,
    DELAYED,
    LEASES,
    PARKED,
    PAUSED,
    PREFIX,
    READY,
    RENEWED,
    RETURNED,
    REVOKED,
    held_key,
    is_place,
    started_field,
)
from contentworker.runtime.transport.scripts import load
from contentworker.runtime.transport.stored import VERSION

__all__ = ["REPLACES", "Beat", "Fetched", "HolderGoneError", "Protocol", "Replaced"]

_SCRIPTS = {
    name: load(__file__, name)
    for name in (
        *("acknowledge", "admit", "beat", "cancel_fetch", "delay", "fetch", "give_back", "hand_back"),
        *("look_again", "purge", "reclaim", "register", "replace", "start"),
    )
}

REPLACES = "replaces"
"""Property of a message that replaces a held one, in one step, when it is published: a `Replaced`."""


class _Held(NamedTuple):
    holder: str
    tag: str


class Replaced(_Held):
    """The held message that another one replaces.

    A property that came as JSON, in a link or a stamp of another client's message, is a list, and so
    replaces nothing.
    """

    is_sent = False
    """Whether the message that replaces it was sent, and Redis has answered."""


LOOKED_AT_AGAIN = 10_000
"""How many partitions of a list `look_again` changes, at most."""
PROMOTED_AT_A_TIME = 500
"""How many messages one script moves, at most: Redis serves no other client meanwhile."""
PURGED_AT_A_TIME = 10_000
"""How many parked messages one script deletes, and how many delayed ones it looks at, at most."""
SILENT_SECONDS = 0.6
"""Time without renewal after which a lease is silent: a little more than the time between two beats."""
CALM_SECONDS = 7.0
"""Time between two renewals of a worker that holds nothing. Its score in `RENEWED` is later by as much."""
LOOKED_AT_A_TIME = 50
"""How many silent leases a beat returns, at most; ten times as many if no more workers than this are alive.

If Redis is so busy that all beats are late, all leases are silent. A beat must stay cheap then, too.
"""


class HolderGoneError(Exception):
    """The holder has no lease: it never registered, or another worker took back what it held."""


@dataclass(frozen=True)
class Beat:
    """What a worker learns from a beat."""

    alive: bool
    """Whether the worker's own lease still existed, and so is renewed."""
    promoted: int
    """How many delayed messages were due; they are at the front of their lists now."""
    silent: Mapping[str, int]
    """The silent holders, each with how often it has renewed; the one that is silent longest comes first."""
    skip: int = 0
    """How many silent holders the next beat has to skip to get the others; 0: there are no others."""
    clock: float = 0.0
    """Redis's clock, in seconds."""
    due: float = math.inf
    """When the next message is due, by the same clock. Only set if this holder's next beat comes late."""
    parked: frozenset[str] | None = None
    """Lists that have parked messages; None: this beat did not look."""


class Fetched(NamedTuple):
    """A message that a fetch took."""

    tag: str
    list_key: str
    raw: bytes
    deaths: int | None
    """How many workers died while they had it; None: no consumer has had it yet."""
    partition: str = ""
    """The partition in which it has a place already, if any."""


class Protocol:
    """The protocol over a redis-py client. You may repeat every method if its answer was lost.

    All keys begin with `prefix`, also the lists that you pass, so that several applications can share a
    database. The client must not add a prefix of its own, and must not decode responses.
    """

    def __init__(self, client: Any, prefix: str = "") -> None:
        self._client = client
        self.prefix = prefix
        self._scripts = {name: client.register_script(text) for name, text in _SCRIPTS.items()}

    def register(self, holder: str) -> None:
        """Give a holder its lease.

        Raises:
            ValueError: the records in Redis are of another version; nothing was written.
        """
        version = self._run("register", [PREFIX, LEASES, RENEWED], VERSION, holder).decode()
        if version != VERSION:
            raise ValueError(
                f"Redis holds records of version {version} of this transport (key {self.prefix}{PREFIX}); "
                f"this is version {VERSION}"
            )
        self.load_fetch()

    def load_fetch(self) -> None:
        """Load the scripts `fetch` and `admit` into Redis; afterwards only their digests are sent."""
        self._client.script_load(_SCRIPTS["fetch"])
        self._client.script_load(_SCRIPTS["admit"])

    def fetch_command(
        self,
        holder: str,
        number: int,
        limit: int,
        lists: Sequence[str],
        acknowledged: Sequence[str] = (),
        *,
        limits: str = "",
        ahead: int = 0,
        of_queues: str = "",
    ) -> list[Any]:
        """The command that takes at most `limit` messages from the first lists that have any.

        `number` grows with each fetch of a holder. The same step acknowledges the messages with the tags in
        `acknowledged`. With `limits`, in JSON, the fetch also takes parked messages, and `ahead` more
        messages, so that `admit` can find those that may start. `of_queues`, in JSON, says which messages the
        fetch itself may give a place: queue → task → limit, and the text before its key. Pass the answer to
        `fetched`.
        """
        keys = [*(self.prefix + key for key in (RETURNED, LEASES, held_key(holder), PAUSED, REVOKED)), *lists]
        digest = self._scripts["fetch"].sha
        arguments = (holder, number, limit, limits, ahead, of_queues, *acknowledged)
        return ["EVALSHA", digest, len(keys), *keys, *arguments]

    @staticmethod
    def fetched(answer: Any) -> tuple[int, list[Fetched]]:
        """How many messages were acknowledged, and those that were taken, in order.

        Raises:
            HolderGoneError: nothing was taken, because the holder has no lease.
        """
        if answer[0] < 0:
            raise HolderGoneError
        messages = []
        for i in range(1, len(answer) - 2, 3):
            marked, _, partition = answer[i].decode().partition("=")
            tag, mark, deaths = marked.partition("#")
            key, raw = answer[i + 1 : i + 3]
            died = int(deaths) if mark else None
            messages.append(Fetched(tag, key.decode(), raw, died, partition))
        return answer[0], messages

    def waiting_keys(self, lists: Sequence[str]) -> list[str]:
        """Keys to wait for: while none of them exists, a fetch from these lists would find nothing."""
        return [*lists, *(self.prefix + start + key for start in (READY, BLOCKED) for key in lists)]

    @staticmethod
    def must_poll(answer: Any) -> bool:
        """Whether a queue is paused or has parked messages. Then waiting for the next push is not enough."""
        return bool(answer[-1])

    @staticmethod
    def newest_revocation(answer: Any) -> float:
        """The highest score in `REVOKED` when the messages of this fetch were taken; 0 if it is empty."""
        return float(answer[-2] or 0)

    def pause(self, queue: str) -> None:
        """Stop all workers from taking messages from a queue, until `resume`."""
        self._client.sadd(self.prefix + PAUSED, self.prefix + queue)

    def resume(self, queue: str) -> None:
        """End a queue's pause, if it has one."""
        self._client.srem(self.prefix + PAUSED, self.prefix + queue)

    def paused(self) -> set[str]:
        """The queues that are paused."""
        names = self._client.smembers(self.prefix + PAUSED)
        return {name.decode().removeprefix(self.prefix) for name in names}

    def fetch(
        self,
        holder: str,
        number: int,
        limit: int,
        lists: Sequence[str],
        acknowledged: Sequence[str] = (),
        **limits: Any,
    ) -> Any:
        """Take messages; return the answer for `fetched`."""
        command = self.fetch_command(holder, number, limit, lists, acknowledged, **limits)
        try:
            return self._client.execute_command(*command)
        except redis.exceptions.NoScriptError:
            self.load_fetch()
            return self._client.execute_command(*command)

    def cancel_fetch(self, holder: str, number: int) -> None:
        """Put back what a fetch took whose answer was lost. If the fetch has not run yet, it never will."""
        self._run("cancel_fetch", [RETURNED, LEASES, held_key(holder)], holder, number)

    def acknowledge(self, holder: str, *tags: str) -> int:
        """Delete held messages; return how many of them the holder still held.

        `tags` may include the fields beside a message: `started_field`, which counts too, and `place_field`.
        """
        if any(map(is_place, tags)):
            return int(self._run("acknowledge", [RETURNED, held_key(holder)], *tags))
        removed: int = self._client.hdel(self.prefix + held_key(holder), *tags)
        return removed

    def admit_command(
        self, holder: str, room: int, limits: str, asked: Sequence[tuple[str, str, bool]]
    ) -> list[Any]:
        """The command that gives at most `room` of the fetched messages a place, so that they may start.

        `asked` has, for each: its tag, its partition, and whether it waits if it may not start. Pass the
        answer to `admitted`.
        """
        arguments = [part for tag, partition, waits in asked for part in (tag, partition, int(waits))]
        keys = (self.prefix + RETURNED, self.prefix + held_key(holder))
        return ["EVALSHA", self._scripts["admit"].sha, len(keys), *keys, limits, room, *arguments]

    @staticmethod
    def admitted(answer: Sequence[int]) -> list[float | None]:
        """For each: 0 if it has a place, None if it is parked or gone, else in how many seconds it may."""
        return [{0: 0.0, 1: None}.get(each, each / 1000) for each in answer]

    def admit(
        self, holder: str, room: int, limits: str, asked: Sequence[tuple[str, str, bool]]
    ) -> list[float | None]:
        """Give messages places; return what `admitted` does."""
        command = self.admit_command(holder, room, limits, asked)
        try:
            return self.admitted(self._client.execute_command(*command))
        except redis.exceptions.NoScriptError:
            self.load_fetch()
            return self.admitted(self._client.execute_command(*command))

    def look_again(self, lists: Sequence[str]) -> None:
        """Let the next fetches look at all parked messages of these lists: limits may have changed."""
        self._run("look_again", [BLOCKED + key for key in lists], LOOKED_AT_AGAIN)

    def start(self, holder: str, tag: str) -> None:
        """Note that work on a message begins, so that a death of the worker counts against the message."""
        self._run("start", [held_key(holder)], tag, started_field(tag))

    def held(self, holder: str) -> list[str]:
        """Tags of the messages that a holder holds."""
        fields = self._client.hkeys(self.prefix + held_key(holder))
        return [field.decode() for field in fields if field[:1].isdigit()]

    def give_back(self, holder: str, tag: str, *, front: bool, deaths: int | None = 0) -> bool:
        """Put a message back into its list; False if it was not held any more.

        `deaths`: how many more workers died while they had it; None: no consumer has had it, so it gets no
        mark.
        """
        added = "" if deaths is None else deaths
        push = "RPUSH" if front else "LPUSH"
        return bool(self._run("give_back", [RETURNED, held_key(holder)], tag, push, added))

    def delay(self, holder: str, tag: str, due_milliseconds: int) -> bool:
        """Move a held message to the delayed messages; False if it is due by Redis's clock."""
        return bool(self._run("delay", [RETURNED, held_key(holder), DELAYED], tag, due_milliseconds))

    def replace(
        self, holder: str, tag: str, key: str, message: str | bytes, due_milliseconds: int | None
    ) -> bool:
        """Replace a held message by another one; False if it was not held any more.

        The new message goes to the back of the list `key`, or, if it has a due time, to the delayed messages.
        """
        due = "" if due_milliseconds is None else due_milliseconds
        where = key.removeprefix(self.prefix) if due_milliseconds is None else DELAYED
        return bool(self._run("replace", [RETURNED, held_key(holder), where], tag, message, due))

    def beat(
        self,
        holder: str,
        skip: int = 0,
        *,
        promote: int = PROMOTED_AT_A_TIME,
        silent_seconds: float = SILENT_SECONDS,
        later_seconds: float = 0.0,
        looks_at_all: bool = True,
    ) -> Beat:
        """Renew the holder's lease, move at most `promote` due messages, and return the silent leases.

        The first `skip` silent leases are left out. The holder's own lease becomes silent `later_seconds`
        later than usual. Without `looks_at_all`, the beat skips work that is only needed every few seconds.
        """
        keys = [RETURNED, LEASES, DELAYED, RENEWED, PARKED]
        after, later, latest = (round(each * 1000) for each in (silent_seconds, later_seconds, CALM_SECONDS))
        arguments = (holder, promote, after, skip, LOOKED_AT_A_TIME, later, latest, int(looks_at_all))
        alive, promoted, silent, skip, clock, due, *parked = self._run("beat", keys, *arguments)
        renewed = {
            name.decode(): int(renewals) for name, renewals in zip(silent[::2], silent[1::2], strict=True)
        }
        lists = frozenset(key.decode() for key in parked[0]) if parked else None
        moment = float(due) / 1000 if due else math.inf
        return Beat(bool(alive), promoted, renewed, skip, clock / 1000, moment, lists)

    def next_moments(self) -> tuple[float, float]:
        """When the next lease is silent and when the next message is due, in seconds of Redis's clock."""
        first = [self._client.zrange(self.prefix + key, 0, 0, withscores=True) for key in (RENEWED, DELAYED)]
        silent, due = (float(found[0][1]) / 1000 if found else math.inf for found in first)
        return silent + SILENT_SECONDS, due

    def reclaim(self, holder: str, renewals: int) -> tuple[int, int]:
        """Put back all messages of a dead holder, unless it has renewed its lease meanwhile.

        Returns how many messages went back, and how many stay because their record has another version.
        """
        keys = [RETURNED, LEASES, held_key(holder), RENEWED]
        moved, unknown = self._run("reclaim", keys, holder, renewals, 1)
        return moved, unknown

    def release(self, holder: str) -> int:
        """Put back all messages of a holder, and end its lease. It must not be working on any of them."""
        keys = [RETURNED, LEASES, held_key(holder), RENEWED]
        return int(self._run("reclaim", keys, holder, "", 0)[0])

    def hand_back(self, limit: int = PROMOTED_AT_A_TIME) -> int:
        """Move at most `limit` delayed or parked messages into their lists; return how many."""
        return int(self._run("hand_back", [RETURNED, DELAYED], limit))

    def purge(self, lists: Sequence[str]) -> int:
        """Delete the delayed and parked messages of these lists, and all marks; return how many messages."""
        purged = skip = 0
        while skip >= 0:
            some, skip = self._run("purge", [RETURNED, DELAYED], PURGED_AT_A_TIME, skip, *lists)
            purged += some
        return purged

    def _run(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        return self._scripts[script](keys=[self.prefix + key for key in keys], args=arguments)
