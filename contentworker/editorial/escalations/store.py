"""The records in their database: each is made once, settled once, and can be forgotten."""

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from contentworker.editorial.detector.result import renewed
from contentworker.editorial.escalations.audit import hide_article
from contentworker.editorial.escalations.database import (
    DatabaseError,
    change_record,
    insert_once,
    locked,
    sha256,
    storable,
)
from contentworker.editorial.escalations.delivering import Deliveries, PendingEvent
from contentworker.editorial.escalations.reading import NOT_HELD, PARTS, Reading
from contentworker.editorial.escalations.reopening import UNSETTLED, Reopening, note_in_history
from contentworker.editorial.escalations.result import (
    MAX_EVIDENCE_BYTES,
    EscalationRef,
    Forgotten,
    NewFinding,
    Settled,
)
from contentworker.editorial.escalations.tables import escalations, events, texts
from contentworker.editorial.escalations.tables import findings as findings_table
from contentworker.editorial.escalations.teamwork import Teamwork, check_name, check_version
from contentworker.errors import ConflictError, ContentError

__all__ = ["DatabaseError", "PendingEvent", "Store", "check_decision"]

MAX_UNDO_SECONDS = 600.0
REMOVED_AT_ONCE = 1_000
"""Records that one transaction removes: a statement of PostgreSQL takes 65,535 ids at most."""
MOST_TITLE_CHARACTERS = 200
"""The length of the column."""


class Store(Reading, Teamwork, Reopening, Deliveries):
    """The records behind one engine. The first use creates the tables or migrates them."""

    def escalate(
        self,
        article_id: str,
        reason: str,
        *,
        evidence: Mapping[str, Any],
        content: str | None = None,
        media_type: str | None = None,
        rewrite: str | None = None,
        run_id: str | None = None,
        findings: Iterable[NewFinding] = (),
        title: str | None = None,
        due_hours: float | None = None,
    ) -> EscalationRef:
        """Make the record of this article and reason, or add to it: a new text opens a settled one again.

        It is due `due_hours` after it was opened, and then again if it was settled.

        Raises:
            ContentError: the evidence is not a JSON object, or has more than 200,000 bytes.
            DatabaseError: nothing was recorded.
        """
        now, found = self.now(), list(findings)
        given = {"evidence": _evidence(evidence), "run_id": run_id, "updated_at": now, **_in_short(found)}
        title = _short(title)
        due = {"due_at": None if due_hours is None else now + timedelta(hours=due_hours)}
        values = {
            "id": uuid.uuid4().hex,
            "article_id": article_id,
            "reason": reason,
            "media_type": media_type,
            "title": title,
            "round": 1,
            "created_at": now,
        }
        with self.writing() as connection:
            created = insert_once(connection, escalations, values | due | given | UNSETTLED)
            known = connection.execute(
                select(escalations)
                .where(escalations.c.article_id == article_id, escalations.c.reason == reason)
                .with_for_update()
            ).one()
            added = [
                kind
                for kind, text in (("original", content), ("rewrite", rewrite))
                if text is not None and _add_text(connection, known.id, kind, text, now)
            ]
            if created or added:
                for each in found:
                    _add_finding(connection, known.id, run_id or "", each, now)
            if created:
                note_in_history(connection, known.id, now, "created")
            elif added:
                changes = given | {"media_type": media_type or known.media_type}
                changes["title"] = title or known.title
                note_in_history(connection, known.id, now, "text added")
                if known.state == "settled":
                    changes |= {"round": known.round + 1, **due, **UNSETTLED}
                    note_in_history(connection, known.id, now, "reopened")
                change_record(connection, known.id, changes)
        return EscalationRef(id=known.id, created=created)

    def settle(
        self,
        escalation_id: str,
        decision: str,
        by: str,
        note: str = "",
        text: str | None = None,
        *,
        version: int | None = None,
        undo_seconds: float = 0,
    ) -> Settled:
        """Settle a record, with an event for the platform in the same transaction.

        The same call twice changes nothing.

        Args:
            escalation_id: The record.
            decision: The platform's word.
            by: Who decides.
            note: Why.
            text: The text to publish.
            version: The record's version that the person has seen; None: whichever it is.
            undo_seconds: 0 to 600: how long `withdraw` can take the decision back.

        Raises:
            ConflictError: it is settled otherwise, by somebody else, or has another version. Nothing of this
                call was recorded.
            ContentError: there is no such record.
        """
        check_decision(decision, by)
        if not 0 <= undo_seconds <= MAX_UNDO_SECONDS:
            raise ContentError("undo_seconds", f"0 to {MAX_UNDO_SECONDS:.0f}, not {undo_seconds}")
        note, now = storable(note), self.now()
        held_until = now + timedelta(seconds=undo_seconds) if undo_seconds else None
        with self.writing() as connection:
            known = locked(connection, escalation_id)
            if known.state == "settled":
                return _repeated(connection, known, (decision, by, note, text))
            check_version(connection, known.id, version)
            if text is not None:
                _add_text(connection, known.id, "final", text, now)
            changes = {
                "state": "settled",
                "decision": decision,
                "settled_by": by,
                "note": note,
                "event_id": uuid.uuid4().hex,
                "settled_at": now,
                "updated_at": now,
            }
            change_record(connection, known.id, changes | NOT_HELD)
            note_in_history(connection, known.id, now, "settled", by=by, decision=decision, note=note)
            settled = _settled({**known._mapping, **changes}, changed=True, until=held_until)  # noqa: SLF001 (public, named so that no column has its name)
            payload = settled.model_dump(mode="json", exclude={"changed", "withdrawable_until"})
            event = {
                "id": settled.event_id,
                "escalation_id": known.id,
                "payload": json.dumps({"type": "escalation.settled", **payload, "text": text}),
                "created_at": now,
                "not_before": held_until,
                "done_at": held_until and now,
            }
            connection.execute(insert(events).values(event))
        return settled

    def purge(self, older_than: datetime) -> Forgotten:
        """Remove records settled before this moment, but none whose event is not delivered yet."""
        undelivered = events.c.done_at.is_(None) | events.c.not_before.is_not(None)
        return self._remove(
            (escalations.c.state == "settled")
            & (escalations.c.settled_at < older_than)
            & escalations.c.id.not_in(select(events.c.escalation_id).where(undelivered))
        )

    def forget(self, article_id: str) -> Forgotten:
        """Remove everything of an article. The desk's trail keeps a hash of its id."""
        return self._remove(escalations.c.article_id == article_id, article_id)

    def _remove(self, condition: Any, forgotten: str | None = None) -> Forgotten:
        removed: Counter[str] = Counter()
        some = select(escalations.c.id).where(condition).limit(REMOVED_AT_ONCE).with_for_update()
        while True:
            with self.writing() as connection:
                if forgotten is not None:
                    hide_article(connection, forgotten)
                ids = list(connection.scalars(some))
                for name, table in PARTS.items():
                    its = delete(table).where(table.c.escalation_id.in_(ids))
                    removed[name] += connection.execute(its).rowcount
                connection.execute(delete(escalations).where(escalations.c.id.in_(ids)))
            removed["escalations"] += len(ids)
            if len(ids) < REMOVED_AT_ONCE:
                return Forgotten(**removed)


def check_decision(decision: str, by: str) -> None:
    """Check the form of a decision and of a person's name.

    Raises:
        ContentError: one of them has another form.
    """
    if not re.fullmatch(r"[a-z0-9_]{1,50}", decision):
        raise ContentError("decision", "1 to 50 characters of a-z, 0-9 and _")
    check_name(by)


def _repeated(connection: Connection, known: Any, call: tuple[str, str, str, str | None]) -> Settled:
    """The answer to a call that settled the record before.

    Raises:
        ConflictError: another one settled it, perhaps with the same decision, but another note or text.
    """
    event = connection.execute(select(events).where(events.c.id == known.event_id)).one()
    if (known.decision, known.settled_by, known.note, json.loads(event.payload)["text"]) != call:
        said = f"it is settled as {known.decision!r} by {known.settled_by}; nothing of yours was recorded"
        raise ConflictError("decision", said)
    return _settled(known._mapping, changed=False, until=event.not_before)  # noqa: SLF001 (as above)


def _add_text(connection: Connection, escalation_id: str, kind: str, text: str, now: datetime) -> bool:
    values = {
        "escalation_id": escalation_id,
        "kind": kind,
        "sha256": sha256(text),
        "text": storable(text),
        "created_at": now,
    }
    return insert_once(connection, texts, values)


def _add_finding(
    connection: Connection, escalation_id: str, run_id: str, found: NewFinding, now: datetime
) -> None:
    values = {
        "escalation_id": escalation_id,
        "run_id": run_id,
        "kind": found.kind,
        "number": found.number,
        "text_sha256": sha256(found.text),
        "content": json.dumps(found.content),
        "created_at": now,
    }
    insert_once(connection, findings_table, values)


def _in_short(found: Iterable[NewFinding]) -> dict[str, Any]:
    """The columns of the list, of the article as it came."""
    first = {each.kind: each.content for each in found if each.number == 0}
    score, detection = first.get("score", {}), renewed(first.get("detection", {}))
    return {
        "language": score.get("language", detection.get("language")),
        "score": score.get("score"),
        "verdict": detection.get("verdict"),
    }


def _evidence(evidence: Mapping[str, Any]) -> str:
    try:
        # ASCII, so that any database can keep it.
        text = json.dumps(dict(evidence), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ContentError("evidence", "must be a JSON object") from None
    if len(text) > MAX_EVIDENCE_BYTES:
        raise ContentError("evidence", f"at most {MAX_EVIDENCE_BYTES} bytes of JSON, not {len(text)}")
    return text


def _short(title: str | None) -> str | None:
    """A title on one line, as long as its column; None if nothing is left of it."""
    words = " ".join(storable(title or "").split())
    return words[:MOST_TITLE_CHARACTERS] or None


def _settled(row: Mapping[Any, Any], *, changed: bool, until: datetime | None) -> Settled:
    names = ("id", "article_id", "reason", "decision", "note", "settled_at", "event_id")
    values = {name: row[name] for name in names}
    return Settled(**values, by=row["settled_by"], changed=changed, withdrawable_until=until)
