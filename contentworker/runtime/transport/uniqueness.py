"""Unique messages: a lock in Redis names the message that waits or runs, and blocks others with the same key.

The script that sends the message takes the lock. If the message comes from a client that took none, the
worker takes it after the fetch. A lock has the id of the message's task, its *turn* (which tells it from
another message with that id), and, once a worker has the message, the holder and the tag. Each lock expires,
so none stays for ever.
"""

from dataclasses import dataclass
from typing import Any, Literal

from redis.exceptions import RedisError

from contentworker.runtime.transport.keys import DELAYED, LEASES, PREFIX, REVOKED, held_key
from contentworker.runtime.transport.scripts import load

__all__ = [
    "UNIQUE",
    "Claim",
    "DuplicateError",
    "While",
    "begin",
    "lock_key",
    "owner",
    "release",
    "send",
    "take",
]

While = Literal["queued", "running", "ttl"]
"""How long a message holds its lock: until a worker starts it, until it has ended, or for a fixed time."""

UNIQUE = "unique"
"""Property of a message that is only published if it gets its lock: a `Claim`."""

_LOCK = f"{PREFIX}:unique:"
"""Start of the keys of locks, each a hash."""
_SUPERSEDED = f"{PREFIX}:superseded:"
"""Start of the keys that mark a turn as superseded: a newer message replaced that one, which must not run."""

_SEND = load(__file__, "send")
_TAKE = load(__file__, "take")
_BEGIN = load(__file__, "begin")
_RELEASE = load(__file__, "release")


class DuplicateError(Exception):
    """The message was not sent: the task with the id `owner` has the lock. Empty: it has just released it."""

    def __init__(self, owner: str) -> None:
        super().__init__(f"duplicate of {owner}")
        self.owner = owner


@dataclass(frozen=True)
class Claim:
    """The claim of a message to its lock."""

    lock: str
    """Name of the lock."""
    task_id: str
    turn: str
    """Empty for a message of a client that does not know locks."""
    kept: While
    lifetime_milliseconds: int
    """How long until the lock expires. Unless `kept` is `ttl`, each start of the work extends it."""
    replaces: str = ""
    """Id of the task whose message this one replaces; this one has the same id."""
    is_replaceable: bool = False

    @property
    def keys(self) -> tuple[str, str]:
        """Keys of the lock, and of the mark that this turn is superseded."""
        return lock_key(self.lock), _SUPERSEDED + self.turn


def lock_key(lock: str) -> str:
    """The key of a lock."""
    return _LOCK + lock


def owner(client: Any, lock: str) -> str:
    """Id of the task that has the lock; empty if it is free."""
    return _text(client.hget(lock_key(lock), "id"))


def send(client: Any, claim: Claim, place: str, message: Any, due: int | None, *, prefix: str = "") -> None:
    """If the lock is free, put a message into a list, or, with `due`, its record into the delayed messages.

    Every key begins with `prefix`. You may repeat the call if its answer was lost.

    Raises:
        DuplicateError: another message has the lock.
    """
    keys = [*(prefix + key for key in (lock_key(claim.lock), REVOKED, LEASES, DELAYED)), place]
    arguments = [
        *(claim.task_id, claim.turn, claim.lifetime_milliseconds, claim.kept, claim.replaces),
        *(int(claim.is_replaceable), "" if due is None else due, message),
        *(prefix + _SUPERSEDED, prefix + held_key("")),
    ]
    sent, other = client.register_script(_SEND)(keys, arguments)
    if not sent:
        raise DuplicateError(_text(other))


def take(client: Any, claim: Claim, holder: str, tag: str, *, is_again: bool) -> tuple[str, str]:
    """Take the lock for a message that was fetched.

    `is_again`: the message got the lock before. Returns `("own", "")`; `("other", id)` if the task with this
    id has it; or `("superseded", "")` if a newer message has replaced this one.

    Raises:
        redis.exceptions.RedisError: Redis is unreachable. Or it says that the message is a duplicate, but
            does not know that the holder has it: after a failover, it may be the old master.
    """
    keys = (*claim.keys, LEASES, REVOKED)
    arguments = [
        *(claim.task_id, claim.turn, claim.lifetime_milliseconds, claim.kept),
        *(int(is_again), holder, tag, held_key("")),
    ]
    answer, other = client.register_script(_TAKE)(keys, arguments)
    if answer == b"not held":
        raise RedisError("Redis does not know this message, so it cannot be a duplicate")
    return _text(answer), _text(other)


def begin(client: Any, claim: Claim) -> bool:
    """Release a lock that is held until the work begins; False if the message is superseded."""
    return bool(client.register_script(_BEGIN)(claim.keys, [claim.task_id, claim.turn]))


def release(client: Any, claim: Claim, holder: str, tag: str) -> None:
    """Release the lock of a message that has ended, unless another message has it by now."""
    keys = (lock_key(claim.lock), LEASES)
    arguments = [claim.task_id, claim.turn, holder, tag, held_key("")]
    client.register_script(_RELEASE)(keys, arguments)


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
