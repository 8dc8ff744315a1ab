"""What people do at a record before one of them decides: they hold it, comment, and choose sentences."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select

from contentworker.editorial.escalations.database import (
    Database,
    change_record,
    insert_once,
    locked,
    storable,
)
from contentworker.editorial.escalations.result import ChoiceKind, FindingKind, Hold
from contentworker.editorial.escalations.tables import choices, comments, findings, history
from contentworker.errors import ConflictError, ContentError

__all__ = ["Teamwork", "check_name", "check_version"]

MAX_NAME_CHARACTERS = 200
"""The length of the columns that hold names."""
MAX_COMMENT_CHARACTERS = 10_000
MAX_OWN_CHARACTERS = 10_000
"""Longest own text for one change, which is a sentence, or with a provider perhaps a paragraph."""


class Teamwork(Database):
    """The part of the store for what changes no decision."""

    def choose(
        self,
        escalation_id: str,
        by: str,
        finding_id: int,
        chosen: Mapping[int, tuple[ChoiceKind, str]],
        *,
        version: int | None = None,
    ) -> int:
        """Record what a person chose for changes of a rewrite; return the record's new version.

        Args:
            escalation_id: The record.
            by: Who chooses.
            finding_id: The rewrite.
            chosen: By the number of the change, from 1: the kind, and a person's own words.
            version: The record's version that the person has seen; None: whichever it is.

        Raises:
            ConflictError: the record is settled, or has another version. Nothing was recorded.
            ContentError: there is no such record, rewrite or change, or the own words are blank or too long.
        """
        check_name(by)
        now = self.now()
        with self.writing() as connection:
            known = _locked_open(connection, escalation_id)
            check_version(connection, known.id, version)
            for change, (kind, words) in _checked(connection, known.id, finding_id, chosen):
                row = {"escalation_id": known.id, "finding_id": finding_id, "change": change}
                row |= {"choice": kind, "text": words, "by": by, "at": now}
                connection.execute(insert(choices).values(row))
            change_record(connection, known.id, {"updated_at": now})
            return _version(connection, known.id)

    def comment(self, escalation_id: str, by: str, text: str) -> None:
        """Add a comment. The version stays, so a comment makes no decision stale.

        The same person's last words again are no other comment: a form was sent twice.

        Raises:
            ContentError: there is no such record, or the text is blank or longer than 10,000 characters.
        """
        check_name(by)
        text, now = storable(text).strip(), self.now()
        if not 1 <= len(text) <= MAX_COMMENT_CHARACTERS:
            raise ContentError("text", f"1 to {MAX_COMMENT_CHARACTERS:,} characters, not {len(text):,}")
        with self.writing() as connection:
            known = locked(connection, escalation_id)
            its = select(comments.c.by, comments.c.text).where(comments.c.escalation_id == known.id)
            last = connection.execute(its.order_by(comments.c.id.desc()).limit(1)).first()
            if last is not None and tuple(last) == (by, text):
                return
            row = {"escalation_id": known.id, "at": now, "by": by, "text": text}
            connection.execute(insert(comments).values(row))
            change_record(connection, known.id, {"updated_at": now})

    def put_back(self, escalation_id: str, by: str, hours: float) -> None:
        """Let a record go, so that others take it, and have it due in so many hours.

        Raises:
            ConflictError: the record is settled.
            ContentError: there is no such record.
        """
        check_name(by)
        now = self.now()
        with self.writing() as connection:
            known = _locked_open(connection, escalation_id)
            changes: dict[str, Any] = {"due_at": now + timedelta(hours=hours), "updated_at": now}
            if known.held_by == by:
                changes |= {"held_by": None, "held_until": None}
            change_record(connection, known.id, changes)

    def add_finding(
        self,
        escalation_id: str,
        kind: FindingKind,
        content: Any,
        *,
        run_id: str,
        number: int,
        text_sha256: str,
    ) -> bool:
        """Add what was found out about a text, once; False if there is no such record any more."""
        with self.writing() as connection:
            try:
                locked(connection, escalation_id)
            except ContentError:
                return False
            found = {
                "kind": kind,
                "number": number,
                "text_sha256": text_sha256,
                "content": json.dumps(content),
            }
            values = {"escalation_id": escalation_id, "run_id": run_id, "created_at": self.now(), **found}
            insert_once(connection, findings, values)
        return True

    def hold(self, escalation_id: str, by: str, seconds: float, *, take_over: bool = False) -> Hold:
        """Say that a person is at work on a record, or go on saying so; return who holds it now.

        A hold keeps nobody from deciding; `version` does that. Another person's hold lasts until it expires
        or is taken over, or the record is settled.

        Raises:
            ConflictError: the record is settled.
            ContentError: there is no such record.
        """
        check_name(by)
        now = self.now()
        with self.writing() as connection:
            known = _locked_open(connection, escalation_id)
            holder = known.held_by if known.held_until and known.held_until > now else None
            if holder not in {None, by} and not take_over:
                return Hold(by=holder, until=known.held_until)
            changes: dict[str, Any] = {"held_by": by, "held_until": now + timedelta(seconds=seconds)}
            # A renewal is no change that a list by `updated_at` has to show.
            more = {} if holder == by else {"updated_at": now}
            change_record(connection, known.id, changes | more)
        return Hold(by=by, until=changes["held_until"])


def check_name(by: str) -> None:
    """Check the form of a person's name.

    Raises:
        ContentError: it has another form.
    """
    if not 1 <= len(by) <= MAX_NAME_CHARACTERS or not by.isprintable():
        raise ContentError("by", "1 to 200 printable characters")


def check_version(connection: Connection, escalation_id: str, seen: int | None) -> None:
    """Check that a record, which is locked, still has the version that a person has seen.

    Raises:
        ConflictError: it has another one.
    """
    current = _version(connection, escalation_id)
    if seen not in {None, current}:
        raise ConflictError("version", f"the record has changed: it has version {current}")


def _locked_open(connection: Connection, escalation_id: str) -> Any:
    """A record that is not settled, locked until the transaction ends."""
    known = locked(connection, escalation_id)
    if known.state == "settled":
        raise ConflictError("escalation_id", f"it is settled by {known.settled_by}")
    return known


def _version(connection: Connection, escalation_id: str) -> int:
    """The number of entries in the history and of choices.

    Not a column: workers of version 1, which know no versions, write the history, too.
    """
    counts = (
        select(func.count()).select_from(table).where(table.c.escalation_id == escalation_id)
        for table in (history, choices)
    )
    return sum(connection.scalar(count) or 0 for count in counts)


def _checked(
    connection: Connection,
    escalation_id: str,
    finding_id: int,
    chosen: Mapping[int, tuple[ChoiceKind, str]],
) -> Iterator[tuple[int, tuple[ChoiceKind, str]]]:
    its = findings.c
    query = select(its.content).where(its.id == finding_id, its.escalation_id == escalation_id)
    content = connection.scalar(query.where(its.kind == "rewrite"))
    if content is None:
        raise ContentError("finding_id", "there is no such rewrite of this article")
    count = len(json.loads(content)["changes"])
    for change, (kind, words) in chosen.items():
        if not 1 <= change <= count:
            raise ContentError("chosen", f"the rewrite has changes 1 to {count}, not {change}")
        own = storable(words).strip() if kind == "own" else ""
        if kind == "own" and not 1 <= len(own) <= MAX_OWN_CHARACTERS:
            expected = f"1 to {MAX_OWN_CHARACTERS:,} characters of your own words"
            raise ContentError("chosen", f"{expected} for change {change}, not {len(own):,}")
        yield change, (kind, own)
