"""Settling a record at the desk, for its pages and its API."""

from contentworker.desk.web import Desk
from contentworker.editorial.escalations.choosing import as_chosen, latest_rewrite
from contentworker.editorial.escalations.result import Escalation, Finding, Settled
from contentworker.errors import ContentError

__all__ = ["record_of", "settle"]


def record_of(desk: Desk, escalation_id: str) -> tuple[Escalation, list[Finding]]:
    """A record and its findings.

    Raises:
        ContentError: there is no such record.
    """
    record = desk.store.find(escalation_id)
    if record is None:
        raise ContentError("escalation_id", "there is no such record (any more)")
    return record, desk.store.findings(record.id)


def settle(
    desk: Desk,
    escalation_id: str,
    decision: str,
    by: str,
    note: str,
    *,
    version: int | None,
    undo_seconds: float,
    text: str | None = None,
) -> tuple[Settled, bool]:
    """Settle a record, with the text as it was chosen unless `text` is given; have the platform told.

    Returns how it was settled, and whether the platform could be told: False if Redis is away.

    Raises:
        ContentError: there is no such decision or record, or the decision needs a note.
        ConflictError: it is settled otherwise, or has another version.
    """
    known = desk.settings.desk.decisions
    if decision not in known:
        raise ContentError("decision", f"must be one of {', '.join(known)}")
    if known[decision].needs_note and not note.strip():
        raise ContentError("note", f"must say why: {decision} needs a note")
    if text is None and known[decision].publishes:
        record, findings = record_of(desk, escalation_id)
        rewrite = latest_rewrite(record, findings)
        text = as_chosen(record, rewrite) if rewrite else None
    settled = desk.store.settle(
        escalation_id, decision, by, note, text, version=version, undo_seconds=undo_seconds
    )
    return settled, desk.announce(undo_seconds)
