"""The keys of what the transport keeps in Redis, and the fields beside a held message: see docs/transport.md.

Code that only reads or changes keys, such as that in `records`, needs nothing else of the protocol.
"""

__all__ = [
    "BLOCKED",
    "DELAYED",
    "IDLE",
    "LEASES",
    "LIMITS",
    "PARKED",
    "PAUSED",
    "PREFIX",
    "READY",
    "RENEWED",
    "RETURNED",
    "REVOKED",
    "held_key",
    "is_place",
    "place_field",
    "started_field",
]

PREFIX = "contentworker:transport"
"""Key of the protocol's version. Every other key begins with it."""

LEASES = f"{PREFIX}:leases"
"""Hash: holder → how often it has renewed its lease."""
RENEWED = f"{PREFIX}:renewed"
"""Sorted set of holders by their last renewal, in milliseconds of Redis's clock: a hint where to look."""
DELAYED = f"{PREFIX}:delayed"
"""Sorted set of records by the time they are due, in milliseconds of Redis's clock."""
PAUSED = f"{PREFIX}:paused"
"""Set of queues that no worker takes messages from; tasks that were taken before go on."""
PARKED = f"{PREFIX}:parked"
"""Hash: list → how many of its messages are parked: they wait for their limit (`protocol.places.lua`)."""
LIMITS = f"{PREFIX}:limits"
"""Hash: `taken:LIMIT` → places that are taken, `waiting:LIMIT` → messages that are parked."""
BLOCKED = f"{PREFIX}:blocked:"
"""Start of the keys of partitions that must wait: for each list, a sorted set by the time to look again."""
READY = f"{PREFIX}:ready:"
"""Start of the keys of partitions that may start: for each list, a list of them, in turn."""
IDLE = f"{PREFIX}:idle"
"""A list that is never written to: a blocking command on it just waits."""
REVOKED = f"{PREFIX}:revoked"
"""Sorted set of the ids of revoked tasks, by when they were revoked. A fetch returns the highest score, so
that a worker knows whether there are ids that it has not read."""
RETURNED = f"{PREFIX}:returned:"
"""Start of the keys of the marks. For each list, a hash: SHA-1 of a message that a consumer has had before →
how many workers died while they had it. The message itself stays as its sender wrote it."""


def started_field(tag: str) -> str:
    """Field beside a held message's record which says that work on it has begun."""
    return f"started:{tag}"


def place_field(tag: str) -> str:
    """Field beside a held message's record with the partition in which it has a place."""
    return f"place:{tag}"


def is_place(field: str) -> bool:
    """Whether a field was made by `place_field`."""
    return field.startswith("place:")


def held_key(holder: str) -> str:
    """Key of the hash with the messages that a holder holds: tag → record."""
    return f"{PREFIX}:held:{holder}"
