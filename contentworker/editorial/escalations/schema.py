"""The connection to SQLite or PostgreSQL, and the migrations that lead to this version's tables."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, event
from sqlalchemy.exc import ArgumentError

from contentworker.addresses import split
from contentworker.editorial.escalations.tables import escalations, schema_version
from contentworker.errors import ConfigError, ContentWorkerError

__all__ = ["MIGRATIONS", "SchemaError", "for_reading", "migrate", "open_engine"]

LOCK_KEY = 7_305_808_868
"""PostgreSQL's advisory lock around a migration: any number that no other program uses."""
POSTGRES_SCHEMES = {"postgres", "postgresql", "postgresql+psycopg"}
MIGRATIONS = tuple(
    file.read_text("utf-8") for file in sorted((Path(__file__).parent / "migrations").glob("*.sql"))
)
"""Number n leads from version n to n + 1, a new database through all of them. Never change a released one.

Where the databases differ, `$NUMBER` stands for the type of a number that counts up, `$MOMENT` for a time.
"""
TYPES = {
    "sqlite": {"$NUMBER": "INTEGER", "$MOMENT": "DATETIME"},
    "postgresql": {"$NUMBER": "SERIAL", "$MOMENT": "TIMESTAMP WITH TIME ZONE"},
}
READING = "contentworker_reading"
"""The option of an engine whose transactions only read."""


class SchemaError(ContentWorkerError):
    """This program cannot work with the database's version."""


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
        if _is_reading(connection):
            # One moment for all of a record's tables, as in SQLite.
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(busy_seconds * 1000)}")

    return engine


def for_reading(engine: sa.Engine) -> sa.Engine:
    """The engine with transactions that only read: they see one moment and lock nothing."""
    return engine.execution_options(**{READING: True})


def _is_reading(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(READING))


def _sqlite(path: Path, busy_seconds: float) -> sa.Engine:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"escalations.sqlite_path: {path.parent}: {error.strerror}") from None
    engine = sa.create_engine(
        "sqlite://",
        hide_parameters=True,
        creator=lambda: _sqlite_connection(path, busy_seconds),
        # By this address SQLAlchemy sees a database in memory. Its pool for one closes connections that other
        # threads use, which may end the process.
        poolclass=sa.QueuePool,
        max_overflow=-1,  # a connection for each thread that wants one: none fails by waiting
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer locks at once: SQLite does not let a transaction that has read wait for another writer.
        # A reader never locks: it would hold up the workers for as long as it reads.
        connection.exec_driver_sql("BEGIN" if _is_reading(connection) else "BEGIN IMMEDIATE")

    return engine


def _sqlite_connection(path: Path, busy_seconds: float) -> Any:
    import sqlite3  # only here: some builds of Python lack it, and PostgreSQL needs none

    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
        # SQLite's own knows A to Z alone, so a search for "über" would not find "Über".
        connection.create_function("lower", 1, lambda text: text and str(text).lower(), deterministic=True)
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(engine: sa.Engine) -> None:
    """Create the tables or migrate them to this version. Several processes may call it at once.

    Raises:
        SchemaError: a newer version made them, or another program has tables of these names.
    """
    with for_reading(engine).begin() as connection:
        if _version(connection) == len(MIGRATIONS):
            return
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.text(str(LOCK_KEY)))))
        version = _version(connection)  # again: another process may have migrated them meanwhile
        types = TYPES[connection.dialect.name]
        for script in MIGRATIONS[version:]:
            for statement in script.split(";"):
                if statement.strip():
                    typed = re.sub(r"\$[A-Z]+", lambda name: types[name[0]], statement)
                    connection.exec_driver_sql(typed)
        if version < len(MIGRATIONS):
            write = sa.update(schema_version) if version else sa.insert(schema_version)
            connection.execute(write.values(version=len(MIGRATIONS)))


def _version(connection: Connection) -> int:
    """The version of the tables; 0 if there are none yet."""
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
    return version
