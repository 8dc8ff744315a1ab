"""Who is signed in: kept in the database of the records, so that a Redis that is away signs nobody out."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import delete, insert, select

from contentworker.desk.passwords import Account
from contentworker.editorial.escalations.database import Database
from contentworker.editorial.escalations.tables import desk_sessions

__all__ = ["Sessions"]


class Sessions(Database):
    """The sessions behind one engine."""

    def begin(self, account: Account, seconds: float) -> str:
        """Begin a session; return its token, which the database does not have."""
        token, now = secrets.token_urlsafe(32), self.now()
        row = {
            "token_sha256": _hash(token),
            "name": account.name,
            "account_sha256": account.sha256,
            "expires_at": now + timedelta(seconds=seconds),
        }
        with self.writing() as connection:
            connection.execute(delete(desk_sessions).where(desk_sessions.c.expires_at <= now))
            connection.execute(insert(desk_sessions).values(row))
        return token

    def find(self, token: str, accounts: Mapping[str, Account]) -> Account | None:
        """Whose session this is; None if it is over, or the account has changed since."""
        query = select(desk_sessions).where(desk_sessions.c.token_sha256 == _hash(token))
        with self.reading() as connection:
            row = connection.execute(query).first()
        if row is None or row.expires_at <= self.now():
            return None
        account = accounts.get(row.name)
        return account if account and account.sha256 == row.account_sha256 else None

    def end(self, token: str) -> None:
        """End a session."""
        with self.writing() as connection:
            connection.execute(delete(desk_sessions).where(desk_sessions.c.token_sha256 == _hash(token)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
