"""What open pages of the desk are told: names and numbers, for as long as somebody looks."""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from contentworker.desk import live
from contentworker.desk.people import Person
from contentworker.editorial.escalations.database import DatabaseError
from tests.integration.editorial.test_desk import PEOPLE, Running, running, signed_in, waiting
from tests.support import PATIENCE, wait_until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PERIOD_SECONDS", 0.05)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Running]:
    """A desk that answers."""
    yield from running("", tmp_path / "records.sqlite3")


@contextmanager
def stream(desk: Running, name: str = "ana") -> Iterator[http.client.HTTPResponse]:
    """A stream of a person who is signed in."""
    cookie = signed_in(desk, name).cookie
    with closing(http.client.HTTPConnection("127.0.0.1", desk.port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/live", headers={"Cookie": cookie})
        yield connection.getresponse()


def news(response: http.client.HTTPResponse) -> dict[str, Any]:
    """The next event."""
    while True:
        line = response.readline().decode()
        assert line, "the stream has ended"
        if line.startswith("data: "):
            told: dict[str, Any] = json.loads(line.removeprefix("data: "))
            return told


def test_names_and_numbers(desk: Running) -> None:
    """First all of them, then what has changed; what is gone is null; nothing of any text."""
    found = waiting(desk, "blog/secret", "Secret words. Tea is old. There are two kinds.")
    with stream(desk) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no"
        first = news(response)
        while not first:
            first = news(response)
        assert first["review.open"] == 1
        assert set(first) == {"review.open", "review.changed", f"review/{found}"}
        assert all(isinstance(number, int) for number in first.values())
        desk.store.comment(found, "bob", "Look")
        changed = news(response)
        assert set(changed) == {"review.changed", f"review/{found}"}
        desk.store.forget("blog/secret")
        assert news(response)[f"review/{found}"] is None


def test_nobody_is_told_of_pages_that_the_role_does_not_open(desk: Running) -> None:
    """No id of an article for operators, and nothing of Redis for editors."""
    waiting(desk)
    for name, parts in (("ana", {"review"}), ("oli", {"operations", "batches"}), ("art", set[str]())):
        with stream(desk, name) as response:
            wait_until(lambda: desk.live._numbers, "numbers")
            said = {
                re.split("[./]", each)[0]
                for each in desk.live._numbers_for(Person(name, frozenset(PEOPLE[name])))
            }
            assert said == parts, name
            assert response.status == 200


def test_it_reads_only_while_somebody_looks(desk: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for all, and no more after the last one has gone."""
    reads = []
    real = desk.live._read
    monkeypatch.setattr(desk.live, "_read", lambda: reads.append(1) or real())
    assert not reads
    with stream(desk) as one, stream(desk, "bob") as other:
        news(one)
        news(other)
    wait_until(lambda: desk.live._watcher is None, "nobody looks")
    assert not desk.live._streams
    assert reads


def test_a_part_that_cannot_be_read(
    desk: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on, the pages are told, and the log has one line."""

    def fail() -> dict[str, float]:
        raise DatabaseError("secret")

    desk.live.add("queues", fail)
    with stream(desk) as response:
        assert news(response)["queues.away"] == 1
        waiting(desk)
        assert news(response)["review.open"] == 1
    assert [each.getMessage() for each in caplog.records if "queues" in each.message] == [
        "The desk has no news of queues: DatabaseError"
    ]


def test_silence_is_broken(desk: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies close a connection on which nothing comes."""
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.01)
    with stream(desk) as response:
        assert b": still here\n" in iter(response.readline, b"")


def test_too_many_streams(desk: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one too many is refused, also of one person; the page works without."""
    monkeypatch.setattr(live, "MOST_STREAMS_OF_A_PERSON", 1)
    with stream(desk) as first:
        news(first)
        with stream(desk) as second, stream(desk, "bob") as other:
            assert (second.status, other.status) == (503, 200)
            news(other)
            monkeypatch.setattr(live, "MOST_STREAMS", 2)
            with stream(desk, "rea") as third:
                assert third.status == 503


def test_only_who_is_signed_in(desk: Running) -> None:
    """Anybody else is sent to sign in."""
    with closing(http.client.HTTPConnection("127.0.0.1", desk.port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/live")
        assert connection.getresponse().status == 303


def test_the_desk_ends_with_open_streams(tmp_path: Path) -> None:
    """It does not wait for those who look."""
    opened = running("", tmp_path / "records.sqlite3")
    with stream(next(opened)) as response:
        news(response)
        assert next(opened, None) is None
        response.read()  # to its end: a stream that is cut off raises
