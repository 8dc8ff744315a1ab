"""Records in the API: the list, one of them, choices, decisions, comments."""

from contentworker.desk import settling
from contentworker.desk.api.base import Call
from contentworker.desk.api.models import (
    Change,
    ChoicesBody,
    ChoicesMade,
    Comments,
    Findings,
    Record,
    RecordPage,
    RecordQuery,
    SettleBody,
)
from contentworker.editorial.escalations.choosing import decided, latest_rewrite
from contentworker.editorial.escalations.reading import Filter
from contentworker.editorial.escalations.result import Escalation, Finding, Settled
from contentworker.errors import ContentError

__all__ = ["choose", "comment", "findings", "listed", "read", "reopen", "settle", "withdraw"]


def listed(call: Call) -> RecordPage:
    """A page of the list."""
    asked: RecordQuery = call.query
    wanted = Filter(**asked.model_dump(exclude={"order", "after", "limit"}))
    page = call.desk.store.read(wanted, order=asked.order, after=asked.after, limit=asked.limit)
    return RecordPage(items=tuple(page.lines), next=page.after)


def read(call: Call) -> Record:
    """One record, and the changes to choose from."""
    return _shown(*settling.record_of(call.desk, call.id))


def findings(call: Call) -> Findings:
    """What was found out about the article."""
    return Findings(items=tuple(settling.record_of(call.desk, call.id)[1]))


def choose(call: Call) -> ChoicesMade:
    """Record choices."""
    body: ChoicesBody = call.body
    rewrite = latest_rewrite(*settling.record_of(call.desk, call.id))
    if rewrite is None:
        raise ContentError("choices", "there is no rewrite of the article's latest text")
    chosen = {each.change: (each.choice, each.text) for each in body.choices}
    version = call.desk.store.choose(call.id, call.by, rewrite.id, chosen, version=call.version)
    return ChoicesMade(id=call.id, version=version)


def settle(call: Call) -> Settled:
    """Settle a record."""
    body: SettleBody = call.body
    settled, _ = settling.settle(
        call.desk, call.id, body.decision, call.by, body.note.strip(),
        version=call.version, undo_seconds=body.undo_seconds, text=body.text,
    )  # fmt: skip
    return settled


def withdraw(call: Call) -> Record:
    """Take back a decision before the platform is told."""
    call.desk.store.withdraw(call.id, call.by, event_id=call.body.event_id)
    return read(call)


def reopen(call: Call) -> Record:
    """Open a record again, and have the platform told."""
    call.desk.store.reopen(call.id, call.by, event_id=call.body.event_id)
    call.desk.announce(0)
    return read(call)


def comment(call: Call) -> Comments:
    """Add a comment."""
    call.desk.store.comment(call.id, call.by, call.body.text)
    return Comments(items=settling.record_of(call.desk, call.id)[0].comments)


def _shown(record: Escalation, found: list[Finding]) -> Record:
    rewrite = latest_rewrite(record, found)
    changes = tuple(
        Change(
            number=each.number,
            outcome=each.change.outcome,
            original=each.change.original,
            rewritten=each.change.rewritten,
            refusals=each.change.refusals,
            choice=each.kind,
            text=each.own,
        )
        for each in (decided(record, rewrite) if rewrite else ())
    )
    return Record.model_validate({**dict(record), "changes": changes})
