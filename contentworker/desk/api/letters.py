"""Dead letters in the API: the list, one of them, replay, discard, and batches of them."""

from contentworker.desk import batches as pages
from contentworker.desk import dead_letters as found_letters
from contentworker.desk.api.base import Call, ProblemError
from contentworker.desk.api.operations_models import (
    Argument,
    Batch,
    BatchBody,
    Batches,
    Letter,
    LetterDone,
    LetterFilterFields,
    LetterPage,
    LetterQuery,
    LetterShown,
)
from contentworker.desk.batching import Batch as KnownBatch
from contentworker.runtime.records import dead_letters, letter_parts
from contentworker.runtime.records.dead_letters import DeadLetter, UnknownVersionError
from contentworker.runtime.records.letter_batches import LetterFilter
from contentworker.runtime.records.letter_parts import LetterParts, order

__all__ = ["batch", "batches", "create", "discard", "go_on", "listed", "read", "replay", "stop"]

NAMES = ("task", "reason", "queue", "exception", "text")


def listed(call: Call) -> LetterPage:
    """A page of the list, the newest first."""
    asked: LetterQuery = call.query
    matching = [*reversed(pages.matching(call.desk.machinery, _filter(asked)))]
    rest = [each for each in matching if asked.after is None or order(each.id) < order(asked.after)]
    shown = rest[: asked.limit]
    after = shown[-1].id if len(rest) > len(shown) else None
    return LetterPage(items=tuple(map(_letter, shown)), next=after, total=len(matching))


def read(call: Call) -> LetterShown:
    """One letter with its arguments folded: they may be articles."""
    client = call.desk.machinery.client()
    found, parts = dead_letters.find(client, _id(call)), letter_parts.find(client, _id(call))
    if found is None or parts is None:
        raise _gone()
    arguments = found_letters.arguments_of(found) if isinstance(found, DeadLetter) else None
    folded = (
        None if arguments is None else tuple(Argument(name=each.name, what=each.what) for each in arguments)
    )
    return LetterShown(**dict(_letter(parts)), arguments=folded)


def replay(call: Call) -> LetterDone:
    """Run a letter's task again."""
    try:
        is_done = dead_letters.replay(call.desk.machinery.client(), _id(call))
    except UnknownVersionError as error:
        raise ProblemError(409, f"{error}.") from None
    return _done(call, is_done=is_done)


def discard(call: Call) -> LetterDone:
    """Delete a letter."""
    return _done(call, is_done=dead_letters.discard(call.desk.machinery.client(), _id(call)))


def batches(call: Call) -> Batches:
    """The newest batches."""
    return Batches(items=tuple(map(_batch, call.desk.machinery.batches.recent())))


def batch(call: Call) -> Batch:
    """How far a batch is."""
    found = call.desk.machinery.batches.find(call.id)
    if found is None:
        raise ProblemError(404, "There is no such batch (any more).")
    return _batch(found)


def create(call: Call) -> Batch:
    """Begin a batch over the letters that match now."""
    body: BatchBody = call.body
    machinery, wanted = call.desk.machinery, body.filter
    found = [each for each in pages.matching(machinery, _filter(wanted)) if each.is_known]
    ids = [each.id for each in found if body.include_risky or body.action == "discard" or not each.is_risky]
    if len(ids) != body.expected:
        raise ProblemError(409, f"{len(ids)} letters match, not {body.expected}: look at them again.")
    if not ids:
        raise ProblemError(409, "No letter matches.")
    chosen = {name: str(value) for name, value in wanted.model_dump(exclude_none=True).items()}
    how = call.ask.person.signed_in if call.ask.person else ""
    one_first = body.one_first and body.action == "replay" and len(ids) > 1
    batch_id = machinery.batches.create(
        body.action, ids, call.ask.name, signed_in=how, chosen=chosen, one_first=one_first
    )
    made = machinery.batches.find(batch_id)
    if made is None:
        raise ProblemError(404, "The batch is gone.")
    return _batch(made)


def stop(call: Call) -> Batch:
    """Stop a batch."""
    batch(call)
    if not call.desk.machinery.batches.stop(call.id, call.ask.name):
        raise ProblemError(409, "It has ended already.")
    return batch(call)


def go_on(call: Call) -> Batch:
    """Go on with a batch that stands still."""
    batch(call)
    if not call.desk.machinery.batches.go_on(call.id):
        raise ProblemError(409, "It does not stand still.")
    return batch(call)


def _filter(asked: LetterFilterFields) -> LetterFilter:
    return LetterFilter(**{name: getattr(asked, name) for name in NAMES}, is_critical=asked.critical)


def _id(call: Call) -> str:
    if not found_letters.LETTER_ID.fullmatch(call.id):
        raise _gone()
    return call.id


def _gone() -> ProblemError:
    return ProblemError(404, "There is no such letter (any more).")


def _done(call: Call, *, is_done: bool) -> LetterDone:
    call.desk.machinery.letters.forget(call.id)
    if not is_done:
        raise _gone()
    return LetterDone(id=call.id)


def _letter(parts: LetterParts) -> Letter:
    names = ("id", "reason", "error", "exception", "queue", "task", "task_id", "is_critical", "size_bytes")
    fields = {name: getattr(parts, name) for name in names}
    return Letter(
        **fields, arrived=parts.arrived, is_risky=parts.is_risky, replayed_before=bool(parts.earlier_id)
    )


def _batch(found: KnownBatch) -> Batch:
    names = ("id", "action", "by", "created", "total", "state", "why", "one_first", "done", "gone", "refused")
    return Batch(**{name: getattr(found, name) for name in names}, filter=found.chosen)
