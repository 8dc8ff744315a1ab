"""The trail of the desk: who did what, when, and how they had signed in. Entries are only ever added."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from contentworker.editorial.escalations.database import Database, storable
from contentworker.editorial.escalations.tables import desk_audit

__all__ = ["Audit", "Entry", "hidden", "hide_article"]


@dataclass(frozen=True)
class Entry:
    """One thing that somebody did."""

    id: int
    at: datetime
    by: str
    signed_in: str
    """`password`, `oidc`, `proxy`, `link`, `token`, or `command`."""
    action: str
    """Such as `letters.replay`."""
    subject: str
    """The id of an article, record, letter or run, or the name of a queue; or nothing."""
    filter: dict[str, Any]
    """What chose the subjects, for an action on many."""
    count: int | None
    """How many there were."""
    outcome: str


class Audit(Database):
    """The trail behind one engine."""

    def write(
        self,
        action: str,
        by: str,
        signed_in: str,
        *,
        subject: str = "",
        filter: Mapping[str, Any] | None = None,  # noqa: A002 (the name of the column)
        count: int | None = None,
        outcome: str = "done",
    ) -> None:
        """Add an entry."""
        row = {
            "at": self.now(),
            "by": storable(by)[:200],
            "signed_in": signed_in,
            "action": action,
            "subject": storable(subject)[:200],
            "filter": json.dumps({name: value for name, value in (filter or {}).items() if value}),
            "count": count,
            "outcome": storable(outcome)[:200],
        }
        with self.writing() as connection:
            connection.execute(insert(desk_audit).values(row))

    def read(self, *, before: int | None = None, limit: int = 100) -> list[Entry]:
        """Entries, the newest first; those older than the entry with the id `before`."""
        query = select(desk_audit).order_by(desk_audit.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(desk_audit.c.id < before)
        with self.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [Entry(**{**row, "filter": json.loads(row["filter"])}) for row in rows]


def hidden(article_id: str) -> str:
    """What stands in the trail in place of a forgotten article's id."""
    return f"sha256:{hashlib.sha256(article_id.encode()).hexdigest()}"


def hide_article(connection: Connection, article_id: str) -> None:
    """Put a hash in place of an article's id, so that who knows the id still finds what was done."""
    instead = hidden(article_id)
    table = desk_audit.c
    connection.execute(update(desk_audit).where(table.subject == article_id).values(subject=instead))
    quoted = json.dumps(article_id)
    rows = select(table.id, table.filter).where(table.filter.contains(quoted, autoescape=True))
    for row in connection.execute(rows).all():
        changed = json.dumps(_replaced(json.loads(row.filter), article_id, instead))
        connection.execute(update(desk_audit).where(table.id == row.id).values(filter=changed))


def _replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(each, old, new) for name, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, old, new) for each in value]
    return new if value == old else value
