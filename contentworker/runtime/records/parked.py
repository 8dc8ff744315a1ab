"""Parked messages: they wait for a limit, outside of their queues' lists (docs/limits.md)."""

from collections.abc import Callable
from typing import Any

from contentworker.printable import decoded
from contentworker.runtime.transport.keys import BLOCKED, PARKED, READY, RETURNED
from contentworker.runtime.transport.scripts import load
from contentworker.runtime.transport.stored import message_in

__all__ = ["remove"]

AT_ONCE = 100
"""Messages that are read at once: each may be an article of megabytes."""

_REMOVE = load(__file__, "remove")


def remove(client: Any, is_removed: Callable[[bytes], bool]) -> int:
    """Remove the parked messages for which `is_removed` is true; return their number."""
    removed = 0
    for list_key in map(decoded, client.hkeys(PARKED)):
        with client.pipeline(transaction=True) as both:  # a partition moves from one to the other
            both.lrange(READY + list_key, 0, -1).zrange(BLOCKED + list_key, 0, -1)
            ready, blocked = both.execute()
        for partition in dict.fromkeys(map(decoded, [*ready, *blocked])):
            removed += _remove_of(client, list_key, partition, is_removed)
    return removed


def _remove_of(client: Any, list_key: str, partition: str, is_removed: Callable[[bytes], bool]) -> int:
    key, removed, at = f"{PARKED}:{list_key}\n{partition}", 0, 0
    # From the end where new ones are added: so none is missed if messages are added or taken meanwhile.
    while records := client.lrange(key, at, at + AT_ONCE - 1):
        of_these = [each for each in records if is_removed(message_in(each))]
        gone = sum(client.eval(_REMOVE, 1, RETURNED, list_key, partition, each) for each in of_these)
        removed, at = removed + gone, at + len(records) - gone
    return removed
