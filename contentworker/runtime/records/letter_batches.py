"""Dead letters that match a filter, and what is done with many of them: replayed or discarded."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from contentworker.runtime.records import dead_letters
from contentworker.runtime.records.dead_letters import DeadLetter, UnknownLetter, UnknownVersionError

__all__ = ["Done", "LetterFilter", "Matches", "do_with", "matching", "matching_ids"]


class LetterFilter(NamedTuple):
    """What a letter must be; None: anything."""

    task: str | None = None
    """A pattern of names, such as `tasks.a*`."""
    reason: str | None = None
    queue: str | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None

    def is_empty(self) -> bool:
        """Whether every letter matches."""
        return not any(value is not None for value in self)

    def matches(self, arrived: datetime, letter: DeadLetter | UnknownLetter, now: datetime) -> bool:
        """Whether a letter matches; one of an unknown version matches an empty filter only."""
        if isinstance(letter, UnknownLetter):
            return self.is_empty()
        return (
            (self.task is None or fnmatchcase(letter.task, self.task))
            and self.reason in (None, letter.reason)
            and self.queue in (None, letter.queue)
            and (self.older_than is None or now - arrived > self.older_than)
            and (self.newer_than is None or now - arrived < self.newer_than)
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


def matching(client: Any, chosen: LetterFilter) -> Iterator[tuple[str, datetime, DeadLetter | UnknownLetter]]:
    """Id, arrival and content of each letter that matches, oldest first; ages are by Redis's clock."""
    seconds, microseconds = client.time()
    now = datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)
    for letter_id, arrived, letter in dead_letters.read(client):
        if chosen.matches(arrived, letter, now):
            yield letter_id, arrived, letter


def matching_ids(client: Any, chosen: LetterFilter) -> Matches:
    """The letters that match now, without letters that arrive later.

    A replayed task may fail again at once; to follow its new letter would never end.
    """
    found = Matches([], [])
    for letter_id, _, letter in matching(client, chosen):
        (found.known if isinstance(letter, DeadLetter) else found.unknown).append(letter_id)
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
