"""Unique messages: a lock in Redis names the message of a kind that waits or runs, and holds up the others.

The lock is taken in the script that sends the message, or that gets one from a client that took none. It has
the id of the message's task, its turn (which tells it from another message with that id), and, once a worker
has it, the holder and the tag. Each lock has an expiry, so that none stays for ever.
"""

from dataclasses import dataclass
from typing import Any, Literal

from contentworker.runtime.transport.protocol import DELAYED, LEASES, PREFIX, REVOKED, held_key
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
"""How long a message holds its lock: until a worker starts it, until its end, or for a fixed time."""

UNIQUE = "unique"
"""Property of a message that is published only if it gets its lock: a `Claim`."""

_LOCK = f"{PREFIX}:unique:"
"""Start of the keys of locks, each a hash."""
_SUPERSEDED = f"{PREFIX}:superseded:"
"""Start of the keys that each name a turn whose message is not to run: a newer one took its place."""

_SEND = load(__file__, "send")
_TAKE = load(__file__, "take")
_BEGIN = load(__file__, "begin")
_RELEASE = load(__file__, "release")


class DuplicateError(Exception):
    """The message was not sent: the task with the id `owner` has its lock. Empty: it has just gone."""

    def __init__(self, owner: str) -> None:
        super().__init__(f"duplicate of {owner}")
        self.owner = owner


@dataclass(frozen=True)
class Claim:
    """What a message needs to be the one of its kind."""

    lock: str
    """Name of the lock."""
    task_id: str
    turn: str
    """Empty for a message of a client that knows no locks."""
    kept: While
    lifetime_milliseconds: int
    """When the lock expires; unless it is kept for a fixed time, each start of the work extends it."""
    replaces: str = ""
    """Id of the task whose message this one replaces; it has the same id."""
    is_replaceable: bool = False

    @property
    def keys(self) -> tuple[str, str]:
        """Key of the lock, and of the mark that this turn is superseded."""
        return lock_key(self.lock), _SUPERSEDED + self.turn


def lock_key(lock: str) -> str:
    """The key of a lock."""
    return _LOCK + lock


def owner(client: Any, lock: str) -> str:
    """Id of the task that has the lock; empty if it is free."""
    return _text(client.hget(lock_key(lock), "id"))


def send(client: Any, claim: Claim, place: str, message: Any, due: int | None, *, prefix: str = "") -> None:
    """Put a message into a list, or a record of it into the delayed ones, if the lock is free.

    `prefix` begins every key. You may repeat it if its answer was lost.

    Raises:
        DuplicateError: it is not.
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
    """Take the lock for a message that was fetched: `("own", "")`, or `("other", id)` with who has it.

    `("superseded", "")`: a newer message took its place. `is_again`: the message had been let through before.
    """
    keys = (*claim.keys, LEASES, REVOKED)
    arguments = [
        *(claim.task_id, claim.turn, claim.lifetime_milliseconds, claim.kept),
        *(int(is_again), holder, tag, held_key("")),
    ]
    answer, other = client.register_script(_TAKE)(keys, arguments)
    return _text(answer), _text(other)


def begin(client: Any, claim: Claim) -> bool:
    """Let go of a lock that is held until the work begins; False if the message is superseded."""
    return bool(client.register_script(_BEGIN)(claim.keys, [claim.task_id, claim.turn]))


def release(client: Any, claim: Claim, holder: str, tag: str) -> None:
    """Let go of the lock of a message that has ended, unless another one has it by now."""
    keys = (lock_key(claim.lock), LEASES)
    arguments = [claim.task_id, claim.turn, holder, tag, held_key("")]
    client.register_script(_RELEASE)(keys, arguments)


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
