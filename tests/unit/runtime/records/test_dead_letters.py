"""Dead letters: kept whole and read in order, whatever a foreign message contains."""

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from contentworker.runtime.records import dead_letters
from contentworker.runtime.records.dead_letters import DeadLetter
from contentworker.runtime.settings import DeadLetterSettings

LIMITS = DeadLetterSettings()


class Stream:
    """As much of a Redis stream as is needed."""

    def __init__(self, as_text: bool) -> None:
        self.entries: list[tuple[Any, dict[Any, Any]]] = []
        self.as_text = as_text
        self.asked: list[str] = []

    def _own(self, text: str) -> str | bytes:
        return text if self.as_text else text.encode()

    def xadd(self, name: str, fields: dict[str, str]) -> str | bytes:
        assert name == dead_letters.STREAM
        entry_id = self._own(f"{1_000_000_000_000 + len(self.entries)}-0")
        self.entries.append((entry_id, {self._own(key): self._own(value) for key, value in fields.items()}))
        return entry_id

    def xrange(self, name: str, min: str, count: int) -> list[tuple[Any, dict[Any, Any]]]:  # noqa: A002 (redis-py's name)
        self.asked.append(min)
        ids = [entry_id if self.as_text else entry_id.decode() for entry_id, _ in self.entries]
        first = 0 if min == "-" else ids.index(min.removeprefix("(")) + 1
        return self.entries[first : first + count]

    def xtrim(self, name: str, **_: Any) -> int:
        return 0

    def memory_usage(self, name: str, samples: int) -> int:
        return 0

    def xlen(self, name: str) -> int:
        return len(self.entries)


def letter(number: int = 0, /, **changes: Any) -> DeadLetter:
    fields = {
        "reason": "invalid",
        "error": "é",
        "queue": "celery",
        "task": "t",
        "task_id": str(number),
        "worker": "w",
        "message": '{"a": "ü"}',
    }
    return DeadLetter(**{**fields, **changes})


@pytest.mark.parametrize("as_text", [True, False], ids=["text", "bytes"])
def test_letters_come_back_as_they_were(as_text: bool) -> None:
    """Whether the Redis client decodes or not."""
    stream = Stream(as_text)
    entry_id = dead_letters.add(stream, letter(), LIMITS)
    ((found_id, arrived, found),) = dead_letters.read(stream)
    assert entry_id == found_id == "1000000000000-0"
    assert arrived.isoformat() == "2001-09-09T01:46:40+00:00"
    assert found == letter()


def test_letters_are_read_in_pages() -> None:
    """Thousands of letters are neither skipped nor loaded at once."""
    stream = Stream(as_text=True)
    for number in range(250):
        dead_letters.add(stream, letter(number), LIMITS)
    assert [found.task_id for _, _, found in dead_letters.read(stream)] == [
        str(number) for number in range(250)
    ]
    assert len(stream.asked) == 4


def test_letters_are_frozen() -> None:
    """What was kept is what there was."""
    with pytest.raises(ValidationError, match="frozen"):
        letter().error = "x"  # type: ignore[misc]


def test_texts_are_bounded() -> None:
    """The beginning of an error and the end of a traceback are what tells most."""
    kept = letter(error="a" * 20_000 + "b", traceback="b" + "a" * 20_000)
    assert kept.error == kept.traceback == "a" * 20_000


@pytest.mark.parametrize("field", ["error", "traceback", "task", "task_id", "exception"])
def test_half_a_surrogate_pair_can_be_kept(field: str) -> None:
    """JSON can say it and UTF-8 cannot: it is written out."""
    stream = Stream(as_text=False)
    dead_letters.add(stream, letter(**{field: "a\ud800b"}), LIMITS)
    ((_, _, found),) = dead_letters.read(stream)
    assert getattr(found, field) == "a\\ud800b"


def test_reasons_are_a_closed_list() -> None:
    """A filter can name each of them."""
    with pytest.raises(ValidationError, match="reason"):
        letter(reason="just so")


@pytest.mark.parametrize("milliseconds", ["0", "9" * 19])
def test_any_time_can_be_read(milliseconds: str) -> None:
    """An id may be of anybody's making."""
    assert dead_letters.arrival(f"{milliseconds}-0").year in (1970, 9999)


def message(headers: Any, **more: Any) -> SimpleNamespace:
    """As much of a kombu message as is needed."""
    parts = {
        "headers": headers,
        "properties": {},
        "content_type": "application/json",
        "delivery_info": {"routing_key": "q"},
        "_raw": {"headers": headers},
    }
    return SimpleNamespace(**{**parts, **more})


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        "text",
        {"retries": "many", "history": 3},
        {"retries": -1, "history": "text"},
        {"retries": None, "history": [{"id": 3}]},
        {"retries": [1], "history": {"id": "1-0"}},
    ],
)
def test_foreign_headers_do_no_harm(headers: Any) -> None:
    """A message whose headers say anything makes a letter."""
    kept = DeadLetter(reason="invalid", error="", worker="w", **dead_letters.parts_of(message(headers)))
    assert (kept.queue, kept.retries, kept.history) == ("q", 0, ())
    assert json.loads(kept.message) == {"headers": headers}


def test_history_is_bounded() -> None:
    """A task that is replayed for ever does not grow for ever."""
    past = {"id": "1-0", "arrived": "2026-01-01T00:00:00Z", "reason": "failed", "error": "e"}
    history = [{**past, "id": f"{number}-0"} for number in range(30)]
    kept = dead_letters.parts_of(message({"history": history}))["history"]
    assert [item.id for item in kept] == [f"{number}-0" for number in range(10, 30)]
    whole = json.dumps({"headers": {"task": "t", "id": "1"}, "body": ""})
    again = dead_letters._reset_message("99-0", letter(message=whole, history=kept, error="e" * 10_000))
    carried = json.loads(again)["headers"]["history"]
    assert [item["id"] for item in carried] == [*(f"{number}-0" for number in range(11, 30)), "99-0"]
    assert len(carried[-1]["error"]) == 500


@pytest.mark.parametrize(
    "text", ["", "{}", '{"body": 3, "properties": []}', '{"body": "***", "properties": {}}', "[" * 100_000]
)
def test_unreadable_arguments_are_none(text: str) -> None:
    """Nothing is guessed."""
    assert dead_letters.arguments(letter(message=text)) is None


@pytest.mark.parametrize(
    "raw", [b'{"headers": {"task": "t"}}', b"\xff\xfe", b"", b"\x00" * 9, "caf\u00e9 {".encode()]
)
def test_message_is_kept_as_it_came(raw: bytes) -> None:
    """Byte for byte, also if it decodes to something that JSON cannot hold."""
    came = message({"tenant": object()}, raw=raw, _raw={"headers": {"tenant": object()}})
    kept = DeadLetter(reason="invalid", error="", worker="w", **dead_letters.parts_of(came))
    if raw:
        assert dead_letters.raw_message(kept) == raw
    stored = DeadLetter.model_validate_json(kept.model_dump_json())
    assert dead_letters.raw_message(stored) == dead_letters.raw_message(kept)


def test_huge_message_is_kept_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis takes no value of more than 512 MB: the beginning has to do."""
    most = 512 * 1024 * 1024  # that Redis takes; base64 needs four bytes for three, JSON up to six for one
    assert most / 2 < dead_letters.MESSAGE_BYTES * 4 / 3 < most
    assert most / 2 < dead_letters.INLINE_BYTES * 6 < most
    monkeypatch.setattr(dead_letters, "MESSAGE_BYTES", 100)
    monkeypatch.setattr(dead_letters, "BEGINNING_BYTES", 10)
    parts = dead_letters.parts_of(message({}, raw=b"0123456789" * 11))
    assert parts["message"] == "0123456789"
    monkeypatch.setattr(dead_letters, "INLINE_BYTES", 50)
    assert dead_letters.parts_of(message({}, raw=b"\x00" * 60))["encoding"] == "base64"


def test_letter_in_base64_is_replayed_as_a_task() -> None:
    """How its bytes are written down does not matter: its retries begin again, and it has its history."""
    whole = json.dumps({"headers": {"task": "t", "id": "1", "retries": 3}, "body": ""}).encode()
    text = base64.b64encode(whole).decode()
    again = json.loads(dead_letters._reset_message("99-0", letter(message=text, encoding="base64")))
    assert again["headers"]["retries"] == 0
    assert [item["id"] for item in again["headers"]["history"]] == ["99-0"]


@pytest.mark.parametrize("headers", [None, [], {}, {"task": "t"}, {"id": "1"}, "task and id"])
def test_what_is_no_task_is_replayed_as_it_was(headers: Any) -> None:
    """Only what has a name and an id has retries and a history."""
    whole = {"headers": headers, "body": ""}
    assert json.loads(dead_letters._reset_message("99-0", letter(message=json.dumps(whole)))) == whole


@pytest.mark.parametrize("beginning", ["", "no id", "1-2-3", "12345678901234", "-1"])
def test_no_letter_has_an_id_that_begins_like_no_id(beginning: str) -> None:
    """Redis is not asked."""
    assert dead_letters.ids(None, beginning, 5) == []
