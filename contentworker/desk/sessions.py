"""Who is signed in: kept in the database of the records, so that a Redis that is away signs nobody out."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select

from contentworker.desk.passwords import Account
from contentworker.desk.people import Person
from contentworker.editorial.escalations.database import Database
from contentworker.editorial.escalations.tables import desk_sessions

__all__ = ["Session", "Sessions", "token_hash"]


class Session(NamedTuple):
    """A session, as its person sees it."""

    id: str
    """The hash of its token, which lets nobody in."""
    began_at: datetime | None
    expires_at: datetime
    signed_in: str


class Sessions(Database):
    """The sessions behind one engine."""

    def begin(self, account: Account, seconds: float) -> str:
        """Begin the session of a person in the password file; return its token, which the database lacks."""
        return self._begin(
            {"name": account.name, "account_sha256": account.sha256, "signed_in": "password"}, seconds
        )

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

    def find(self, token: str, accounts: Mapping[str, Account]) -> Person | None:
        """Whose session this is; None if it is over, or the account has changed since."""
        query = select(desk_sessions).where(desk_sessions.c.token_sha256 == token_hash(token))
        with self.reading() as connection:
            row = connection.execute(query).first()
        if row is None or row.expires_at <= self.now():
            return None
        account = accounts.get(row.name)
        if account is None or account.sha256 != row.account_sha256:
            return None
        return Person(account.name, account.roles)

    def end(self, token: str) -> None:
        """End a session."""
        with self.writing() as connection:
            connection.execute(delete(desk_sessions).where(desk_sessions.c.token_sha256 == token_hash(token)))


def token_hash(token: str) -> str:
    """The form in which the database keeps a token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
