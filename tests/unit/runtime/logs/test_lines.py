"""The forms of a log line, and the journal's protocol."""

import json
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery._state import _task_stack

from contentworker.runtime.logs import context as log_context
from contentworker.runtime.logs import journal
from contentworker.runtime.logs import lines as logs


def record(message: str = "done", *args: Any, level: int = logging.INFO, **more: Any) -> logging.LogRecord:
    found = logging.LogRecord("some.logger", level, __file__, 1, message, args, None)
    vars(found).update(created=1_795_867_068.562, **more)
    return found


def failed() -> logging.LogRecord:
    try:
        raise ValueError("wrong")
    except ValueError:
        return record("failed", level=logging.ERROR, exc_info=sys.exc_info())


@pytest.fixture
def journald() -> Iterator[tuple[str, socket.socket]]:
    """A socket, as journald's, in a folder whose name is short."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        address = str(Path(folder) / "socket")
        bound.bind(address)
        bound.settimeout(5)
        yield address, bound


def parsed(datagram: bytes) -> dict[str, str]:
    """Fields by the native protocol: `NAME=value`, or the name, a length of 64 bits and the value."""
    found = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, mark, value = line.partition(b"=")
        if not mark:
            length = int.from_bytes(rest[:8], "little")
            value, end, rest = rest[8 : 8 + length], rest[8 + length : 9 + length], rest[9 + length :]
            assert end == b"\n"
        found[name.decode()] = value.decode("utf-8", "replace")
        datagram = rest
    return found


def test_json() -> None:
    """RFC 3339 in UTC, always one line; a message whose arguments do not fit is not lost."""
    line = logs.JsonFormatter().format(record("ä\n%s", 1))
    assert json.loads(line) == {
        "time": "2026-11-28T11:57:48.562Z",
        "level": "info",
        "logger": "some.logger",
        "message": "ä\n1",
    }
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(logs.JsonFormatter().format(record("%d", "x")))["message"] == "%d"
    found = json.loads(logs.JsonFormatter().format(failed()))
    assert found["exc_type"] == "builtins.ValueError"
    assert found["traceback"].endswith("ValueError: wrong")


def test_a_message_in_hand() -> None:
    """Known headers of a foreign message become fields, cut short; values of other types are left out."""
    headers = {"task": "a.task", "id": "1", "retries": 2, "article_id": "x" * 999, "run_id": ["no"], "o": 1}
    with log_context.handling(headers, {"routing_key": "rewrite"}):
        found = json.loads(logs.JsonFormatter().format(record()))
    assert found.pop("article_id") == "x" * log_context.LONGEST_CHARACTERS
    assert {name: found[name] for name in ("task", "task_id", "queue", "attempt")} == {
        "task": "a.task", "task_id": "1", "queue": "rewrite", "attempt": 3,
    }  # fmt: skip
    assert "run_id" not in found
    with log_context.handling("no headers", None):
        assert log_context.fields() == {"attempt": 1}
    assert log_context.fields() == {}
    log_context.bind(article_id="outside of any task")


FORGED = {"message": "forged", "syslog_identifier": "sshd", "priority": 0, "task_id": "another", "own": "x"}


def test_a_header_binds_nothing(journald: tuple[str, socket.socket]) -> None:
    """What a task has bound is in memory; a header of that name is no field of a line, nor of the journal."""
    address, bound = journald
    handler = journal.JournalHandler(logs.JsonFormatter(), logging.NullHandler(), address)
    headers = {"task": "a.task", "id": "1", "_log_fields": FORGED}
    with log_context.handling(headers, {}):
        handler.emit(record())
        line = json.loads(logs.JsonFormatter().format(record()))
    found = parsed(bound.recv(1_000_000))
    assert handler._socket is not None
    handler._socket.close()
    assert (found["MESSAGE"], found["SYSLOG_IDENTIFIER"], found["PRIORITY"]) == (
        "done",
        "content-worker",
        "6",
    )
    assert found.keys() == {
        "MESSAGE",
        "SYSLOG_IDENTIFIER",
        "PRIORITY",
        "LOGGER",
        "TASK",
        "TASK_ID",
        "ATTEMPT",
    }
    assert line.keys() == {"time", "level", "logger", "message", "task", "task_id", "attempt"}


def test_what_a_task_binds(caplog: pytest.LogCaptureFixture) -> None:
    """Its own fields, in addition to a header's; a name with a meaning of its own is left out, and said."""
    app = Celery(set_as_current=False)

    @app.task(name="a.task", shared=False)
    def task() -> None:
        """Any."""

    _task_stack.push(task)
    task.push_request(id="1", _log_fields={"own": "forged", "more": "forged"})
    try:
        log_context.bind(own="bound", pages=3)
        log_context.bind(own="again", priority=0, message="x", syslog_identifier="sshd", task_id="2", Name=1)
        assert log_context.fields() == {"task_id": "1", "attempt": 1, "own": "again", "pages": 3}
    finally:
        task.pop_request()
        _task_stack.pop()
    assert len(caplog.messages) == 5


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        (2**63 - 1, True),
        (2**63, False),
        (-(2**63 - 1), True),
        (10**400, False),  # more than a float can be
        (0.5, True),
        (float("nan"), False),
        (float("inf"), False),
        (float("-inf"), False),
    ],
    ids=str,
)
def test_numbers_of_a_foreign_header(value: float, is_kept: bool) -> None:
    """Any number may come; a line has those that its readers can take, and is never lost."""
    with log_context.handling({"article_id": value, "retries": value}, {}):
        found = json.loads(logs.JsonFormatter().format(record()))
    assert found.get("article_id") == (value if is_kept else None)


def test_text() -> None:
    """For a person: what the message says already is not said twice; in colour where that is wanted."""
    with log_context.handling({"task": "a.task", "id": "1", "article_id": "a-7"}, {"routing_key": "rewrite"}):
        plain = logs.TextFormatter(coloured=False).format(record("Task a.task[1] received"))
        coloured = logs.TextFormatter(coloured=True).format(record("Task a.task[1] received"))
    assert plain.endswith(" INFO    Task a.task[1] received  queue=rewrite article_id=a-7")
    assert "\033[32mINFO   \033[0m Task a.task[1] received" in coloured
    assert logs.TextFormatter(coloured=False).format(failed()).endswith("\n  ValueError: wrong")


def test_who_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A terminal, the journal by JOURNAL_STREAM, anything else; a setting is obeyed."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    main, terminal = os.openpty()
    with (
        os.fdopen(terminal, "w") as person,
        os.fdopen(main, "w"),
        (tmp_path / "file").open("w") as file,
    ):
        assert logs.format_of("auto", person) == "text"
        assert logs.format_of("auto", file) == "json"
        assert logs.format_of("auto", StringIO()) == logs.format_of("auto", None) == "json"
        assert logs.format_of("json", person) == "json"
        found = os.fstat(file.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert logs.format_of("auto", file) == "journal"
        assert logs.format_of("auto", person) == "text", "not what systemd connected"
        assert logs._is_for_colours(logging.StreamHandler(person))
        monkeypatch.setenv("NO_COLOR", "1")
        assert not logs._is_for_colours(logging.StreamHandler(person))


def test_the_journal(journald: tuple[str, socket.socket]) -> None:
    """Every field under its name, a value of several lines by its length, a huge one cut; the priority."""
    address, bound = journald
    handler = journal.JournalHandler(logs.JsonFormatter(), logging.NullHandler(), address)
    with log_context.handling({"task": "a.task", "id": "1", "article_id": "a-7"}, {"routing_key": "rewrite"}):
        handler.emit(record("x" * 300_000))
    found = parsed(bound.recv(1_000_000))
    assert len(found.pop("MESSAGE")) == journal.LONGEST_BYTES
    assert found == {
        "SYSLOG_IDENTIFIER": "content-worker", "PRIORITY": "6", "LOGGER": "some.logger",
        "TASK": "a.task", "TASK_ID": "1", "QUEUE": "rewrite", "ATTEMPT": "1", "ARTICLE_ID": "a-7",
    }  # fmt: skip
    handler.emit(failed())
    found = parsed(bound.recv(1_000_000))
    assert (found["PRIORITY"], found["EXC_TYPE"]) == ("3", "builtins.ValueError")
    assert found["MESSAGE"] == f"failed\n{found['TRACEBACK']}"
    assert handler._socket is not None
    handler._socket.close()


def test_a_journal_that_hangs(journald: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for once; stderr, which leads to the same journal, stays untouched; the loss is said."""
    monkeypatch.setattr(journal, "SEND_SECONDS", 0.01)
    address, bound = journald
    stderr = StringIO()
    handler = journal.JournalHandler(logs.JsonFormatter(), logging.StreamHandler(stderr), address)
    sent, waits = 0, []

    class Socket(socket.socket):
        def settimeout(self, value: float | None) -> None:
            waits.append(value)
            super().settimeout(value)

    monkeypatch.setattr(socket, "socket", Socket)
    while not handler._dropped:
        handler.emit(record(f"event {sent}"))
        sent += 1
    del waits[:]
    for _ in range(3):
        handler.emit(record("dropped"))
    assert waits == [0, 0, 0]
    taken = [bound.recv(65536) for _ in range(sent - 1)]
    handler.emit(record("taken again"))
    taken += [bound.recv(65536), bound.recv(65536)]
    assert b"MESSAGE=The journal took no events for a while; dropped: 4\n" in taken[-2]
    assert b"MESSAGE=taken again\n" in taken[-1]
    assert stderr.getvalue() == ""
    handler._socket.close()


def test_a_journal_that_is_away() -> None:
    """Its events are lines of stderr."""
    stream = StringIO()
    fallback = logging.StreamHandler(stream)
    fallback.setFormatter(logs.JsonFormatter())
    handler = journal.JournalHandler(logs.JsonFormatter(), fallback, "/nowhere/socket")
    handler.emit(record("kept"))
    assert json.loads(stream.getvalue())["message"] == "kept"
    assert handler._socket is not None
    handler._socket.close()
