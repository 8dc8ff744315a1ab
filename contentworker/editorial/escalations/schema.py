"""The tables of the records, their version, and the connection to SQLite or PostgreSQL."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, event
from sqlalchemy.exc import ArgumentError

from contentworker.addresses import split
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
"""PostgreSQL's advisory lock around a migration: any number that no other program uses."""
POSTGRES_SCHEMES = {"postgres", "postgresql", "postgresql+psycopg"}


class SchemaError(ContentWorkerError):
    """This program cannot work with the database's version."""


class _Utc(sa.TypeDecorator[datetime]):
    """A moment, stored in UTC, because SQLite keeps no time zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Any) -> datetime | None:
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Any) -> datetime | None:
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


metadata = sa.MetaData()


def _of_escalation() -> sa.Column[str]:
    return sa.Column(
        "escalation_id", sa.ForeignKey("escalations.id", ondelete="CASCADE"), nullable=False, index=True
    )


schema_version = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, nullable=False))
escalations = sa.Table(
    "escalations",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("article_id", sa.String(200), nullable=False),
    sa.Column("reason", sa.String(50), nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("media_type", sa.String(20)),
    sa.Column("run_id", sa.String(200)),
    sa.Column("state", sa.String(10), nullable=False, index=True),
    # How often the record was opened. Each time, people are notified again.
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("decision", sa.String(50), nullable=False),
    sa.Column("settled_by", sa.String(200), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("event_id", sa.String(32), nullable=False),
    sa.Column("created_at", _Utc, nullable=False),
    sa.Column("updated_at", _Utc, nullable=False),
    sa.Column("settled_at", _Utc),
    sa.UniqueConstraint("article_id", "reason"),
)
texts = sa.Table(
    "escalation_texts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _of_escalation(),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("created_at", _Utc, nullable=False),
    sa.UniqueConstraint("escalation_id", "sha256"),
)
history = sa.Table(
    "escalation_history",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _of_escalation(),
    sa.Column("at", _Utc, nullable=False),
    sa.Column("what", sa.String(20), nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("decision", sa.String(50), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)
notifications = sa.Table(
    "escalation_notifications",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _of_escalation(),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("channel_key", sa.String(64), nullable=False),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("detail", sa.String(200), nullable=False),
    sa.Column("updated_at", _Utc, nullable=False),
    sa.UniqueConstraint("escalation_id", "round", "channel_key"),
)
events = sa.Table(
    "escalation_events",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    _of_escalation(),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("created_at", _Utc, nullable=False),
    sa.Column("webhook_at", _Utc),
    sa.Column("task_at", _Utc),
    sa.Column("done_at", _Utc),
)

MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    lambda connection: metadata.create_all(connection, checkfirst=False),
)
"""Number n leads from version n to n + 1. Never change a released one."""


def open_engine(database_url: str, sqlite_path: Path, *, busy_seconds: float = 10) -> sa.Engine:
    """An engine for PostgreSQL at `database_url`, or for the SQLite file if that is empty. Connects on use.

    Raises:
        ConfigError: not an address of PostgreSQL. The message never shows the address.
    """
    if not database_url:
        return _sqlite(sqlite_path, busy_seconds)
    if split("DATABASE_URL", database_url).scheme not in POSTGRES_SCHEMES:
        raise ConfigError("DATABASE_URL: must begin with postgresql:// ; without it SQLite is used")
    url = None
    with suppress(ArgumentError, ValueError):  # their texts may show the address
        url = sa.make_url(database_url)
    if url is None:
        raise ConfigError("DATABASE_URL: must have the form postgresql://USER@HOST/NAME")
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,  # an error's sa.text would show the article
        pool_pre_ping=True,
        # No prepared statements: a connection pooler such as PgBouncer would mix them up.
        connect_args={"connect_timeout": max(2, round(busy_seconds)), "prepare_threshold": None},
    )

    @event.listens_for(engine, "begin")
    def _limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(busy_seconds * 1000)}")

    return engine


def _sqlite(path: Path, busy_seconds: float) -> sa.Engine:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"escalations.sqlite_path: {path.parent}: {error.strerror}") from None
    engine = sa.create_engine(
        "sqlite://", hide_parameters=True, creator=lambda: _sqlite_connection(path, busy_seconds)
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Lock at once: SQLite does not let a transaction that has read wait for another writer.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _sqlite_connection(path: Path, busy_seconds: float) -> Any:
    import sqlite3  # only here: some builds of Python lack it, and PostgreSQL needs none

    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(engine: sa.Engine) -> None:
    """Create the tables or migrate them to this version. Several processes may call it at once.

    Raises:
        SchemaError: a newer version made them, or another program has tables of these names.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.text(str(LOCK_KEY)))))
        tables, version = sa.inspect(connection).get_table_names(), 0
        if schema_version.name in tables:
            version = connection.scalar(sa.select(schema_version.c.version)) or 0
        elif escalations.name in tables:
            raise SchemaError("The database has a table `escalations` without a version: it is not ours.")
        if version > len(MIGRATIONS):
            raise SchemaError(
                f"The database has version {version}, this program knows {len(MIGRATIONS)} at most: "
                "a newer release has used it. Install that release."
            )
        for step in MIGRATIONS[version:]:
            step(connection)
        if version < len(MIGRATIONS):
            write = sa.update(schema_version) if version else sa.insert(schema_version)
            connection.execute(write.values(version=len(MIGRATIONS)))
