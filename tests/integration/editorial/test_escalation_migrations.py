"""Databases of other versions: an older one is migrated while its workers go on, a newer one is refused."""

import json
import re
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.exc import SAWarning

from contentworker.editorial.escalations import schema, tables
from contentworker.editorial.escalations.reading import Filter, _query
from contentworker.editorial.escalations.store import Store
from contentworker.errors import ConflictError

FIRST = schema.MIGRATIONS[:1]
BY_EXPRESSION = "ix_escalations_state_due"
NOW = datetime(2026, 12, 1, 8, 30, 15, 123456, UTC)
AS_WRITTEN = {"sqlite": "2026-12-01 08:30:15.123456", "postgresql": NOW}
"""A time in a statement of version 1."""


class OldWorker:
    """A worker of version 1 in the midst of its work: its statements, as its store sends them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.now = AS_WRITTEN[engine.dialect.name]

    def run(self, statement: str, **values: Any) -> list[Any]:
        with self._engine.begin() as connection:
            done = connection.execute(sa.text(statement), {"now": self.now, **values})
            return list(done.all()) if done.returns_rows else []

    def escalate(self, record: str, text: str) -> None:
        self.run(
            "INSERT INTO escalations (id, article_id, reason, evidence, media_type, run_id, state, round, "
            "decision, settled_by, note, event_id, created_at, updated_at, settled_at) "
            "VALUES (:id, :id, 'failed', '{}', NULL, 'r', 'open', 1, '', '', '', '', :now, :now, NULL)",
            id=record,
        )
        self._note(record, "created")
        self._add(record, "original", text)

    def add(self, record: str, text: str) -> None:
        """A new text; a settled record is open again."""
        self._add(record, "original", text)
        self._note(record, "text added")
        self.run(
            "UPDATE escalations SET state = 'open', decision = '', settled_by = '', note = '', "
            "event_id = '', settled_at = NULL, updated_at = :now WHERE id = :id",
            id=record,
        )

    def settle(self, record: str, event: str) -> None:
        self.run(
            "UPDATE escalations SET state = 'settled', decision = 'accept', settled_by = 'ana', note = '', "
            "event_id = :event, settled_at = :now, updated_at = :now WHERE id = :id",
            id=record,
            event=event,
        )
        self._note(record, "settled")
        self.run(
            "INSERT INTO escalation_events (id, escalation_id, payload, created_at) "
            "VALUES (:event, :id, :payload, :now)",
            id=record,
            event=event,
            payload=json.dumps({"event_id": event, "text": None}),
        )

    def pending(self) -> list[str]:
        return [row.id for row in self.run("SELECT id FROM escalation_events WHERE done_at IS NULL")]

    def forget(self, record: str) -> None:
        for table in ("texts", "history", "notifications", "events"):
            self.run(f"DELETE FROM escalation_{table} WHERE escalation_id = :id", id=record)
        self.run("DELETE FROM escalations WHERE id = :id", id=record)

    def _add(self, record: str, kind: str, text: str) -> None:
        self.run(
            "INSERT INTO escalation_texts (escalation_id, kind, sha256, text, created_at) "
            "VALUES (:id, :kind, :sha, :text, :now)",
            id=record,
            kind=kind,
            sha=text,
            text=text,
        )

    def _note(self, record: str, what: str) -> None:
        self.run(
            'INSERT INTO escalation_history (escalation_id, at, what, "by", decision, note) '
            "VALUES (:id, :now, :what, '', '', '')",
            id=record,
            what=what,
        )


@pytest.fixture
def engine(url: str, file: Path) -> Iterator[Engine]:
    made = schema.open_engine(url, file)
    yield made
    made.dispose()


@pytest.fixture
def old(engine: Engine) -> OldWorker:
    """A worker of version 1, with two records; the second one is settled, and not announced."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", FIRST)
        schema.migrate(engine)
    worker = OldWorker(engine)
    for number in (1, 2):
        worker.escalate(f"{number}" * 32, f"text {number}")
    worker.settle("2" * 32, "e" * 32)
    return worker


def test_migrations_lead_to_the_tables_of_the_code(engine: Engine) -> None:
    """Columns, whether they may be NULL, keys, indexes: what the migrations make is what the store uses."""
    schema.migrate(engine)
    made = sa.MetaData()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*reflection of expression-based index", SAWarning)
        made.reflect(engine)
    assert made.tables.keys() == tables.metadata.tables.keys()
    for table in tables.metadata.sorted_tables:
        assert shape(made.tables[table.name], engine) == shape(table, engine), table.name


def shape(table: sa.Table, engine: Engine) -> dict[str, Any]:
    return {
        "columns": {each.name: (type_of(each, engine), each.nullable) for each in table.columns},
        "key": [each.name for each in table.primary_key],
        "indexes": {
            each.name: [column.name for column in each.columns]
            for each in table.indexes
            if each.name != BY_EXPRESSION
        },
        "unique": {
            tuple(column.name for column in each.columns)
            for each in table.constraints
            if isinstance(each, sa.UniqueConstraint)
        },
        "foreign": {(each.target_fullname, each.ondelete) for each in table.foreign_keys},
    }


def type_of(column: sa.Column[Any], engine: Engine) -> str:
    name = str(column.type.compile(engine.dialect))
    return {"DOUBLE PRECISION": "FLOAT"}.get(name, name)


def test_the_index_of_what_is_due_is_used(store: Store, engine: Engine) -> None:
    """SQLAlchemy cannot compare an index of an expression: the database says that it reads by it."""
    store.read()
    query = _query(Filter(state="open"), "due", None, 50, NOW)
    sql = str(query.compile(engine, compile_kwargs={"literal_binds": True}))
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # an empty table is faster without it
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_sort = off")
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"{explain} {sql}"))
    assert BY_EXPRESSION in plan
    assert not re.search("(?i)b-tree|sort", plan)


def test_records_of_version_1_are_migrated(old: OldWorker, url: str, file: Path) -> None:
    """They are read and settled as before; an event that waits is announced, and none is held."""
    store = Store(schema.open_engine(url, file))
    first, second = store.read().lines
    assert (first.state, first.created_at, first.score, first.held_by) == ("open", NOW, None, None)
    record = store.find(first.id)
    assert record is not None
    assert (record.evidence, record.version, record.texts[0].text) == ({}, 1, "text 1")
    assert [each.id for each in store.pending_events()] == [second.id.replace("2", "e")]
    assert store.settle(first.id, "accept", "ana", version=1).changed
    assert not store.settle(second.id, "accept", "ana").changed
    store.close()


def test_an_old_worker_beside_a_new_desk(old: OldWorker, url: str, file: Path) -> None:
    """It opened the database before the migration, and works on: nothing is lost on either side."""
    store = Store(schema.open_engine(url, file))
    seen = store.find("1" * 32)
    assert seen is not None

    # What it does is seen, and makes what a person has read stale.
    old.escalate("3" * 32, "text 3")
    old.add("1" * 32, "text 1, revised")
    assert [line.id[0] for line in store.read().lines] == ["1", "2", "3"]
    with pytest.raises(ConflictError, match="the record has changed: it has version 2"):
        store.settle("1" * 32, "accept", "bob", version=seen.version)

    # A held event is nothing to it, until it is claimed.
    store.settle("3" * 32, "accept", "bob", undo_seconds=600)
    assert old.pending() == ["e" * 32]
    store.withdraw("3" * 32, "bob")
    store.settle("3" * 32, "reject", "bob")
    assert len(old.pending()) == 2

    # It knows every word in the history.
    record = store.find("3" * 32)
    assert record is not None
    assert {each.what for each in record.history} <= {"created", "text added", "reopened", "settled"}

    # What it forgets is gone from the new tables, too.
    store.comment("3" * 32, "bob", "gone")
    old.forget("3" * 32)
    assert store.find("3" * 32) is None
    assert old.run("SELECT * FROM escalation_comments") == []
    store.close()


def test_a_newer_version_is_refused(engine: Engine, url: str, file: Path) -> None:
    """In a sentence; what this version's own processes have open goes on."""
    before = Store(engine)
    ref = before.escalate("a", "failed", evidence={})
    newest = len(schema.MIGRATIONS)
    newer = (*schema.MIGRATIONS, "ALTER TABLE escalations ADD COLUMN priority INTEGER")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", newer)
        store = Store(schema.open_engine(url, file))
        assert store.find(ref.id) is not None
        store.close()
    store = Store(schema.open_engine(url, file))
    says = rf"version {newest + 1}, this program knows {newest} at most"
    with pytest.raises(schema.SchemaError, match=says):
        store.read()
    store.close()
    assert before.settle(ref.id, "accept", "ana").changed
