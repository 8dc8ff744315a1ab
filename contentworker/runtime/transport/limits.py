"""Limits: which messages count together, how many may start, and what happens to one that may not.

docs/limits.md has the rules, docs/transport.md the keys in Redis. A *partition* is what one limit counts
together: all its messages, or those with the same value of its key. The worker decides what a limit applies
to: it passes a `Limiter` to `use`.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, Protocol

__all__ = [
    "SORTED_AT_A_TIME",
    "UNLIMITED",
    "Conflict",
    "Limit",
    "Limiter",
    "Refusal",
    "in_json",
    "in_use",
    "name_of",
    "of_queues",
    "partition",
    "refusal",
    "use",
]

Conflict = Literal["wait", "discard", "dead_letter"]
UNLIMITED = ":"
"""The partition of messages without a limit, in a queue where others have one."""
SORTED_AT_A_TIME = 100
"""How many more messages a fetch takes from a queue with limits, to find those that may start."""


MOST_SENT_BYTES = 10_000
"""Longest list of tasks with limits that a fetch sends. If it is longer, only `admit` gives places."""
SHOWN_LENGTH = 100
"""How many characters of a key an error shows."""


class Limit(NamedTuple):
    """At most `concurrency` at once, and `rate` in any `rate_seconds`; 0 means no limit."""

    concurrency: int
    rate: int
    rate_seconds: float
    on_conflict: Conflict = "wait"


class Refusal(NamedTuple):
    """Why a message is not run: its limit is reached, or it lacks the limit's key."""

    limit: str
    kind: Literal["discarded", "limit", "invalid"]
    """It is discarded, or becomes a dead letter with the reason `limit` or `invalid`."""
    text: str


class Limiter(Protocol):
    """The limits that a worker knows."""

    limits: Mapping[str, Limit]
    """All limits by name."""
    queues: Mapping[str, bool]
    """The queues that get messages with a limit, and whether all that may not start wait there."""

    direct: Mapping[str, Mapping[str, Sequence[str]]]
    """Queue → task → its limit, if it has one, and the text before the limit's key in the headers of a
    message, as Celery writes them. With it, a fetch itself can give places. The task "" is all others."""

    def __hash__(self) -> int: ...

    def partition_of(self, message: Any, queue: str) -> str | Refusal | None:
        """The partition of a message, from `partition`; None if it has no limit. Never raises."""


def partition(limit: str, key: str) -> str:
    """The name of a partition: all messages of a limit with the same key."""
    return f"{limit}:{key}"


def name_of(partition: str) -> str:
    """The name of a partition's limit."""
    return partition.partition(":")[0]


def refusal(partition: str, on_conflict: Conflict) -> Refusal:
    """Why a message is refused whose limit is reached now."""
    name, _, key = partition.partition(":")
    of_key = f" for {key[:SHOWN_LENGTH]!r}" if key else ""
    # It does not say when the task may start: with a limit of concurrency, that depends on when others end.
    text = f"limits.{name} is reached{of_key}"
    return Refusal(name, "discarded" if on_conflict == "discard" else "limit", text)


def in_json(limits: Mapping[str, Limit]) -> str:
    """Limits as JSON, for the Lua scripts."""
    return json.dumps({name: limit[:3] for name, limit in limits.items()})


@cache
def of_queues(limiter: Limiter, prefix: str) -> str:
    """The limiter's `direct` as JSON for the fetch; empty if it is too long to send."""
    text = json.dumps({prefix + queue: tasks for queue, tasks in limiter.direct.items()})
    return text if len(text) <= MOST_SENT_BYTES else ""


class _InUse:
    limiter: Limiter | None = None
    json = "{}"


def use(limiter: Limiter) -> None:
    """Apply these limits to the messages that this process fetches in its event loop."""
    _InUse.limiter, _InUse.json = limiter, in_json(limiter.limits)


def in_use() -> tuple[Limiter | None, str]:
    """The limits of this process, and the same in JSON."""
    return _InUse.limiter, _InUse.json
