"""Dead letters without their messages, which may be articles of megabytes: for lists, filters and counts.

Redis reads the parts out of the letters, 100 at a time, since it serves no other client meanwhile.
"""

import json
import re
import threading
from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile
from typing import Any, NamedTuple

from contentworker.printable import decoded, encodable
from contentworker.runtime.records.dead_letters import REASONS, STREAM, arrival
from contentworker.runtime.transport.scripts import load

__all__ = ["LetterParts", "Letters", "find", "order", "read"]

AT_ONCE = 100
ERROR_BYTES = 400
PARTS = 11
"""Values that Redis returns for each letter."""
VERSIONS = ("1", "2")
WHOLE = re.compile(r'(?:[^"\\]|\\(?:u[0-9a-fA-F]{4}|[^u]))*')
"""The part of a text in JSON that is before a cut escape."""

_READ = load(__file__, "read")
_ENDS = load(__file__, "ends")


class LetterParts(NamedTuple):
    """What lists show of a letter."""

    id: str
    size_bytes: int
    version: str
    reason: str
    error: str
    """Its beginning."""
    exception: str
    """Type of the error; empty if there was none."""
    queue: str
    task: str
    task_id: str
    is_critical: bool
    """Whether the task is a `CriticalTask`, as far as its worker knew."""
    earlier_id: str
    """Id of the letter that was replayed before this one; empty: it was not."""

    @property
    def arrived(self) -> datetime:
        """Time of arrival (UTC)."""
        return arrival(self.id)

    @property
    def is_known(self) -> bool:
        """Whether this program knows the letter's version, so that it can replay it."""
        return self.version in VERSIONS and self.reason in REASONS

    @property
    def is_risky(self) -> bool:
        """Whether a replay may repeat an effect that must not be repeated."""
        return self.is_critical or self.reason == "interrupted"


def read(client: Any, after: str = "") -> Iterator[LetterParts]:
    """Yield the parts of each letter, or of each after an id, oldest first."""
    first = f"({after}" if after else "-"
    while some := _parts(client, first, "+"):
        yield from some
        first = f"({some[-1].id}"


def find(client: Any, letter_id: str) -> LetterParts | None:
    """The parts of one letter; None if it does not exist (any more). The id must have the form of one."""
    return next(iter(_parts(client, letter_id, letter_id)), None)


class Letters:
    """All parts, kept in memory: a letter never changes, so only what is new or gone costs anything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, LetterParts] = {}

    def read(self, client: Any) -> list[LetterParts]:
        """The parts of every letter, oldest first."""
        with self._lock:
            number, *ends = client.eval(_ENDS, 1, STREAM)
            if not number:
                self._known = {}
                return []
            first, last = (decoded(each) for each in ends)
            kept, newest = dict(self._known), next(reversed(self._known), "")
            for gone in takewhile(lambda key: order(key) < order(first), self._known):
                del kept[gone]
            kept |= {each.id: each for each in read(client, newest)}
            arrived_since = sum(1 for _ in takewhile(lambda key: order(key) > order(last), reversed(kept)))
            if len(kept) - arrived_since != number:
                # Some in between are gone, and only reading all of them says which.
                kept = {each.id: each for each in read(client)}
            self._known = kept
            return [*kept.values()]

    def forget(self, letter_id: str) -> None:
        """Leave out a letter that was replayed or discarded: that saves reading all of them."""
        with self._lock:
            self._known.pop(letter_id, None)


def order(letter_id: str) -> tuple[int, int]:
    """An id, to compare with others: a later letter has a greater one."""
    milliseconds, _, counter = letter_id.partition("-")
    return int(milliseconds), int(counter)


def _parts(client: Any, first: str, last: str) -> list[LetterParts]:
    found = client.eval(_READ, 1, STREAM, first, last, AT_ONCE, ERROR_BYTES)
    return [_letter(*row) for row in zip(*(iter(found),) * PARTS, strict=True)]


def _letter(letter_id: Any, size: int, version: Any, reason: Any, error: Any, *texts: Any) -> LetterParts:
    exception, queue, task, task_id, critical, earlier = texts
    return LetterParts(
        decoded(letter_id), size, decoded(version), _text(reason), _text(error), _text(exception),
        _text(queue), _text(task), _text(task_id), critical == b"1", decoded(earlier),
    )  # fmt: skip


def _text(raw: bytes) -> str:
    """A text as it is in JSON; it may be cut anywhere."""
    text = raw.decode("utf-8", "ignore")
    if "\\" not in text:
        return text
    whole = WHOLE.match(text)
    try:
        return encodable(json.loads(f'"{whole[0] if whole else ""}"', strict=False))
    except ValueError:
        return text
