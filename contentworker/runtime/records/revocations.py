"""Revocations: ids of tasks that no worker is to start, kept in Redis until they expire.

A sorted set has each id by the moment it was revoked, in microseconds of Redis's clock, made unique. Each
fetch returns the highest score. So a worker that has read up to that score knows every id that was revoked
before its messages were taken, and asks Redis nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from contentworker.printable import decoded
from contentworker.runtime.transport.keys import REVOKED
from contentworker.runtime.transport.scripts import load

__all__ = ["LONGEST_ID", "MOST", "count", "is_revoked", "revoke", "since"]

LONGEST_ID = 255
"""Longest id that can be revoked, in characters. Celery's have 36."""
MOST = 100_000
"""Most ids that are kept, in some 15 MB; the oldest are dropped first."""
AT_A_TIME = 1_000
"""Most ids of one call. For each, Celery's handler stores a result, which takes a worker some .8 ms."""

_REVOKE = load(__file__, "revoke")
_FIND = load(__file__, "find")


def revoke(client: Any, ids: Sequence[str], lifetime_seconds: float) -> None:
    """Let no worker start the tasks of these ids for `lifetime_seconds`. It may be repeated.

    Raises:
        ValueError: there are too many ids, or one is no text, or too long. Then none is revoked.
    """
    if len(ids) > AT_A_TIME:
        raise ValueError(f"task_id: must be at most {AT_A_TIME} ids in one call, not {len(ids)}")
    for each in ids:
        if not isinstance(each, str) or not 0 < len(each) <= LONGEST_ID:
            raise ValueError(f"task_id: must be text of at most {LONGEST_ID} characters, not {each!r:.50}")
    if ids:
        client.eval(_REVOKE, 1, REVOKED, int(lifetime_seconds * 1_000_000), MOST, *ids)


def is_revoked(client: Any, task_id: str, lifetime_seconds: float) -> bool:
    """Whether this id is revoked now."""
    return bool(client.eval(_FIND, 1, REVOKED, int(lifetime_seconds * 1_000_000), task_id))


def since(client: Any, score: float) -> Iterator[tuple[str, float]]:
    """Each id that was revoked after this score, with its own, oldest first; some may have expired."""
    while page := client.zrangebyscore(
        REVOKED, f"({score!r}", "+inf", start=0, num=10 * AT_A_TIME, withscores=True
    ):
        yield from ((decoded(member), its_score) for member, its_score in page)
        score = page[-1][1]


def count(client: Any) -> int:
    """How many ids are kept."""
    return int(client.zcard(REVOKED))
