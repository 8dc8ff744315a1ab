"""Records of escalations, in SQLite and in PostgreSQL."""

import os
import signal
import sqlite3
import tempfile
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from contentworker.editorial.escalations import delivering, schema
from contentworker.editorial.escalations.reading import Filter
from contentworker.editorial.escalations.store import DatabaseError, Store
from contentworker.editorial.escalations.tables import escalations
from contentworker.errors import ConfigError, ConflictError, ContentError
from tests.postgres import Postgres
from tests.support import PATIENCE


def test_one_record_however_many_send_it_at_once(url: str, tmp_path: Path) -> None:
    """Ten stores that have made no table yet send the same: one record is made, with one text."""
    barrier = threading.Barrier(10)
    file = tmp_path / "records.sqlite3"
    stores = [Store(schema.open_engine(url, file, busy_seconds=PATIENCE)) for _ in range(10)]

    def send(store: Store) -> tuple[str, bool]:
        barrier.wait()
        found = store.escalate("a/1", "failed", evidence={}, content="text")
        return found.id, found.created

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(send, stores))
    record = stores[0].find(answers[0][0])
    for each in stores:
        each.close()
    assert len({each for each, _ in answers}) == 1
    assert [created for _, created in answers].count(True) == 1
    assert record is not None
    assert [each.text for each in record.texts] == ["text"]


def test_one_store_for_many_threads(store: Store) -> None:
    """Twelve transactions are open at once; no thread's connection is closed by another's."""
    found, barrier = store.escalate("a/1", "failed", evidence={}, content="text"), threading.Barrier(12)

    def look(_: int) -> list[str]:
        with store.reading() as connection:
            barrier.wait(PATIENCE)
            return list(connection.scalars(sqlalchemy.select(escalations.c.id)))

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(look, range(12))) == [[found.id]] * 12


def test_a_new_text_opens_a_settled_record_again(store: Store) -> None:
    """The text that the person gave does not; its history is kept."""
    ref = store.escalate("a", "failed", evidence={"score": 1.5}, content="nul \0 and \ud800")
    store.settle(ref.id, "accept", "ana", "fine", "final words")
    store.escalate("a", "failed", evidence={}, content="final words")
    assert store.open_count() == 0
    store.escalate("a", "failed", evidence={"score": 2}, content="other words", rewrite="better words")
    record = store.find(ref.id)
    assert record is not None
    assert (record.state, record.evidence, record.settled_at) == ("open", {"score": 2}, None)
    assert [each.kind for each in record.texts] == ["original", "final", "original", "rewrite"]
    assert [each.what for each in record.history] == ["created", "settled", "text added", "reopened"]
    assert (record.history[1].by, record.history[1].decision) == ("ana", "accept")


def test_the_same_call_twice_settles_once(store: Store) -> None:
    """A task that is delivered again changes nothing, and makes no second event."""
    ref = store.escalate("a", "failed", evidence={})
    call = (ref.id, "accept", "ana", "fine", "nul \0")
    first, second = store.settle(*call), store.settle(*call)
    assert (first.changed, second.changed) == (True, False)
    assert first.model_copy(update={"changed": False}) == second
    assert [each.id for each in store.pending_events()] == [first.event_id]


@pytest.mark.parametrize(
    "other",
    [
        {"decision": "reject"},
        {"by": "bob"},
        {"note": "not so fine"},
        {"text": "other words"},
        {"text": None},
    ],
    ids=["decision", "person", "note", "text", "no text"],
)
def test_a_second_decision_is_never_dropped_in_silence(store: Store, other: dict[str, Any]) -> None:
    """Also an equal one by another person, or with another note or text: it says who was first."""
    ref = store.escalate("a", "failed", evidence={})
    call: dict[str, Any] = {"decision": "accept", "by": "ana", "note": "fine", "text": "words"}
    store.settle(ref.id, **call)
    with pytest.raises(ConflictError, match="settled as 'accept' by ana; nothing of yours was recorded"):
        store.settle(ref.id, **{**call, **other})
    record = store.find(ref.id)
    assert record is not None
    assert (record.note, [each.text for each in record.texts]) == ("fine", ["words"])


def test_no_such_record(store: Store) -> None:
    """Whatever is to be done with it."""
    nobody = uuid.uuid4().hex
    for act in (
        lambda: store.settle(nobody, "reject", "bob"),
        lambda: store.withdraw(nobody, "bob"),
        lambda: store.comment(nobody, "bob", "text"),
        lambda: store.hold(nobody, "bob", 60),
    ):
        with pytest.raises(ContentError, match="no such record"):
            act()
    assert store.find(nobody) is None


def test_more_events_than_are_read_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is read once, however many of the same moment there are, and whether or not it gets delivered."""
    monkeypatch.setattr(delivering, "EVENTS_AT_ONCE", 3)
    moment = datetime.now(UTC)
    monkeypatch.setattr(store, "now", lambda: moment)
    refs = [store.escalate(f"a{number}", "failed", evidence={}) for number in range(8)]
    events = {store.settle(ref.id, "accept", "ana").event_id for ref in refs}
    read = []
    for event in store.pending_events():
        read.append(event.id)
        if len(read) % 2:
            store.mark_event(event.id, "done_at")
    assert len(read) == 8
    assert set(read) == events


@pytest.mark.parametrize("evidence", [{"a": "x" * 199_992}, {"a": float("nan")}, {"a": object()}])
def test_malformed_evidence_is_refused(store: Store, evidence: dict[str, object]) -> None:
    """Too large, not JSON: by the argument's name, and nothing is kept."""
    with pytest.raises(ContentError, match=r"^evidence: "):
        store.escalate("a", "failed", evidence=evidence)
    assert store.read().lines == []
    largest = {"a": "x" * 199_991}  # 200,000 bytes of JSON
    record = store.find(store.escalate("a", "failed", evidence=largest).id)
    assert record is not None
    assert record.evidence == largest


def test_what_is_not_given_again_stays(store: Store) -> None:
    """A new text keeps the record's media type, and brings its own evidence and run."""
    ref = store.escalate("a", "failed", evidence={"n": 1}, content="1", media_type="html", run_id="r1")
    store.escalate("a", "failed", evidence={"n": 2}, content="2", run_id="r2")
    record = store.find(ref.id)
    assert record is not None
    assert (record.media_type, record.evidence, record.run_id) == ("html", {"n": 2}, "r2")
    store.escalate("a", "failed", evidence={"n": 3}, content="2", run_id="r3")  # a text that it has
    record = store.find(ref.id)
    assert record is not None
    assert (record.evidence, record.run_id) == ({"n": 2}, "r2")


def test_forget_and_purge(store: Store) -> None:
    """Forget removes all of an article; purge what was settled before, once its event is delivered."""
    kept = store.escalate("b", "failed", evidence={}, content="kept")
    for reason in ("failed", "ai_suspected"):
        store.escalate("a", reason, evidence={}, content="gone")
    gone = store.forget("a")
    assert (gone.escalations, gone.texts, gone.history) == (2, 2, 2)
    settled = store.settle(kept.id, "accept", "ana")
    later = settled.settled_at + timedelta(microseconds=1)
    assert store.purge(later).escalations == 0
    store.mark_event(settled.event_id, "done_at")
    assert store.purge(settled.settled_at).escalations == 0
    assert store.purge(later).escalations == 1
    assert store.read().lines == []


def test_purge_however_many_there_are(file: Path) -> None:
    """More than a database takes ids in one statement, here 1,500: PostgreSQL's limit is 65,535."""
    engine = schema.open_engine("", file)

    @sqlalchemy.event.listens_for(engine, "connect")
    def few(connection: sqlite3.Connection, _: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 1_500)

    store = Store(engine)
    ref = store.escalate("a", "failed", evidence={}, content="text")
    store.mark_event(store.settle(ref.id, "accept", "ana").event_id, "done_at")
    with store.writing() as connection:
        row = connection.execute(sqlalchemy.select(escalations)).mappings().one()
        more = [{**row, "id": f"{number:032x}", "article_id": str(number)} for number in range(2_000)]
        connection.execute(sqlalchemy.insert(escalations), more)
    removed = store.purge(datetime.now(UTC) + timedelta(days=1))
    assert (removed.escalations, removed.texts, removed.events) == (2_001, 1, 1)
    assert store.read(limit=1).lines == []
    store.close()


def test_a_sending_that_did_not_end_is_unknown(store: Store) -> None:
    """It is not sent again; a refused one is, alone; opening a record again notifies everyone again."""
    ref = store.escalate("a", "failed", evidence={}, content="1")
    one, two = ("k1", "mail://one.test"), ("k2", "mail://two.test")
    assert store.begin_sending(ref.id, *one) == 1
    assert store.begin_sending(ref.id, *one) is None
    assert store.begin_sending(ref.id, *two) == 1
    store.end_sending(ref.id, 1, "k2", "refused", "SMTPDataError" + "!" * 200)
    sent = store.find(ref.id)
    assert sent is not None
    assert [each.detail for each in sent.notifications][1] == "SMTPDataError" + "!" * 187
    assert store.begin_sending(ref.id, *two) == 1
    store.end_sending(ref.id, 1, "k2", "sent", "")
    assert store.begin_sending(ref.id, *two) is None
    record = store.find(ref.id)
    assert record is not None
    assert {each.channel: each.state for each in record.notifications} == {
        "mail://one.test": "unknown",
        "mail://two.test": "sent",
    }
    store.settle(ref.id, "accept", "ana")
    store.escalate("a", "failed", evidence={}, content="2")
    assert store.begin_sending(ref.id, *one) == 2
    assert store.begin_sending(ref.id, *two) == 2
    store.end_sending(ref.id, 2, "k1", "sent", "")
    again = store.find(ref.id)
    assert again is not None
    assert [each.state for each in again.notifications] == ["unknown", "sent", "sent", "sending"]


def test_a_locked_file_is_a_passing_error(tmp_path: Path) -> None:
    """Another connection holds the lock for longer than we wait; then it works. The error has no text."""
    file = tmp_path / "records.sqlite3"
    store = Store(schema.open_engine("", file, busy_seconds=0.05))
    store.escalate("a", "failed", evidence={})
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseError, match="locked") as caught:
        store.escalate("b", "failed", evidence={}, content="the article")
    assert "the article" not in str(caught.value)
    other.execute("ROLLBACK")
    other.close()
    assert store.escalate("b", "failed", evidence={}).created
    store.close()


def test_a_full_disk_is_a_passing_error(tmp_path: Path) -> None:
    """As SQLite says it, when the file may not grow; nothing is half recorded."""
    engine = schema.open_engine("", tmp_path / "records.sqlite3")
    store = Store(engine)
    store.read()

    @sqlalchemy.event.listens_for(engine, "begin")
    def _limit(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")

    with pytest.raises(DatabaseError, match="full"):
        store.escalate("a", "failed", evidence={}, content="x" * 500_000)
    assert store.read().lines == []
    store.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_postgresql_away_and_back(server: Postgres, url: str) -> None:
    """While it is stopped the error is a passing one; started again, the same store works."""
    store = Store(schema.open_engine(server.url, Path(), busy_seconds=PATIENCE))
    ref = store.escalate("away", "failed", evidence={})
    server.kill(signal.SIGINT)
    server.wait()
    with pytest.raises(DatabaseError):
        store.open_count()
    server.start()
    server.ready()
    assert store.find(ref.id) is not None
    store.close()


@pytest.mark.parametrize("address", ["mysql://user:secret@host/x", "secret", "sqlite:///x"])
def test_an_address_of_another_database(address: str) -> None:
    """Refused without saying it: it holds a password."""
    with pytest.raises(ConfigError, match=r"^DATABASE_URL: ") as caught:
        schema.open_engine(address, Path())
    assert "secret" not in str(caught.value)


def test_a_server_that_cannot_be_made_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What initdb wrote before it failed is gone."""
    programs, temporary = tmp_path / "programs", tmp_path / "temporary"
    for folder in (programs, temporary):
        folder.mkdir()
    initdb = programs / "initdb"
    initdb.write_text('#!/bin/sh\ntouch "$2/begun"\nexit 1\n')
    initdb.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(pytest.fail.Exception):
        Postgres(tmp_path / "server")
    assert list(temporary.iterdir()) == []


def test_what_is_due_first(url: str, file: Path) -> None:
    """In pages; a record that an older worker made, which has no such time, counts from when it was made."""
    moment = datetime(2026, 12, 1, 8, tzinfo=UTC)
    store = Store(schema.open_engine(url, file), lambda: moment)
    for name, hours in (("late", 24), ("soon", 4), ("old", None), ("later", 48)):
        store.escalate(name, "failed", evidence={}, due_hours=hours)
    shown: list[str] = []
    after = None
    while not shown or after:
        page = store.read(Filter(state="open"), order="due", after=after, limit=1)
        shown += [each.article_id for each in page.lines]
        after = page.after
    assert shown == ["old", "soon", "late", "later"]

    # Settled and opened again, it is due anew; a text that is added meanwhile gives nobody more time.
    ref = store.escalate("soon", "failed", evidence={}, content="one", due_hours=9)
    assert due_of(store, ref.id) == moment + timedelta(hours=4)
    store.settle(ref.id, "accept", "ana")
    store.escalate("soon", "failed", evidence={}, content="two", due_hours=9)
    assert due_of(store, ref.id) == moment + timedelta(hours=9)
    store.close()


def due_of(store: Store, escalation_id: str) -> datetime | None:
    record = store.find(escalation_id)
    assert record is not None
    return record.due_at


def test_a_title_is_found(store: Store) -> None:
    """On one line, cut, kept if a later text has none, and searched with the id."""
    ref = store.escalate("a/1", "failed", evidence={}, title="All\n about \0 tea" + "!" * 300)
    store.escalate("a/1", "failed", evidence={}, content="more")
    record = store.find(ref.id)
    assert record is not None
    assert record.title is not None
    assert (record.title[:16], len(record.title)) == ("All about \ufffd tea!", 200)
    assert [each.id for each in store.read(Filter(text="ABOUT")).lines] == [ref.id]
    assert store.read(Filter(text="coffee")).lines == []
    other = store.escalate("a/2", "failed", evidence={}, title="Über ÉCLAIRS")
    assert [each.id for each in store.read(Filter(text="über éclairs")).lines] == [other.id]
    blank = store.find(store.escalate("a/3", "failed", evidence={}, title=" \n").id)
    assert blank is not None
    assert blank.title is None
