"""What every part of the records needs: transactions, reads that lock nothing, and errors that pass."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from contentworker.editorial.escalations import schema
from contentworker.editorial.escalations.tables import escalations
from contentworker.errors import ContentError, ContentWorkerError

__all__ = ["Database", "DatabaseError", "change_record", "insert_once", "locked", "sha256", "storable"]


class DatabaseError(ContentWorkerError):
    """The database is locked, unreachable, full or read-only: a later try may succeed."""


class Database:
    """The database behind one engine. The first use creates the tables or migrates them."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.now = now
        self._engine = engine
        self._for_reading = schema.for_reading(engine)
        self._ready = False

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that nobody else writes beside, in SQLite; in PostgreSQL, lock the rows."""
        with self._connected(self._engine) as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment, writes nothing, and holds up no writer."""
        with self._connected(self._for_reading) as connection:
            yield connection

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        try:
            if not self._ready:
                schema.migrate(self._engine)
                self._ready = True
            with engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            # The driver's first line only: SQLAlchemy adds the statement, the driver's details may show data.
            reason = str(error.orig).splitlines()[0] if str(error.orig) else type(error.orig).__name__
            raise DatabaseError(f"the database of the escalations cannot be used: {reason}") from None


def locked(connection: Connection, escalation_id: str) -> Any:
    """The record's row, locked until the transaction ends.

    Raises:
        ContentError: there is no such record.
    """
    query = select(escalations).where(escalations.c.id == escalation_id).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise ContentError("escalation_id", "there is no such record (any more)")
    return row


def change_record(connection: Connection, escalation_id: str, values: Mapping[str, Any]) -> None:
    """Change columns of a record that the transaction has locked."""
    connection.execute(update(escalations).where(escalations.c.id == escalation_id).values(values))


def insert_once(connection: Connection, table: Any, values: Mapping[str, Any]) -> bool:
    """Insert a row unless the table's constraints say that it is there; return whether it was inserted."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    # RETURNING, because psycopg gives no row count for an insert.
    query = dialect.insert(table).values(values).on_conflict_do_nothing().returning(table.c.id)
    return connection.execute(query).first() is not None


def storable(text: str) -> str:
    """The text as both databases can keep it: PostgreSQL knows no NUL, UTF-8 no half surrogate pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def sha256(text: str) -> str:
    """The hash by which a record knows a text, in hexadecimal: that of the text as it is stored."""
    return hashlib.sha256(storable(text).encode()).hexdigest()
