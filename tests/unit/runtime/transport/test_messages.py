"""What a message is made of: its delivery, its time, its record and its call."""

import base64
import json
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from contentworker.runtime.transport.messages import (
    Delivery,
    DueHeaders,
    LeasedMessage,
    delivery_of,
    due_milliseconds,
)
from contentworker.runtime.transport.protocol import Fetched
from contentworker.runtime.transport.stored import Call, call_in, message_in, record


@pytest.mark.parametrize(
    ("raw", "deaths", "counted", "redelivered"),
    [
        (b'{"body":1}', None, 0, False),
        (b'{"body":1}', 0, 0, True),
        (b'{"body":1}', 2, 2, True),
        (b'{"deliveries":3,"body":1}', None, 3, True),
        (b'{"deliveries":3,"body":1}', 2, 5, True),
        (b'{"deliveries":999999999,"body":1}', None, 999_999_999, True),
        (b'{"deliveries":1000000000,"body":1}', None, 0, False),
        (b'{"deliveries":-1,"body":1}', None, 0, False),
        (b' {"deliveries":3,"body":1}', None, 0, False),
        (b"", None, 0, False),
    ],
)
def test_delivery(raw: bytes, deaths: int | None, counted: int, redelivered: bool) -> None:
    """Deaths are counted beside a message, and added to what the previous release wrote into it."""
    taken = Fetched("4-0", "celery", raw, deaths)
    assert delivery_of(taken, "me", 1) == Delivery("me", 1, "4-0", "celery", counted, redelivered)


@pytest.mark.parametrize("redelivered", [False, True])
def test_a_message_becomes_a_delivery(redelivered: bool) -> None:
    """It names its holder, and says in both places that it comes again; what came from Redis stays."""
    payload = {
        "body": "",
        "headers": {"id": "a"},
        "properties": {"delivery_info": {"exchange": "e"}, "delivery_tag": "x"},
    }
    channel = object()
    message = LeasedMessage(json.loads(json.dumps(payload)), channel, accept={"json"})
    assert (message.channel, message.accept) == (channel, {"json"})
    assert (message.delivery, message.deliveries, json.loads(message.raw)) == (None, 0, payload)
    headers = message.headers
    message.deliver_as(Delivery("me", 2, "4-0", "celery", 3, redelivered), "uid", b"raw")
    assert (message.raw, message.deliveries, message.delivery_tag) == (b"raw", 3, "4-0")
    assert message.properties["held"] == ["uid", 2, "me", "4-0"]
    again = {"redelivered": True} if redelivered else {}
    assert message.delivery_info == {"exchange": "e", **again}
    assert message.headers == {"id": "a", **again}
    assert headers == {"id": "a"}
    assert message._raw == payload


@pytest.mark.parametrize(
    ("eta", "due"),
    [
        ("1970-01-01T00:00:01.5", 1500),
        ("1970-01-01T01:00:01+01:00", 1000),
        ("1970-01-01T00:00:00.0019", 1),
        (datetime(2026, 11, 30, tzinfo=UTC).isoformat(), 1_795_996_800_000),
        ("soon", None),
        ("0001-01-01T00:00:00", -62_135_596_800_000),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_due(eta: Any, due: int | None) -> None:
    """A time without a zone is UTC, as Celery's own."""
    assert due_milliseconds({"eta": eta}) == due


@pytest.mark.parametrize("headers", [None, [], "eta", {}])
def test_due_without_headers(headers: Any) -> None:
    """A foreign message may have anything there."""
    assert due_milliseconds(headers) is None


def test_headers_of_a_message_that_has_waited() -> None:
    """Celery's request does not see the ETA, and so does not wait again; the task does."""
    headers = DueHeaders(eta="2026-11-30", id="a")
    for each in (headers, headers.copy()):
        assert (each.get("eta"), each.get("eta", 5), each.get("id"), each.get("no", 5)) == (
            None,
            None,
            "a",
            5,
        )
        assert dict(each.items())["eta"] == "2026-11-30"
    restored = pickle.loads(pickle.dumps(headers))
    assert (type(restored), restored) == (dict, {"eta": "2026-11-30", "id": "a"})


def test_a_record_holds_a_message_untouched() -> None:
    """With any lines; the list and the maker are one line each."""
    stored = record("celery", "me/4-0", "a\nb\n")
    assert stored == "1\ncelery\nme/4-0\na\nb\n"
    assert message_in(stored.encode()) == b"a\nb\n"
    for names in (("cel\nery", "me"), ("celery", "m\ne")):
        with pytest.raises(ValueError, match="must be one line"):
            record(*names, "a")


ARGUMENTS = json.dumps([[1], {"b": 2}, {}])


def stored_message(**changes: Any) -> bytes:
    message = {"body": ARGUMENTS, "headers": {"id": "a"}, "properties": {}}
    return json.dumps({**message, **changes}).encode()


@pytest.mark.parametrize(
    "raw",
    [
        stored_message(),
        stored_message(
            body=base64.b64encode(ARGUMENTS.encode()).decode(), properties={"body_encoding": "base64"}
        ),
    ],
    ids=["plain", "base64"],
)
def test_a_call_is_read(raw: bytes) -> None:
    """In both encodings of a body that kombu has."""
    assert call_in(raw) == Call({"id": "a"}, [1], {"b": 2})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"5",
        b"[]",
        b"[" * 100_000,
        stored_message(body=None),
        stored_message(body="!", properties={"body_encoding": "base64"}),
        stored_message(body="[[], {}]"),
        stored_message(body="[{}, {}, {}]"),
        stored_message(body="[[], [], {}]"),
        stored_message(headers=None),
        stored_message(properties=[]),
    ],
    ids=lambda raw: raw[:40].decode("ascii", "replace"),
)
def test_no_call_is_read(raw: bytes) -> None:
    """Where there is none, it is None and no error."""
    assert call_in(raw) is None
