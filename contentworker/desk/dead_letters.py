"""What operators see of dead letters, and do with them: causes, the list with its filter, one letter."""

import glob
import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from contentworker.desk.machinery import Machinery
from contentworker.desk.web import Ask, Refused, page, to
from contentworker.desk.words import clock
from contentworker.editorial.escalations.database import DatabaseError
from contentworker.runtime.records import dead_letters
from contentworker.runtime.records.dead_letters import REASONS, DeadLetter, UnknownLetter, UnknownVersionError
from contentworker.runtime.records.letter_batches import LetterFilter
from contentworker.runtime.records.letter_parts import LetterParts, order
from contentworker.runtime.watching.overview import age_text

logger = logging.getLogger(__name__)

__all__ = [
    "Argument",
    "Cause",
    "Listing",
    "arguments_of",
    "by_cause",
    "chosen",
    "discard",
    "discard_page",
    "find",
    "in_words",
    "letter",
    "letters",
    "noted",
    "open_arguments",
    "query_of",
    "replay",
]

AT_ONCE = 50
CAUSES_SHOWN = 20
MOST_CHARACTERS = 200
"""Longest text in a filter."""
OPENED_CHARACTERS = 100_000
"""Longest argument that is shown in full."""
TEXTS = ("task", "reason", "queue", "exception", "text")
"""The texts of a filter."""
LETTER_ID = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")


class Cause(NamedTuple):
    """Letters of one task that failed in one way."""

    task: str
    reason: str
    exception: str
    number: int
    first: datetime
    last: datetime
    error: str
    """That of the newest one."""

    @property
    def query(self) -> dict[str, str]:
        """The filter that finds them."""
        fields = {"task": glob.escape(self.task), "reason": self.reason, "exception": self.exception}
        return {name: value for name, value in fields.items() if value}


@dataclass(frozen=True)
class Listing:
    """The letters that match, and how many there are."""

    total: int
    oldest: datetime | None
    matching: list[LetterParts]
    """The newest first."""
    shown: list[LetterParts]
    before: str
    """Where the next page begins; empty: this is the last one."""


class Argument(NamedTuple):
    """An argument of a task, folded."""

    name: str
    what: str
    """Its kind and size."""
    text: str
    """The value itself, as JSON, for people who may read articles; empty while it is folded."""


def by_cause(found: Iterable[LetterParts]) -> list[Cause]:
    """The causes, the most frequent first, of letters in the order of their arrival or its reverse."""
    groups: dict[tuple[str, str, str], list[LetterParts]] = {}
    for each in found:
        if each.is_known:
            groups.setdefault((each.task, each.reason, each.exception), []).append(each)
    causes = []
    for key, some in groups.items():
        oldest, newest = sorted((some[0], some[-1]), key=lambda each: order(each.id))
        causes.append(Cause(*key, len(some), oldest.arrived, newest.arrived, newest.error))
    return sorted(causes, key=lambda cause: -cause.number)


def chosen(fields: Mapping[str, str]) -> LetterFilter:
    """The filter in the fields of an address or a form.

    Raises:
        Refused: a field has a value that no letter can have.
    """
    given = {name: fields.get(name, "").strip() for name in TEXTS}
    critical = fields.get("critical", "")
    is_right = given["reason"] in ("", *REASONS) and critical in ("", "yes", "no")
    if not is_right or any(len(value) > MOST_CHARACTERS for value in given.values()):
        raise Refused(400, "There is no such filter", "Go back to the list, and choose from what is offered.")
    is_critical = {"yes": True, "no": False}.get(critical)
    task, reason, queue, exception, text = (given[name] or None for name in TEXTS)
    return LetterFilter(
        task=task, reason=reason, queue=queue, exception=exception, text=text, is_critical=is_critical
    )


def query_of(wanted: LetterFilter) -> dict[str, str]:
    """The fields of a filter."""
    fields = {name: getattr(wanted, name) for name in TEXTS}
    if wanted.is_critical is not None:
        fields["critical"] = "yes" if wanted.is_critical else "no"
    return {name: value for name, value in fields.items() if value}


def in_words(query: Mapping[str, str]) -> str:
    """The fields of a filter, for people."""
    said = ", ".join(f"{name} {value}" for name, value in query.items())
    return said or "all letters"


def find(machinery: Machinery, wanted: LetterFilter, before: str = "") -> Listing:
    """A page of the letters that match."""
    everything = machinery.letters.read(machinery.client())
    now = datetime.now(UTC)
    matching = [each for each in reversed(everything) if wanted.matches(each, now)]
    rest = matching
    if before:
        rest = [each for each in matching if order(each.id) < order(before)]
    shown = rest[:AT_ONCE]
    return Listing(
        total=len(everything),
        oldest=everything[0].arrived if everything else None,
        matching=matching,
        shown=shown,
        before=shown[-1].id if len(rest) > AT_ONCE else "",
    )


def arguments_of(found: DeadLetter, *, in_full: bool = False) -> list[Argument] | None:
    """The arguments of a letter's task; None if the message does not say them readably."""
    arguments = dead_letters.arguments(found)
    if arguments is None:
        return None
    args, kwargs = arguments
    named = [*((f"{number}.", value) for number, value in enumerate(args, 1)), *kwargs.items()]
    return [Argument(str(name), _what(value), _in_full(value) if in_full else "") for name, value in named]


def _what(value: Any) -> str:
    if isinstance(value, str):
        return f"text, {len(value):,} character{'' if len(value) == 1 else 's'}"
    if isinstance(value, list):
        return f"list of {len(value):,}"
    if isinstance(value, dict):
        return f"object of {len(value):,}"
    return "nothing" if value is None else "yes or no" if isinstance(value, bool) else "number"


def _in_full(value: Any) -> str:
    text = value
    if not isinstance(value, str):
        # Piece by piece: what is nested deeply is a hundred times longer with blanks before each line.
        text = ""
        try:
            for piece in json.JSONEncoder(ensure_ascii=False, indent=1).iterencode(value):
                text += piece
                if len(text) > OPENED_CHARACTERS:
                    break
        except RecursionError:
            return "It is nested too deeply to be shown."
    return text if len(text) <= OPENED_CHARACTERS else f"{text[:OPENED_CHARACTERS]} …"


def letters(ask: Ask) -> Response:
    """The list: causes first, then the letters, the newest first."""
    machinery, wanted, before = ask.desk.machinery, chosen(ask.query), ask.query.get("before", "")
    if before and not LETTER_ID.fullmatch(before):
        raise Refused(400, "There is no such page", "Go back to the first page of the list.")
    found = find(machinery, wanted, before)
    query = query_of(wanted)
    queues = sorted({*machinery.settings.queues, *(each.queue for each in found.matching)} - {""})
    return page(
        ask, "dead_letters.html", found=found, causes=by_cause(found.matching)[:CAUSES_SHOWN], query=query,
        query_text=urlencode(query), queues=queues, reasons=REASONS, urlencode=urlencode,
        now=datetime.now(UTC), age=age_text, clock=clock, may_act=ask.may("operator"),
        batches=machinery.batches.recent()[:5],
        saved=ask.query.get("saved", ""),
    )  # fmt: skip


def letter(ask: Ask) -> Response:
    """One letter, its arguments folded."""
    return _letter_page(ask, opened=False)


def open_arguments(ask: Ask) -> Response:
    """One letter with its arguments in full."""
    if not ask.may("operator", "articles"):
        raise Refused(403, "You may not do this", "It takes the roles operator and articles.")
    letter_id, _ = _found(ask)
    ask.audit("letters.arguments", letter_id)  # before they are shown
    return _letter_page(ask, opened=True)


def _letter_page(ask: Ask, *, opened: bool) -> Response:
    letter_id, found = _found(ask)
    known = found if isinstance(found, DeadLetter) else None
    return page(
        ask, "dead_letter.html", id=letter_id, letter=known, version=getattr(found, "version", ""),
        arrived=dead_letters.arrival(letter_id), opened=opened,
        arguments=known and arguments_of(known, in_full=opened),
        bytes=len(found.message if isinstance(found, DeadLetter) else found.content),
        may_act=ask.may("operator"), may_open=ask.may("operator", "articles"),
    )  # fmt: skip


def replay(ask: Ask) -> Response:
    """Run a letter's task again."""
    letter_id, _ = _found(ask)
    try:
        is_done = dead_letters.replay(ask.desk.machinery.client(), letter_id)
    except UnknownVersionError:
        raise Refused(
            400, "This cannot be replayed", "Another version of this program wrote the letter."
        ) from None
    return _after(ask, letter_id, "replay", is_done=is_done)


def discard_page(ask: Ask) -> Response:
    """The question before a letter is discarded."""
    letter_id, found = _found(ask)
    return page(ask, "discard_letter.html", id=letter_id, task=getattr(found, "task", ""))


def discard(ask: Ask) -> Response:
    """Delete a letter."""
    letter_id, _ = _found(ask)
    is_done = dead_letters.discard(ask.desk.machinery.client(), letter_id)
    return _after(ask, letter_id, "discard", is_done=is_done)


def _after(ask: Ask, letter_id: str, action: str, *, is_done: bool) -> Response:
    ask.desk.machinery.letters.forget(letter_id)
    noted(ask, f"letters.{action}", letter_id, outcome="done" if is_done else "it was gone")
    if not is_done:
        raise _gone()
    return to(f"/dead-letters?saved={action}")


def noted(ask: Ask, action: str, subject: str, **more: Any) -> None:
    """Add what was done to the trail.

    Raises:
        Refused: the database cannot take it now; the page says that it was done.
    """
    try:
        ask.audit(action, subject, **more)
    except DatabaseError as error:
        logger.warning("%s by %s is not in the trail: %s", action, ask.name, error)
        what = "The database cannot be used now, so the trail does not say so. Do not do it again."
        raise Refused(503, "It is done, but not noted", what) from None


def _found(ask: Ask) -> tuple[str, DeadLetter | UnknownLetter]:
    letter_id = ask.path["id"]
    found = dead_letters.find(ask.desk.machinery.client(), letter_id)
    if found is None:
        raise _gone()
    return letter_id, found


def _gone() -> Refused:
    return Refused(404, "There is no such letter (any more)", "Perhaps somebody replayed or discarded it.")
