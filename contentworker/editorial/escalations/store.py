"""The records in their database: each is made once, settled once, and can be forgotten."""

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, delete, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from contentworker.editorial.escalations import schema
from contentworker.editorial.escalations.result import Escalation, EscalationRef, Forgotten, Settled
from contentworker.errors import ContentError, ContentWorkerError

__all__ = ["DatabaseError", "PendingEvent", "Store", "check_decision"]

MAX_EVIDENCE_BYTES = 200_000
MAX_NAME_CHARACTERS = 200
"""As long as the columns are."""
EVENTS_AT_ONCE = 20

escalations, texts, history = schema.escalations, schema.texts, schema.history
notifications, events = schema.notifications, schema.events
PARTS = {"texts": texts, "history": history, "notifications": notifications, "events": events}
UNSETTLED = {
    "state": "open", "decision": "", "settled_by": "", "note": "", "event_id": "", "settled_at": None
}  # fmt: skip
"""The columns of a record that waits for a person."""


class DatabaseError(ContentWorkerError):
    """The database is locked, unreachable, full or read-only: a later try may succeed."""


class PendingEvent(NamedTuple):
    """A settled record that some target of the platform has not received yet."""

    id: str
    payload: dict[str, Any]
    webhook_at: datetime | None
    task_at: datetime | None


class Store:
    """The records behind one engine. The first use creates the tables or migrates them."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._engine = engine
        self._now = now
        self._ready = False

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            if not self._ready:
                schema.migrate(self._engine)
                self._ready = True
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            # The driver's first line only: SQLAlchemy adds the statement, the driver's details may show data.
            reason = str(error.orig).splitlines()[0] if str(error.orig) else type(error.orig).__name__
            raise DatabaseError(f"the database of the escalations cannot be used: {reason}") from None

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
    ) -> EscalationRef:
        """Make the record of this article and reason, or add to it: a new text opens a settled one again.

        Raises:
            ContentError: the evidence is not a JSON object, or has more than 200,000 bytes.
            DatabaseError: nothing was recorded.
        """
        now = self._now()
        given = {"evidence": _evidence(evidence), "run_id": run_id, "updated_at": now}
        values = {
            "id": uuid.uuid4().hex,
            "article_id": article_id,
            "reason": reason,
            "media_type": media_type,
            "round": 1,
            "created_at": now,
        }
        with self._transaction() as connection:
            created = _insert_once(connection, escalations, values | given | UNSETTLED)
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
            if created:
                _note(connection, known.id, now, "created")
            elif added:
                changes = given | {"media_type": media_type or known.media_type}
                _note(connection, known.id, now, "text added")
                if known.state == "settled":
                    changes |= {"round": known.round + 1, **UNSETTLED}
                    _note(connection, known.id, now, "reopened")
                connection.execute(update(escalations).where(escalations.c.id == known.id).values(changes))
        return EscalationRef(id=known.id, created=created)

    def settle(
        self, escalation_id: str, decision: str, by: str, note: str = "", text: str | None = None
    ) -> Settled:
        """Settle a record, with an event for the platform in the same transaction.

        The same decision twice changes nothing.

        Raises:
            ContentError: there is no such record, or it is settled with another decision.
        """
        check_decision(decision, by)
        note, now = _storable(note), self._now()
        with self._transaction() as connection:
            known = _for_change(connection, escalation_id)
            if known.state == "settled":
                if known.decision != decision:
                    said = f"it is settled as {known.decision!r} by {known.settled_by}"
                    raise ContentError("decision", said)
                return _settled(known._mapping, changed=False)  # noqa: SLF001 (public, named so that no column has its name)
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
            connection.execute(update(escalations).where(escalations.c.id == known.id).values(changes))
            _note(connection, known.id, now, "settled", by=by, decision=decision, note=note)
            settled = _settled({**known._mapping, **changes}, changed=True)  # noqa: SLF001 (as above)
            payload = settled.model_dump(mode="json", exclude={"changed"})
            event = {
                "id": settled.event_id,
                "escalation_id": known.id,
                "payload": json.dumps({"type": "escalation.settled", **payload, "text": text}),
                "created_at": now,
            }
            connection.execute(insert(events).values(event))
        return settled

    def find(self, escalation_id: str) -> Escalation | None:
        """A record with its texts, history and notifications."""
        with self._transaction() as connection:
            row = connection.execute(select(escalations).where(escalations.c.id == escalation_id)).first()
            if row is None:
                return None
            parts = {}
            for name in ("texts", "history", "notifications"):
                table = PARTS[name]
                query = select(table).where(table.c.escalation_id == escalation_id).order_by(table.c.id)
                parts[name] = [dict(each) for each in connection.execute(query).mappings()]
            return _escalation(row._mapping, **parts)  # noqa: SLF001 (as above)

    def ids(self, beginning: str, most: int) -> list[str]:
        """At most so many ids that begin so."""
        query = select(escalations.c.id).where(escalations.c.id.startswith(beginning, autoescape=True))
        with self._transaction() as connection:
            return list(connection.scalars(query.order_by(escalations.c.id).limit(most)))

    def read(self, *, state: str | None = None) -> list[Escalation]:
        """Records, oldest first, without their texts."""
        query = select(escalations).order_by(escalations.c.created_at, escalations.c.id)
        if state:
            query = query.where(escalations.c.state == state)
        with self._transaction() as connection:
            return [_escalation(row) for row in connection.execute(query).mappings()]

    def open_count(self) -> int:
        """The number of records that wait for a person."""
        with self._transaction() as connection:
            query = select(func.count()).select_from(escalations).where(escalations.c.state == "open")
            return connection.scalar(query) or 0

    def purge(self, older_than: datetime) -> Forgotten:
        """Remove records settled before this moment, but none whose event is not delivered yet."""
        undelivered = select(events.c.escalation_id).where(events.c.done_at.is_(None))
        return self._remove(
            (escalations.c.state == "settled")
            & (escalations.c.settled_at < older_than)
            & escalations.c.id.not_in(undelivered)
        )

    def forget(self, article_id: str) -> Forgotten:
        """Remove everything of an article."""
        return self._remove(escalations.c.article_id == article_id)

    def _remove(self, condition: Any) -> Forgotten:
        with self._transaction() as connection:
            ids = list(connection.scalars(select(escalations.c.id).where(condition).with_for_update()))
            counts = {
                name: connection.execute(delete(table).where(table.c.escalation_id.in_(ids))).rowcount
                for name, table in PARTS.items()
            }
            connection.execute(delete(escalations).where(escalations.c.id.in_(ids)))
        return Forgotten(escalations=len(ids), **counts)

    def begin_sending(self, escalation_id: str, key: str, label: str) -> int | None:
        """Claim the sending to a channel: the record's round, or None if there is nothing to send.

        A sending that began and did not end may have arrived. It becomes `unknown`, and nothing repeats it.
        """
        values = {"state": "sending", "detail": "", "updated_at": self._now()}
        with self._transaction() as connection:
            known = _for_change(connection, escalation_id)
            if known.state == "settled":
                return None
            row = {"escalation_id": known.id, "round": known.round, "channel_key": key, "channel": label}
            if _insert_once(connection, notifications, {**row, **values}):
                return int(known.round)
            its = [notifications.c[name] == row[name] for name in ("escalation_id", "round", "channel_key")]
            again = update(notifications).where(*its, notifications.c.state == "refused").values(values)
            if connection.execute(again).rowcount:
                return int(known.round)
            values |= {"state": "unknown", "detail": "the worker ended while it sent"}
            connection.execute(
                update(notifications).where(*its, notifications.c.state == "sending").values(values)
            )
            return None

    def end_sending(self, escalation_id: str, round_number: int, key: str, state: str, detail: str) -> None:
        """Record how the sending to a channel ended: `sent`, `refused` or `unknown`."""
        table = notifications.c
        its = (table.escalation_id == escalation_id, table.round == round_number, table.channel_key == key)
        values = {"state": state, "detail": detail[:200], "updated_at": self._now()}
        with self._transaction() as connection:
            connection.execute(update(notifications).where(*its).values(values))

    def pending_events(self) -> Iterator[PendingEvent]:
        """Events that some target has not received, oldest first, read in pages: each may hold a text."""
        order = events.c.created_at, events.c.id
        query = select(events).where(events.c.done_at.is_(None)).order_by(*order).limit(EVENTS_AT_ONCE)
        page = query
        while True:
            with self._transaction() as connection:
                rows = connection.execute(page).all()
            for row in rows:
                yield PendingEvent(row.id, json.loads(row.payload), row.webhook_at, row.task_at)
            if len(rows) < EVENTS_AT_ONCE:
                return
            page = query.where(tuple_(*order) > (rows[-1].created_at, rows[-1].id))

    def mark_event(self, event_id: str, column: str) -> None:
        """Record that an event was delivered: `webhook_at`, `task_at`, or `done_at` for all targets."""
        with self._transaction() as connection:
            connection.execute(update(events).where(events.c.id == event_id).values({column: self._now()}))


def check_decision(decision: str, by: str) -> None:
    """Check the form of a decision and of a person's name.

    Raises:
        ContentError: one of them has another form.
    """
    if not re.fullmatch(r"[a-z0-9_]{1,50}", decision):
        raise ContentError("decision", "1 to 50 characters of a-z, 0-9 and _")
    if not 1 <= len(by) <= MAX_NAME_CHARACTERS or not by.isprintable():
        raise ContentError("by", "1 to 200 printable characters")


def _for_change(connection: Connection, escalation_id: str) -> Any:
    """The record, locked until the transaction ends."""
    query = select(escalations).where(escalations.c.id == escalation_id).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise ContentError("escalation_id", "there is no such record (any more)")
    return row


def _insert_once(connection: Connection, table: Any, values: Mapping[str, Any]) -> bool:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    # RETURNING, because psycopg gives no row count for an insert.
    query = dialect.insert(table).values(values).on_conflict_do_nothing().returning(table.c.id)
    return connection.execute(query).first() is not None


def _add_text(connection: Connection, escalation_id: str, kind: str, text: str, now: datetime) -> bool:
    text = _storable(text)
    values = {
        "escalation_id": escalation_id,
        "kind": kind,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "text": text,
        "created_at": now,
    }
    return _insert_once(connection, texts, values)


def _note(connection: Connection, escalation_id: str, now: datetime, what: str, **more: str) -> None:
    values = {"escalation_id": escalation_id, "at": now, "what": what, "by": "", "decision": "", "note": ""}
    connection.execute(insert(history).values({**values, **more}))


def _evidence(evidence: Mapping[str, Any]) -> str:
    try:
        # ASCII, so that any database can keep it.
        text = json.dumps(dict(evidence), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ContentError("evidence", "must be a JSON object") from None
    if len(text) > MAX_EVIDENCE_BYTES:
        raise ContentError("evidence", f"at most {MAX_EVIDENCE_BYTES} bytes of JSON, not {len(text)}")
    return text


def _storable(text: str) -> str:
    """The text as both databases can keep it: PostgreSQL knows no NUL, UTF-8 no half surrogate pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _settled(row: Mapping[Any, Any], *, changed: bool) -> Settled:
    names = ("id", "article_id", "reason", "decision", "note", "settled_at", "event_id")
    return Settled(**{name: row[name] for name in names}, by=row["settled_by"], changed=changed)


def _escalation(row: Mapping[Any, Any], **parts: Any) -> Escalation:
    return Escalation.model_validate({**row, "evidence": json.loads(row["evidence"]), **parts})
