"""Replaying and discarding everything that matches a filter: the preview, and how far a batch is."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from contentworker.desk.batching import Action, Batch
from contentworker.desk.dead_letters import LETTER_ID, chosen, in_words, noted, query_of
from contentworker.desk.machinery import Machinery
from contentworker.desk.web import Ask, Desk, Refused, page, to
from contentworker.desk.words import clock
from contentworker.runtime.records import pauses, queue_state
from contentworker.runtime.records.letter_batches import LetterFilter
from contentworker.runtime.records.letter_parts import LetterParts, order
from contentworker.runtime.records.spending import Spending

__all__ = ["Group", "Preview", "batch", "create", "go_on", "new", "numbers", "preview", "stop"]

RETURNED_SHOWN = 50
MOST_GROUPS = 200
"""Most tasks in a preview: anybody who can send messages can invent names."""


class Group(NamedTuple):
    """Letters of one task, in the preview."""

    task: str
    is_risky: bool
    """Critical or interrupted: a replay may repeat an effect that must not be repeated."""
    number: int
    replayed: int
    """How many of them were replayed before, and failed again."""

    @property
    def field(self) -> str:
        """Name of its tick in the form."""
        return f"take/{'risky' if self.is_risky else 'safe'}/{self.task}"


class Preview(NamedTuple):
    """What a batch would be about."""

    groups: list[Group]
    left_out: int
    """Letters that stay as they are: of unknown versions, or of tasks beyond the most."""
    until: str
    """The newest letter; what arrives later is left alone."""
    warnings: list[str]


def matching(machinery: Machinery, wanted: LetterFilter, until: str = "") -> list[LetterParts]:
    """The letters that match, of those that had arrived when the last one of the preview had."""
    now = datetime.now(UTC)
    found = [each for each in machinery.letters.read(machinery.client()) if wanted.matches(each, now)]
    return [each for each in found if not until or order(each.id) <= order(until)]


def preview(machinery: Machinery, action: Action, wanted: LetterFilter) -> Preview:
    """What would be replayed or discarded, by task, and what speaks against it."""
    found = matching(machinery, wanted)
    known = [each for each in found if each.is_known]
    numbers = Counter(map(_group, known))
    again = Counter(_group(each) for each in known if each.earlier_id)
    groups = [Group(*key, number, again[key]) for key, number in numbers.most_common(MOST_GROUPS)]
    left_out = len(found) - sum(group.number for group in groups)
    warnings = _warnings(machinery, known) if action == "replay" else []
    return Preview(groups, left_out, found[-1].id if found else "", warnings)


def _group(letter: LetterParts) -> tuple[str, bool]:
    return letter.task, letter.is_risky


def _warnings(machinery: Machinery, found: list[LetterParts]) -> list[str]:
    client = machinery.client()
    queues = sorted({each.queue for each in found} & machinery.settings.queues.keys())
    paused, waiting = pauses.read(client), queue_state.waiting(client, queues)
    said = [f"{each} is paused: tasks wait there until it is resumed." for each in queues if each in paused]
    numbers = [(each, waiting[each].number) for each in queues]
    said += [f"{n:,} {'waits' if n == 1 else 'wait'} in {each} already." for each, n in numbers if n]
    spending = machinery.settings.spending
    if spending.cap_per_day:
        spent = Spending(client, spending).today()
        said.append(f"{spent:.2f} of {spending.cap_per_day:g} are spent today; paid calls add to that.")
    if again := sum(bool(each.earlier_id) for each in found):
        said.append(f"{again:,} {'was' if again == 1 else 'were'} replayed before, and failed again.")
    if any(each.is_risky for each in found):
        said.append(
            "Critical or interrupted tasks may have had their effect, and a replay may repeat it: tick them "
            "only if you know that it did not happen."
        )
    return said


def new(ask: Ask) -> Response:
    """The preview, with the button."""
    action, wanted = _action(ask.query.get("action", "")), chosen(ask.query)
    query = query_of(wanted)
    return page(
        ask, "new_batch.html", action=action, preview=preview(ask.desk.machinery, action, wanted),
        chosen=in_words(query), query=query, back=f"/dead-letters?{urlencode(query)}",
    )  # fmt: skip


def create(ask: Ask) -> Response:
    """Begin a batch over the letters of the preview that are ticked."""
    action, wanted, until = _action(ask.form.get("action", "")), chosen(ask.form), ask.form.get("until", "")
    if not LETTER_ID.fullmatch(until):
        raise Refused(400, "This is no form of the desk", "Open the list again, and do it there.")
    machinery = ask.desk.machinery
    ticked = {name for name in ask.form if name.startswith("take/")}
    found = [each for each in matching(machinery, wanted, until) if each.is_known]
    ids = [each.id for each in found if Group(*_group(each), 0, 0).field in ticked]
    if not ids:
        raise Refused(400, "No letter is chosen", "Go back, and tick a task whose letters are still there.")
    one_first = action == "replay" and "one_first" in ask.form and len(ids) > 1
    how = ask.person.signed_in if ask.person else ""
    chosen_by = query_of(wanted)
    batch_id = machinery.batches.create(
        action, ids, ask.name, signed_in=how, chosen=chosen_by, one_first=one_first
    )
    noted(ask, f"letters.{action}", batch_id, filter=chosen_by, count=len(ids), outcome="begun")
    return to(f"/batches/{batch_id}")


def batch(ask: Ask) -> Response:
    """How far a batch is, and what failed."""
    batches, found = ask.desk.machinery.batches, _found(ask)
    returned = batches.returned(found)
    return page(
        ask, "batch.html", batch=found, returned=returned[:RETURNED_SHOWN], number_returned=len(returned),
        refusals=batches.refusals(found.id), chosen=in_words(found.chosen),
        now=datetime.now(UTC), clock=clock, seen=progress(found), may_act=ask.may("operator"),
    )  # fmt: skip


def numbers(desk: Desk) -> Mapping[str, float]:
    """How far each of the newest batches is, by `batches/ID`."""
    return {f"batches/{each.id}": progress(each) for each in desk.machinery.batches.recent()}


def progress(batch: Batch) -> int:
    """A number that grows with each letter, and when the batch ends."""
    return 10 * batch.handled + (5 if batch.state == "waiting" else 0 if batch.is_open else 9)


def stop(ask: Ask) -> Response:
    """Stop a batch."""
    found = _found(ask)
    if ask.desk.machinery.batches.stop(found.id, ask.name):
        noted(ask, "batch.stop", found.id, filter=found.chosen, count=found.handled)
    return to(f"/batches/{found.id}")


def go_on(ask: Ask) -> Response:
    """Go on with a batch that was stopped, or that waits for its first letter."""
    found = _found(ask)
    if ask.desk.machinery.batches.go_on(found.id):
        noted(ask, "batch.go_on", found.id, filter=found.chosen, count=found.total - found.handled)
    return to(f"/batches/{found.id}")


def _found(ask: Ask) -> Batch:
    found = ask.desk.machinery.batches.find(ask.path["id"])
    if found is None:
        raise Refused(404, "There is no such batch (any more)", "They are kept for 30 days.")
    return found


def _action(text: str) -> Action:
    if text == "replay":
        return "replay"
    if text == "discard":
        return "discard"
    raise Refused(400, "There is no such action", "Letters are replayed or discarded.")
