"""What a message must be before a worker runs it, at each bound and on both sides of it."""

import json
import lzma
import re
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from kombu import compression

from contentworker.runtime.worker import admission

TASK = "a.task"
ENCODINGS = "must be one of utf-8, utf8, us-ascii, ascii, binary"
LIMITS = "header timelimit: must be two numbers of at most 31622400, or null"
RETRIES = "header retries: must be an integer from 0 to 1000000"


def message(
    body: Any = None,
    *,
    properties: Any = None,
    delivery_info: Any = None,
    content_type: Any = "application/json",
    content_encoding: Any = "utf-8",
    raw: bytes | None = b"",
    **headers: Any,
) -> Any:
    payload = [[], {}, {}] if body is None else body
    return SimpleNamespace(
        headers={"task": TASK, "id": "1", "retries": 0, **headers},
        content_type=content_type,
        content_encoding=content_encoding,
        properties={} if properties is None else properties,
        delivery_info=delivery_info,
        payload=payload,
        body=json.dumps(payload).encode() if body is not None else b"[[], {}, {}]",
        **({} if raw is None else {"raw": raw}),
    )


def nested(depth: int, key: str = "") -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {key: value} if key else [value]
    return value


@pytest.mark.parametrize(
    "good",
    [
        pytest.param({}, id="plain"),
        pytest.param({"timelimit": [admission.MAX_SECONDS, None]}, id="longest-limit"),
        pytest.param({"timelimit": [0, 0.5]}, id="shortest-limit"),
        pytest.param({"retries": 1_000_000}, id="most-retries"),
        pytest.param({"body": [[nested(99)], {}, {}]}, id="deepest-body"),
        pytest.param({"expires": None, "group": "", "own": object()}, id="empty-and-unknown-headers"),
        pytest.param({"stamped_headers": ["a"], "stamps": {"a": 1}}, id="stamps"),
        pytest.param({"content_encoding": None, "delivery_info": {"exchange": "a"}}, id="no-encoding"),
        pytest.param({"content_encoding": "US-ASCII", "raw": None}, id="other-transport"),
    ],
)
def test_is_admitted(good: dict[str, Any]) -> None:
    """Up to the bound, and what Celery does not use."""
    admission.check(message(**good), {TASK})


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        pytest.param({"content_type": "text/plain"}, "content-type: must be application/json", id="type"),
        pytest.param({"content_encoding": "idna"}, f"content-encoding: {ENCODINGS}", id="encoding"),
        pytest.param({"content_encoding": 5}, f"content-encoding: {ENCODINGS}", id="encoding-no-text"),
        pytest.param({"timelimit": [31_622_401, None]}, LIMITS, id="limit-too-long"),
        pytest.param({"timelimit": [-1, None]}, LIMITS, id="limit-negative"),
        pytest.param({"timelimit": [float("nan"), None]}, LIMITS, id="limit-nan"),
        pytest.param({"timelimit": [1]}, LIMITS, id="one-limit"),
        pytest.param({"retries": 1_000_001}, RETRIES, id="retries-too-many"),
        pytest.param({"retries": -1}, RETRIES, id="retries-negative"),
        pytest.param({"body": [[nested(100)], {}, {}]}, "body: nested more than 100 deep", id="body-deep"),
        pytest.param({"body": [[nested(100, "a")], {}, {}]}, "body: nested more than 100 deep", id="objects"),
        pytest.param({"deep": nested(101), "raw": None}, "headers: nested more than 100 deep", id="headers"),
        pytest.param(
            {"properties": nested(102, "a"), "raw": b"[" * 101},
            "properties: nested more than 100 deep",
            id="properties-deep",
        ),
        pytest.param({"properties": []}, "properties: must be an object", id="properties"),
        pytest.param(
            {"properties": {"priority": "1"}}, "properties priority: must be an integer", id="priority"
        ),
        pytest.param(
            {"delivery_info": {"exchange": 5}}, "delivery_info exchange: must be a string", id="exchange"
        ),
        pytest.param({"id": 3}, "header id: must be a string", id="id"),
        pytest.param({"group": 3}, "header group: must be a string", id="group"),
        pytest.param({"body": [[], {}]}, "body: must be [args, kwargs, embed]", id="body"),
        pytest.param(
            {"body": [[], {}, {"delivery_info": {}}]},
            "body: embed may have callbacks, errbacks, chain, chord, not 'delivery_info'",
            id="embed-unknown",
        ),
        pytest.param(
            {"body": [[], {}, {"errbacks": [1]}]},
            "body: embed errbacks: must be a list of objects",
            id="errbacks",
        ),
        pytest.param(
            {"stamped_headers": [3]},
            "header stamped_headers: must be a list of strings",
            id="stamped-headers",
        ),
    ],
)
def test_is_refused(bad: dict[str, Any], said: str) -> None:
    """One beyond the bound: the error names the part and what it must be."""
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        admission.check(message(**bad), {TASK})


def test_an_id_that_is_no_text() -> None:
    """Half a surrogate pair, which JSON can write, is no UTF-8."""
    with pytest.raises(ValueError, match="surrogates not allowed"):
        admission.check(message(id="\ud800"), {TASK})


def test_missing_retries_are_none() -> None:
    """Celery needs a number."""
    without = message(retries=None)
    admission.check(without, {TASK})
    assert without.headers["retries"] == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"task": TASK, "id": "1", "args": [], "kwargs": {}}, None),
        ({"task": TASK, "id": "1"}, None),
        ({"task": TASK, "id": 1}, "header id: must be a string"),
        ({"task": TASK, "id": "1", "args": {}}, "body: args must be a list and kwargs an object"),
        ({"task": TASK, "id": "1", "kwargs": []}, "body: args must be a list and kwargs an object"),
        ({"task": "other", "id": 1}, None),
        ([], None),
    ],
)
def test_protocol_1(body: Any, said: str | None) -> None:
    """Old clients put everything into the body; what is no task of ours is left alone."""
    old = message(body)
    del old.headers["task"]
    with pytest.raises(ValueError, match=f"^{said}$") if said else nullcontext():
        admission.check(old, {TASK})


def test_other_tasks_are_left_alone() -> None:
    """What is wrong with them is told by the name."""
    admission.check(message(task="other", id=3), {TASK})


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> int:
    """kombu's compression, bounded to so many bytes, with a method of which we know nothing."""
    for name in ("_encoders", "_decoders", "_aliases"):
        monkeypatch.setattr(compression, name, dict(getattr(compression, name)))
    compression.register(bytes, bytes, "application/x-other", ["other"])
    admission.bound_decompression(1000)
    return 1000


@pytest.mark.parametrize("name", ["gzip", "bzip2", "lzma"])
def test_bound_of_decompression(bounded: int, name: str) -> None:
    """As many bytes as allowed are decompressed, one more is refused, and so is a body that was cut off."""
    text = b"x" * bounded
    packed, content_type = compression.compress(text, name)
    assert compression.decompress(packed, content_type) == text
    with pytest.raises(ValueError, match=r"^body: its compressed data is cut off$"):
        compression.decompress(packed[:-4], content_type)
    too_much, _ = compression.compress(text + b"x", name)
    with pytest.raises(ValueError, match=r"^body: more than 1000 bytes when decompressed "):
        compression.decompress(too_much, content_type)


def test_a_bomb_is_not_decompressed_before_it_is_refused() -> None:
    """One byte more than is allowed is enough to know."""
    asked = []

    class Bomb:
        def decompress(self, _body: bytes, most_bytes: int) -> bytes:
            asked.append(most_bytes)
            return b"x" * most_bytes

    with pytest.raises(ValueError, match="more than 1000 bytes when decompressed"):
        admission._decompress(Bomb, 1000, b"")
    assert asked == [1001]


def test_bound_of_lzma_memory(bounded: int) -> None:
    """Twice what the highest preset needs is refused; the message itself says how much it needs."""
    packed = lzma.compress(b"x", lzma.FORMAT_ALONE)
    for needed, is_allowed in ((64, True), (128, False)):
        asking = packed[:1] + (needed * 1024 * 1024).to_bytes(4, "little") + packed[5:]
        with nullcontext() if is_allowed else pytest.raises(lzma.LZMAError, match="Memory usage limit"):
            assert compression.decompress(asking, "lzma") == b"x"


def test_unknown_compression_is_refused(bounded: int) -> None:
    """What cannot be stopped midway; our own messages may still be compressed by it."""
    packed, content_type = compression.compress(b"x", "other")
    assert (packed, content_type) == (b"x", "application/x-other")
    refusal = "header compression: must be gzip, bzip2 or lzma, not application/x-other"
    with pytest.raises(ValueError, match=f"^{refusal}$"):
        compression.decompress(packed, content_type)


@pytest.mark.parametrize(
    ("raw", "headers"),
    [
        (b'{"headers": {"id": "1"}}', {"id": "1"}),
        (b'{"headers": [1]}', {}),
        (b"{}", {}),
        (b"[1]", {}),
        (b"\xff", {}),
        (b"[" * 100_000, {}),
    ],
    ids=["object", "list", "none", "no-object", "no-text", "deep"],
)
def test_headers_without_decoding(raw: bytes, headers: dict[str, Any]) -> None:
    assert admission.headers_of(raw) == headers
