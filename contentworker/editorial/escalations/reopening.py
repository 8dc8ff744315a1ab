"""What opens a settled record again: taking a decision back before the platform is told, or after that."""

import json
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from contentworker.editorial.escalations.database import Database, change_record, locked
from contentworker.editorial.escalations.tables import events, history
from contentworker.editorial.escalations.teamwork import check_name
from contentworker.errors import ConflictError

__all__ = ["UNSETTLED", "Reopening", "note_in_history"]

UNSETTLED = {
    "state": "open", "decision": "", "settled_by": "", "note": "", "event_id": "", "settled_at": None
}  # fmt: skip
"""The columns of a record that waits for a person."""


class Reopening(Database):
    """The part of the store that opens settled records again."""

    def withdraw(self, escalation_id: str, by: str, *, event_id: str | None = None) -> None:
        """Take a decision back, so that the record is open again, while its event is held.

        Args:
            escalation_id: The record.
            by: Who takes it back.
            event_id: The decision that the person has seen, by its event; None: whichever it is.

        Raises:
            ConflictError: it is not settled, the platform is told already, or the decision is another one.
            ContentError: there is no such record.
        """
        check_name(by)
        now = self.now()
        with self.writing() as connection:
            known = _locked_settled(connection, escalation_id, event_id)
            _take_back(connection, known, now, by)

    def reopen(self, escalation_id: str, by: str, *, event_id: str | None = None) -> bool:
        """Reopen a record whose decision the platform knows; the event `escalation.reopened` tells it.

        Returns False if no worker has sent the decision yet, though the time to withdraw it is over: it is
        withdrawn then, and the platform hears of neither.

        Args:
            escalation_id: The record.
            by: Who opens it again.
            event_id: The decision that the person has seen, by its event; None: whichever it is.

        Raises:
            ConflictError: it is open, its decision can still be withdrawn, or the decision is another one.
            ContentError: there is no such record.
        """
        check_name(by)
        now = self.now()
        with self.writing() as connection:
            known = _locked_settled(connection, escalation_id, event_id)
            event = connection.execute(select(events).where(events.c.id == known.event_id)).first()
            if event is not None and event.not_before is not None:
                if event.not_before > now:
                    raise ConflictError(
                        "escalation_id", "its decision can still be withdrawn: nobody is told of it"
                    )
                _take_back(connection, known, now, by)
                return False
            new_id = uuid.uuid4().hex
            payload = {"id": known.id, "article_id": known.article_id, "reason": known.reason, "by": by}
            payload |= {
                "type": "escalation.reopened",
                "event_id": new_id,
                "reopened_at": now.isoformat(),
                "settled_event_id": known.event_id,
            }
            row = {"id": new_id, "escalation_id": known.id, "created_at": now}
            connection.execute(insert(events).values({**row, "payload": json.dumps(payload)}))
            change_record(connection, known.id, {**UNSETTLED, "round": known.round + 1, "updated_at": now})
            note_in_history(connection, known.id, now, "reopened", by=by)
        return True


def _take_back(connection: Connection, known: Any, now: datetime, by: str) -> None:
    held = (events.c.id == known.event_id) & events.c.not_before.is_not(None)
    if not connection.execute(delete(events).where(held)).rowcount:
        raise ConflictError("escalation_id", "too late: the platform is told of the decision")
    change_record(connection, known.id, {**UNSETTLED, "updated_at": now})
    note_in_history(connection, known.id, now, "reopened", by=by)


def note_in_history(
    connection: Connection, escalation_id: str, now: datetime, what: str, **more: str
) -> None:
    """Add to the history of a record what happened to it."""
    values = {"escalation_id": escalation_id, "at": now, "what": what, "by": "", "decision": "", "note": ""}
    connection.execute(insert(history).values({**values, **more}))


def _locked_settled(connection: Connection, escalation_id: str, event_id: str | None) -> Any:
    """A settled record with the decision that a person has seen, locked until the transaction ends."""
    known = locked(connection, escalation_id)
    if known.state != "settled":
        raise ConflictError("escalation_id", "it is not settled: there is nothing to take back")
    if event_id not in {None, known.event_id}:
        raise ConflictError("escalation_id", f"it was settled again, by {known.settled_by}")
    return known
