"""The tables of the records, their version, and the connection: SQLite or PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    create_engine,
    event,
    func,
    insert,
    inspect,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import ArgumentError

from contentworker.errors import ConfigError, ContentWorkerError

__all__ = [
    "MIGRATIONS",
    "SchemaError",
    "escalations",
    "events",
    "history",
    "migrate",
    "notifications",
    "open_engine",
    "texts",
]

LOCK_KEY = 7_305_808_868
"""Any number that nobody else takes: of PostgreSQL's advisory lock around a migration."""
POSTGRES_SCHEMES = {"postgres", "postgresql", "postgresql+psycopg"}


class SchemaError(ContentWorkerError):
    """The database is of a version that this program cannot work with."""


class _Utc(TypeDecorator[datetime]):
    """A moment. SQLite keeps no time zone, so it keeps UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


metadata = MetaData()


def _of_escalation() -> Column[str]:
    return Column(
        "escalation_id", ForeignKey("escalations.id", ondelete="CASCADE"), nullable=False, index=True
    )


schema_version = Table("schema_version", metadata, Column("version", Integer, nullable=False))
escalations = Table(
    "escalations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("article_id", String(200), nullable=False),
    Column("reason", String(50), nullable=False),
    Column("evidence", Text, nullable=False),
    Column("media_type", String(20)),
    Column("run_id", String(200)),
    Column("state", String(10), nullable=False, index=True),
    # How often it was opened: each time, people are told anew.
    Column("round", Integer, nullable=False),
    Column("decision", String(50), nullable=False),
    Column("settled_by", String(200), nullable=False),
    Column("note", Text, nullable=False),
    Column("event_id", String(32), nullable=False),
    Column("created_at", _Utc, nullable=False),
    Column("updated_at", _Utc, nullable=False),
    Column("settled_at", _Utc),
    UniqueConstraint("article_id", "reason"),
)
texts = Table(
    "escalation_texts",
    metadata,
    Column("id", Integer, primary_key=True),
    _of_escalation(),
    Column("kind", String(10), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", _Utc, nullable=False),
    UniqueConstraint("escalation_id", "sha256"),
)
history = Table(
    "escalation_history",
    metadata,
    Column("id", Integer, primary_key=True),
    _of_escalation(),
    Column("at", _Utc, nullable=False),
    Column("what", String(20), nullable=False),
    Column("by", String(200), nullable=False),
    Column("decision", String(50), nullable=False),
    Column("note", Text, nullable=False),
)
notifications = Table(
    "escalation_notifications",
    metadata,
    Column("id", Integer, primary_key=True),
    _of_escalation(),
    Column("round", Integer, nullable=False),
    Column("channel_key", String(64), nullable=False),
    Column("channel", String(200), nullable=False),
    Column("state", String(10), nullable=False),
    Column("detail", String(200), nullable=False),
    Column("updated_at", _Utc, nullable=False),
    UniqueConstraint("escalation_id", "round", "channel_key"),
)
events = Table(
    "escalation_events",
    metadata,
    Column("id", String(32), primary_key=True),
    _of_escalation(),
    Column("payload", Text, nullable=False),
    Column("created_at", _Utc, nullable=False),
    Column("webhook_at", _Utc),
    Column("task_at", _Utc),
    Column("done_at", _Utc),
)

MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    lambda connection: metadata.create_all(connection, checkfirst=False),
)
"""Number n leads from version n to n + 1. Released ones are never changed."""


def open_engine(database_url: str, sqlite_path: Path, *, busy_seconds: float = 10) -> Engine:
    """Connect to PostgreSQL at `database_url`, or to the SQLite file where that is empty; lazily.

    Raises:
        ConfigError: an address that is none, or of another database. The address itself is never said.
    """
    if not database_url:
        return _sqlite(sqlite_path, busy_seconds)
    try:
        url = make_url(database_url)
    except ArgumentError:
        raise ConfigError("DATABASE_URL: is no address of the form postgresql://USER@HOST/NAME") from None
    if url.drivername not in POSTGRES_SCHEMES:
        raise ConfigError("DATABASE_URL: must begin with postgresql:// ; without it SQLite is used")
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,  # an error's text would show the article
        pool_pre_ping=True,
        # No prepared statements: a pooler between us and the server would mix them up.
        connect_args={"connect_timeout": max(2, round(busy_seconds)), "prepare_threshold": None},
    )

    @event.listens_for(engine, "begin")
    def _limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(busy_seconds * 1000)}")

    return engine


def _sqlite(path: Path, busy_seconds: float) -> Engine:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"escalations.sqlite_path: {path.parent}: {error.strerror}") from None
    engine = create_engine(
        "sqlite://",
        hide_parameters=True,
        creator=lambda: _sqlite_connection(path, busy_seconds),
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes then could not wait for another writer.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _sqlite_connection(path: Path, busy_seconds: float) -> Any:
    import sqlite3

    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(engine: Engine) -> None:
    """Create the tables, or bring those of an older version to this one's. Several may call it at once.

    Raises:
        SchemaError: of a newer version, or tables of these names that are not ours.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(text(str(LOCK_KEY)))))
        tables = inspect(connection).get_table_names()
        found = 0
        if schema_version.name in tables:
            found = connection.scalar(select(schema_version.c.version)) or 0
        elif escalations.name in tables:
            raise SchemaError("The database has a table `escalations` without a version: it is not ours.")
        if found > len(MIGRATIONS):
            raise SchemaError(
                f"The database is of version {found}, this program knows {len(MIGRATIONS)} at most: "
                "a newer one has used it. Install that version."
            )
        for step in MIGRATIONS[found:]:
            step(connection)
        if not found:
            connection.execute(insert(schema_version).values(version=len(MIGRATIONS)))
        elif found < len(MIGRATIONS):
            connection.execute(update(schema_version).values(version=len(MIGRATIONS)))
