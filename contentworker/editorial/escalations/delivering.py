"""What leaves the records: notifications to people, and events to the platform."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import exists, select, tuple_, update

from contentworker.editorial.escalations.database import Database, insert_once, locked
from contentworker.editorial.escalations.tables import events, notifications

__all__ = ["Deliveries", "PendingEvent"]

EVENTS_AT_ONCE = 20
CLOCK_ERROR = timedelta(minutes=1)
"""A held event that was made so long after now shows that the clock was set back: it is held no longer."""


class PendingEvent(NamedTuple):
    """A settled record that some target of the platform has not received yet."""

    id: str
    payload: dict[str, Any]
    webhook_at: datetime | None
    task_at: datetime | None


class Deliveries(Database):
    """Notifications, each sent once, and events, each delivered at least once."""

    def begin_sending(self, escalation_id: str, key: str, label: str) -> int | None:
        """Claim the sending to a channel: the record's round, or None if there is nothing to send.

        A sending that began and did not end may have arrived. It becomes `unknown`, and nothing repeats it.
        """
        values = {"state": "sending", "detail": "", "updated_at": self.now()}
        with self.writing() as connection:
            known = locked(connection, escalation_id)
            if known.state == "settled":
                return None
            row = {"escalation_id": known.id, "round": known.round, "channel_key": key, "channel": label}
            if insert_once(connection, notifications, {**row, **values}):
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
        values = {"state": state, "detail": detail[:200], "updated_at": self.now()}
        with self.writing() as connection:
            connection.execute(update(notifications).where(*its).values(values))

    def pending_events(self) -> Iterator[PendingEvent]:
        """Events that some target has not received, oldest first, read in pages: each may hold a text.

        Held events whose time has come are claimed first: their decisions cannot be withdrawn any more.
        """
        self._claim_held()
        order = events.c.created_at, events.c.id
        query = select(events).where(events.c.done_at.is_(None)).order_by(*order).limit(EVENTS_AT_ONCE)
        page = query
        while True:
            with self.reading() as connection:
                rows = connection.execute(page).all()
            for row in rows:
                yield PendingEvent(row.id, json.loads(row.payload), row.webhook_at, row.task_at)
            if len(rows) < EVENTS_AT_ONCE:
                return
            page = query.where(tuple_(*order) > (rows[-1].created_at, rows[-1].id))

    def _claim_held(self) -> None:
        now = self.now()
        is_due = (events.c.not_before <= now) | (events.c.created_at > now + CLOCK_ERROR)
        due = events.c.not_before.is_not(None) & is_due
        with self.reading() as connection:  # first: most of the time nothing is held
            if not connection.scalar(select(exists().where(due))):
                return
        with self.writing() as connection:
            connection.execute(update(events).where(due).values(not_before=None, done_at=None))

    def mark_event(self, event_id: str, column: str) -> None:
        """Record that an event was delivered: `webhook_at`, `task_at`, or `done_at` for all targets."""
        with self.writing() as connection:
            connection.execute(update(events).where(events.c.id == event_id).values({column: self.now()}))
