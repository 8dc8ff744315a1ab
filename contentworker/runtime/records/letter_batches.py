"""Dead letters that match a filter, and what is done with many of them: replayed or discarded."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from contentworker.runtime.records import letter_parts
from contentworker.runtime.records.dead_letters import UnknownVersionError
from contentworker.runtime.records.letter_parts import LetterParts

__all__ = ["Done", "LetterFilter", "Matches", "do_with", "matching", "matching_ids"]


class LetterFilter(NamedTuple):
    """What a letter must be; None: anything."""

    task: str | None = None
    """A pattern of names, such as `tasks.a*`."""
    reason: str | None = None
    queue: str | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    exception: str | None = None
    """Type of the error."""
    text: str | None = None
    """A part of the letter's or the task's id."""
    is_critical: bool | None = None

    def is_empty(self) -> bool:
        """Whether every letter matches."""
        return not any(value is not None for value in self)

    def matches(self, letter: LetterParts, now: datetime) -> bool:
        """Whether a letter matches; one of an unknown version matches an empty filter only."""
        if not letter.is_known:
            return self.is_empty()
        return (
            (self.task is None or fnmatchcase(letter.task, self.task))
            and self.reason in (None, letter.reason)
            and self.queue in (None, letter.queue)
            and self.exception in (None, letter.exception)
            and self.is_critical in (None, letter.is_critical)
            and (self.text is None or self.text in letter.id or self.text in letter.task_id)
            and (self.older_than is None or now - letter.arrived > self.older_than)
            and (self.newer_than is None or now - letter.arrived < self.newer_than)
        )


class Matches(NamedTuple):
    """Ids of the letters that matched at one moment, oldest first."""

    known: list[str]
    unknown: list[str]
    """Letters of a version that this program does not know: they are left as they are."""


class Done(NamedTuple):
    """What became of the letters of a batch, by their ids."""

    done: list[str]
    missing: list[str]
    """Gone before: another process, or another person, was faster."""
    refused: dict[str, str]
    """Letters of a version that this program does not know, and why they cannot be replayed."""


def matching(client: Any, chosen: LetterFilter) -> Iterator[LetterParts]:
    """Each letter that matches, oldest first, without its message; ages are by Redis's clock."""
    seconds, microseconds = client.time()
    now = datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)
    return (letter for letter in letter_parts.read(client) if chosen.matches(letter, now))


def matching_ids(client: Any, chosen: LetterFilter) -> Matches:
    """The letters that match now, without letters that arrive later.

    A replayed task may fail again at once; to follow its new letter would never end.
    """
    found = Matches([], [])
    for letter in matching(client, chosen):
        (found.known if letter.is_known else found.unknown).append(letter.id)
    return found


def do_with(client: Any, ids: Iterable[str], action: Callable[[Any, str], bool]) -> Done:
    """Do something with each letter: `dead_letters.replay` or `dead_letters.discard`."""
    outcome = Done([], [], {})
    for letter_id in ids:
        try:
            (outcome.done if action(client, letter_id) else outcome.missing).append(letter_id)
        except UnknownVersionError as error:
            outcome.refused[letter_id] = str(error)
    return outcome
