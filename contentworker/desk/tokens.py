"""Tokens of programs that use the JSON API: shown once, kept as hashes."""

import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, insert, select, update

from contentworker.desk.people import ROLES, Person, known_roles
from contentworker.desk.sessions import token_hash
from contentworker.editorial.escalations.database import Database
from contentworker.editorial.escalations.tables import desk_tokens
from contentworker.errors import ConfigError, ConflictError

__all__ = ["Token", "Tokens"]

BEGINNING = "cwd_"
"""So that a program that looks for secrets in code finds it."""
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
USED_EVERY = timedelta(minutes=1)
"""How exactly the time of the last use is kept: a write for each request would hold up the workers."""


class Token(NamedTuple):
    """A token, without what lets a program in."""

    name: str
    roles: frozenset[str]
    created_at: datetime
    used_at: datetime | None


class Tokens(Database):
    """The tokens behind one engine."""

    def create(self, name: str, roles: Iterable[str]) -> str:
        """Make a token; return it. Nothing shows it again.

        Raises:
            ConfigError: a name or role of another form.
            ConflictError: there is a token of this name.
        """
        given = frozenset(roles)
        if not re.fullmatch(NAME, name):
            raise ConfigError("NAME: must be 1 to 100 of A-Z a-z 0-9 . _ -")
        if not known_roles(given):
            raise ConfigError(f"--role: must be one of {', '.join(ROLES)}")
        token = BEGINNING + secrets.token_urlsafe(32)
        row = {"name": name, "token_sha256": token_hash(token), "created_at": self.now()}
        row |= {"roles": ",".join(sorted(given))}
        with self.writing() as connection:
            if connection.execute(select(desk_tokens.c.name).where(desk_tokens.c.name == name)).first():
                raise ConflictError("NAME", f"there is a token {name} already: revoke it first")
            connection.execute(insert(desk_tokens).values(row))
        return token

    def find_token(self, token: str) -> Person | None:
        """The program that has this token; None if there is no such token (any more)."""
        now, its = self.now(), desk_tokens.c.token_sha256 == token_hash(token)
        with self.reading() as connection:
            row = connection.execute(select(desk_tokens).where(its)).first()
        if row is None:
            return None
        if row.used_at is None or now - row.used_at >= USED_EVERY:
            with self.writing() as connection:
                connection.execute(update(desk_tokens).where(its).values(used_at=now))
        return Person(row.name, frozenset(row.roles.split(",")), "token")

    def every(self) -> list[Token]:
        """All tokens, by name."""
        names = desk_tokens.c.name, desk_tokens.c.roles, desk_tokens.c.created_at, desk_tokens.c.used_at
        with self.reading() as connection:
            rows = connection.execute(select(*names).order_by(desk_tokens.c.name)).all()
        return [Token(row.name, frozenset(row.roles.split(",")), row.created_at, row.used_at) for row in rows]

    def revoke(self, name: str) -> bool:
        """Remove a token; return whether there was one."""
        with self.writing() as connection:
            return bool(connection.execute(delete(desk_tokens).where(desk_tokens.c.name == name)).rowcount)
