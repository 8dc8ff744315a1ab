"""What reads the records: one of them, or a page of the list by filter, order and cursor."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select, tuple_

from contentworker.editorial.escalations.database import Database
from contentworker.editorial.escalations.result import Escalation, EscalationLine, Finding
from contentworker.editorial.escalations.tables import (
    choices,
    comments,
    due,
    escalations,
    events,
    findings,
    history,
    notifications,
    texts,
)
from contentworker.errors import ContentError

__all__ = ["NOT_HELD", "PARTS", "Filter", "Order", "Page", "Reading"]

Order = Literal["due", "oldest", "newest", "changed"]
"""Order of a list: what is due first, by time of creation, or by the latest change first."""
COLUMNS = [escalations.c[name] for name in EscalationLine.model_fields]
PARTS = {
    "texts": texts,
    "choices": choices,
    "findings": findings,
    "history": history,
    "comments": comments,
    "notifications": notifications,
    "events": events,
}
SHOWN = ("texts", "choices", "history", "comments", "notifications")
"""Parts that `find` reads. Findings may be large, and events are internal."""
NOT_HELD: dict[str, Any] = {"held_by": None, "held_until": None}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Filter(NamedTuple):
    """Conditions that a record must meet; None: any value."""

    state: str | None = None
    reason: str | None = None
    language: str | None = None
    verdict: str | None = None
    held_by: str | None = None
    """Who holds it now: an expired hold is none. Empty: nobody does."""
    text: str | None = None
    """A part of the article's id or title, in any case."""

    def condition(self, now: datetime) -> list[ColumnElement[bool]]:
        """Conditions on a row, all of which hold."""
        table = escalations.c
        same = {name: getattr(self, name) for name in ("state", "reason", "language", "verdict")}
        wanted = [table[name] == value for name, value in same.items() if value is not None]
        if self.held_by == "":
            wanted.append(or_(table.held_until.is_(None), table.held_until <= now))
        elif self.held_by is not None:
            wanted += [table.held_by == self.held_by, table.held_until > now]
        if self.text is not None:
            places = table.article_id, table.title
            wanted.append(or_(*(place.icontains(self.text, autoescape=True) for place in places)))
        return wanted


class Page(NamedTuple):
    """A part of the list."""

    lines: list[EscalationLine]
    after: str | None
    """Cursor of the next page; None at the end."""


class Reading(Database):
    """The part of the store that changes nothing."""

    def find(self, escalation_id: str) -> Escalation | None:
        """A record with its texts, choices, history, comments and notifications."""
        with self.reading() as connection:
            row = connection.execute(select(escalations).where(escalations.c.id == escalation_id)).first()
            if row is None:
                return None
            parts: dict[str, Any] = {name: _part(connection, name, escalation_id) for name in SHOWN}
            held = connection.scalar(select(events.c.not_before).where(events.c.id == row.event_id))
        values = {**row._mapping, "evidence": json.loads(row.evidence)}  # noqa: SLF001 (public, named so that no column has its name)
        version = len(parts["history"]) + len(parts["choices"])
        record = Escalation.model_validate(
            {**values, **parts, "version": version, "withdrawable_until": held}
        )
        return record.model_copy(update=self._expired(record))

    def findings(self, escalation_id: str) -> list[Finding]:
        """Everything that was found out about the record's texts, in the order in which it arrived."""
        with self.reading() as connection:
            rows = _part(connection, "findings", escalation_id)
        return [Finding.model_validate({**row, "content": json.loads(row["content"])}) for row in rows]

    def ids(self, beginning: str, most: int) -> list[str]:
        """At most so many ids that begin so."""
        query = select(escalations.c.id).where(escalations.c.id.startswith(beginning, autoescape=True))
        with self.reading() as connection:
            return list(connection.scalars(query.order_by(escalations.c.id).limit(most)))

    def ids_of(self, article_id: str) -> list[str]:
        """The ids of an article's records."""
        query = select(escalations.c.id).where(escalations.c.article_id == article_id)
        with self.reading() as connection:
            return list(connection.scalars(query))

    def read(
        self,
        wanted: Filter | None = None,
        *,
        order: Order = "oldest",
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        """A page of the list of records: at most `limit`, after the cursor of an earlier page.

        Raises:
            ContentError: `after` is no cursor.
        """
        rows = _query(wanted or Filter(), order, after, limit + 1, self.now())
        with self.reading() as connection:
            lines = [EscalationLine.model_validate(dict(row)) for row in connection.execute(rows).mappings()]
        more, lines = len(lines) > limit, lines[:limit]
        return Page(
            [line.model_copy(update=self._expired(line)) for line in lines],
            _cursor(lines[-1], order) if more else None,
        )

    def every(self, wanted: Filter | None = None, *, order: Order = "oldest") -> Iterator[EscalationLine]:
        """All records that match, read in pages."""
        after = None
        while True:
            page = self.read(wanted, order=order, after=after)
            yield from page.lines
            if (after := page.after) is None:
                return

    def holders(self) -> list[str]:
        """Who is at work on some record now."""
        query = select(escalations.c.held_by).where(escalations.c.held_until > self.now()).distinct()
        with self.reading() as connection:
            return sorted(connection.scalars(query))

    def open_count(self) -> int:
        """The number of records that wait for a person."""
        with self.reading() as connection:
            query = select(func.count()).select_from(escalations).where(escalations.c.state == "open")
            return connection.scalar(query) or 0

    def _expired(self, line: EscalationLine) -> dict[str, Any]:
        """The changes to a record that was read: a hold that has expired is none."""
        return NOT_HELD if line.held_until is None or line.held_until <= self.now() else {}


def _query(wanted: Filter, order: Order, after: str | None, limit: int, now: datetime) -> Select[Any]:
    """The rows of one page.

    Raises:
        ContentError: `after` is no cursor.
    """
    place = _column(order), escalations.c.id
    rows = select(*COLUMNS).where(*wanted.condition(now)).limit(limit)
    if order in {"due", "oldest"}:
        rows = rows.order_by(*place)
        return rows.where(tuple_(*place) > _place(after)) if after else rows
    rows = rows.order_by(*(column.desc() for column in place))
    return rows.where(tuple_(*place) < _place(after)) if after else rows


def _cursor(line: EscalationLine, order: Order) -> str:
    """The cursor of the page that begins after this record."""
    if order == "due":
        moment = line.due_at or line.created_at
    else:
        moment = line.updated_at if order == "changed" else line.created_at
    return f"{(moment - EPOCH) // timedelta(microseconds=1)}-{line.id}"


def _column(order: Order) -> Any:
    columns = {"due": due, "changed": escalations.c.updated_at}
    return columns.get(order, escalations.c.created_at)


def _place(after: str) -> tuple[datetime, str]:
    parts = re.fullmatch(r"([0-9]{1,17})-([0-9a-f]{32})", after)
    if not parts:
        raise ContentError("after", "must be the cursor of an earlier page")
    return EPOCH + timedelta(microseconds=int(parts[1])), parts[2]


def _part(connection: Connection, name: str, escalation_id: str) -> list[dict[str, Any]]:
    table = PARTS[name]
    query = select(table).where(table.c.escalation_id == escalation_id).order_by(table.c.id)
    return [dict(each) for each in connection.execute(query).mappings()]
