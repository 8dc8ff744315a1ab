"""Who is signed in: kept in the database of the records, so that a Redis that is away signs nobody out."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from contentworker.desk.passwords import Account
from contentworker.desk.people import LINK, Person
from contentworker.editorial.escalations.database import Database
from contentworker.editorial.escalations.links import Link, fingerprint
from contentworker.editorial.escalations.tables import desk_sessions, escalations

__all__ = ["Session", "Sessions", "token_hash"]

AFTER_SETTLING = timedelta(minutes=10)
"""How long a link's session goes on after the decision: `desk.undo_seconds` may be as long."""


class Session(NamedTuple):
    """A session, as its person sees it."""

    id: str
    """The hash of its token, which lets nobody in."""
    began_at: datetime | None
    expires_at: datetime


class Sessions(Database):
    """The sessions behind one engine."""

    provider_sha256 = ""
    """Fingerprint of the settings that people of a provider sign in by."""

    def begin(self, account: Account, seconds: float) -> str:
        """Begin the session of a person in the password file; return its token, which the database lacks."""
        return self._begin(
            {"name": account.name, "account_sha256": account.sha256, "signed_in": "password"}, seconds
        )

    def begin_of_provider(self, person: Person, seconds: float) -> str:
        """Begin the session of a person whom the provider names."""
        row = {"name": person.name, "account_sha256": self.provider_sha256, "signed_in": person.signed_in}
        return self._begin({**row, "roles": ",".join(sorted(person.roles))}, seconds)

    def begin_by_link(self, name: str, link: Link, secret: str, seconds: float) -> str:
        """Begin the session of whoever has a link, for its record and round alone, while the secret holds."""
        row = {"name": name, "account_sha256": fingerprint(secret), "signed_in": "link"}
        row |= {"roles": ",".join(LINK)}
        left = (link.expires_at - self.now()).total_seconds()
        return self._begin({**row, "record_id": link.record_id, "round": link.round}, min(left, seconds))

    def _begin(self, row: dict[str, Any], seconds: float) -> str:
        token, now = secrets.token_urlsafe(32), self.now()
        row |= {
            "token_sha256": token_hash(token),
            "began_at": now,
            "expires_at": now + timedelta(seconds=seconds),
        }
        with self.writing() as connection:
            connection.execute(delete(desk_sessions).where(desk_sessions.c.expires_at <= now))
            connection.execute(insert(desk_sessions).values(row))
        return token

    def find(self, token: str, accounts: Mapping[str, Account], link_secret: str = "") -> Person | None:
        """Whose session this is; None if it is over, or what it rests on has changed since."""
        query = select(desk_sessions).where(desk_sessions.c.token_sha256 == token_hash(token))
        with self.reading() as connection:
            row = connection.execute(query).first()
            if row is None or row.expires_at <= self.now():
                return None
            if row.signed_in == "link":
                is_good = link_secret and row.account_sha256 == fingerprint(link_secret)
                return _by_link(row) if is_good and self._is_of_this_round(connection, row) else None
        if row.signed_in == "oidc":
            is_same = row.account_sha256 == self.provider_sha256 and row.name not in accounts
            return Person(row.name, _roles(row), "oidc") if is_same else None
        account = accounts.get(row.name)
        if account is None or account.sha256 != row.account_sha256:
            return None
        return Person(account.name, account.roles)

    def _is_of_this_round(self, connection: Connection, row: Any) -> bool:
        """Whether a link's record is open in its round, or was settled a moment ago: that can be undone."""
        its = escalations.c
        record = connection.execute(select(its.round, its.settled_at).where(its.id == row.record_id)).first()
        if record is None or record.round != row.round:
            return False
        return record.settled_at is None or self.now() - record.settled_at <= AFTER_SETTLING

    def of(self, person: Person) -> list[Session]:
        """The person's sessions, the newest first."""
        query = select(desk_sessions).where(*self._its(person)).order_by(desk_sessions.c.expires_at.desc())
        with self.reading() as connection:
            rows = connection.execute(query).all()
        return [Session(row.token_sha256, row.began_at, row.expires_at) for row in rows]

    def end(self, token: str) -> None:
        """End a session."""
        with self.writing() as connection:
            connection.execute(delete(desk_sessions).where(desk_sessions.c.token_sha256 == token_hash(token)))

    def end_others(self, person: Person, token: str) -> int:
        """End the person's sessions but this one; return how many there were."""
        others = desk_sessions.c.token_sha256 != token_hash(token)
        with self.writing() as connection:
            return connection.execute(delete(desk_sessions).where(*self._its(person), others)).rowcount

    def _its(self, person: Person) -> tuple[ColumnElement[bool], ...]:
        its = desk_sessions.c
        how = func.coalesce(its.signed_in, "password") == person.signed_in
        return its.name == person.name, how, its.expires_at > self.now()


def _by_link(row: Any) -> Person:
    return Person(row.name, _roles(row), "link", row.record_id)


def _roles(row: Any) -> frozenset[str]:
    return frozenset(filter(None, row.roles.split(",")))


def token_hash(token: str) -> str:
    """The form in which the database keeps a token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
