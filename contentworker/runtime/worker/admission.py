"""Checks a message before a worker runs it: its encoding, its nesting, the types of its parts.

Every client that may publish may write anything, and Celery checks little of it. If Celery then fails in the
worker's main process, the worker ends, or loses a slot of its pool.
"""

import bz2
import json
import lzma
import zlib
from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Any

from kombu import compression

__all__ = ["CONTENT_TYPE", "bound_decompression", "check", "headers_of", "task_id_of"]

CONTENT_TYPE = "application/json"
CONTENT_ENCODINGS = ("utf-8", "utf8", "us-ascii", "ascii", "binary")
"""Encodings that a message may name, all read as UTF-8. kombu accepts any Python codec; some take minutes."""
MAX_DEPTH = 100
"""Deepest nesting. Pickle, which carries a message to a pool process, gives up at a few hundred."""
MAX_SECONDS = 366 * 86_400
"""Longest time limit. NaN, or more than a timer can take, would stop all timers of the worker."""
MAX_RETRIES = 1_000_000
"""Largest `retries` that a message may claim."""
LZMA_MEMORY_BYTES = 128 * 1024 * 1024
"""Memory limit for decompressing lzma. The input says how much it needs; the highest preset needs half."""

# Type → its name in an error, and the fields of that type. Each may also be missing, null or empty.
_TYPES: dict[type, tuple[str, tuple[str, ...]]] = {
    str: ("a string", ("root_id", "parent_id", "group", "taskset", "shadow", "origin", "eta", "expires")),
    int: ("an integer", ("group_index", "replaced_task_nesting")),
    bool: ("true or false", ("ignore_result",)),
    list: ("a list", ("callbacks", "errbacks", "chain", "groups", "stamped_headers")),
    dict: ("an object", ("chord", "headers", "stamps")),
}
HEADERS = {field: (kind, name) for kind, (name, fields) in _TYPES.items() for field in fields}
EMBED = {field: HEADERS[field] for field in ("callbacks", "errbacks", "chain", "chord")}
TEXT, NUMBER = (str, "a string"), (int, "an integer")
PROPERTIES = {"reply_to": TEXT, "correlation_id": TEXT, "priority": NUMBER}
DELIVERY_INFO = {"exchange": TEXT, "routing_key": TEXT}


def check(message: Any, tasks: Container[str]) -> None:  # noqa: C901 (one branch for each part of a message)
    """Decode a message of one of these tasks, and check every part that Celery uses. Ignore other tasks.

    Raises:
        ValueError: names the part and what it must be. kombu's decoding may raise any other error.
    """
    name = message.headers.get("task")
    if "task" in message.headers and not (isinstance(name, str) and name in tasks):
        return
    if message.content_type != CONTENT_TYPE:
        raise ValueError(f"content-type: must be {CONTENT_TYPE}")
    encoding = message.content_encoding or CONTENT_ENCODINGS[0]
    if not isinstance(encoding, str) or encoding.lower() not in CONTENT_ENCODINGS:
        raise ValueError(f"content-encoding: must be one of {', '.join(CONTENT_ENCODINGS)}")
    _check_types("properties", message.properties, PROPERTIES)
    _check_types("delivery_info", message.delivery_info or {}, DELIVERY_INFO)
    if _may_be_deep(getattr(message, "raw", None)):
        _check_depth("headers", message.headers)
        _check_depth("properties", message.properties)
    body = message.payload
    if _may_be_deep(message.body):
        _check_depth("body", body)
    if "task" in message.headers:
        _check_headers(message.headers)
        match body:
            case [list(), dict(), dict() | None]:
                embed = body[2] or {}
            case _:
                raise ValueError("body: must be [args, kwargs, embed]")
        if unknown := embed.keys() - EMBED.keys():
            # Celery copies each into the request, and overwrites what the worker wrote: delivery, properties.
            raise ValueError(f"body: embed may have {', '.join(EMBED)}, not {min(unknown)!r:.100}")
        _check_types("body: embed", embed, EMBED)
    elif isinstance(body, dict) and body.get("task") in tasks:  # protocol 1: everything is in the body
        _check_headers(body)
        if not (isinstance(body.get("args", []), list) and isinstance(body.get("kwargs", {}), dict)):
            raise ValueError("body: args must be a list and kwargs an object")


def task_id_of(message: Any) -> str:
    """The id in a message that has passed `check`; empty if it has none."""
    parts = message.headers if "task" in message.headers else message.payload
    task_id = parts.get("id") if isinstance(parts, dict) else ""
    return task_id if isinstance(task_id, str) else ""


def headers_of(raw: bytes) -> dict[str, Any]:
    """The headers in a message that kombu must not decode; empty if its bytes are not plain JSON."""
    try:
        headers = json.loads(raw)["headers"]
    except (ValueError, LookupError, TypeError, RecursionError, MemoryError):
        return {}
    return headers if isinstance(headers, dict) else {}


def _check_headers(headers: dict[str, Any]) -> None:
    if not isinstance(headers.get("id"), str):
        raise ValueError("header id: must be a string")  # noqa: TRY004 (whatever is wrong with a message is a ValueError)
    headers["id"].encode()  # may raise UnicodeEncodeError, a ValueError; the id becomes a key in Redis
    if headers.get("retries") is None:
        headers["retries"] = 0  # Celery needs a number
    if not (isinstance(headers["retries"], int) and 0 <= headers["retries"] <= MAX_RETRIES):
        raise ValueError(f"header retries: must be an integer from 0 to {MAX_RETRIES}")
    limits = headers.get("timelimit") or (None, None)
    if not (isinstance(limits, list | tuple) and len(limits) == 2 and all(map(_is_limit, limits))):  # noqa: PLR2004 (soft and hard)
        raise ValueError(f"header timelimit: must be two numbers of at most {MAX_SECONDS}, or null")
    _check_types("header", headers, HEADERS)
    if not all(isinstance(name, str) for name in headers.get("stamped_headers") or ()):
        raise ValueError("header stamped_headers: must be a list of strings")


def _is_limit(limit: Any) -> bool:
    if limit is None:
        return True
    return isinstance(limit, int | float) and 0 <= limit <= MAX_SECONDS  # false for NaN


def _check_types(where: str, values: Any, types: Mapping[str, tuple[type, str]]) -> None:
    if not isinstance(values, dict):
        raise ValueError(f"{where}: must be an object")  # noqa: TRY004 (as above)
    for field in types.keys() & values.keys():
        kind, name = types[field]
        value = values[field]
        if value and not isinstance(value, kind):
            raise ValueError(f"{where} {field}: must be {name}")
        if kind is list and field in EMBED and not all(isinstance(each, dict) for each in value or ()):
            raise ValueError(f"{where} {field}: must be a list of objects")


def _may_be_deep(text: Any) -> bool:
    """Whether the JSON has enough brackets to nest too deep. Counting is faster than visiting each value."""
    return not isinstance(text, bytes) or text.count(b"[") + text.count(b"{") > MAX_DEPTH


def _check_depth(where: str, value: Any, left: int = MAX_DEPTH + 1) -> None:
    if not left:
        raise ValueError(f"{where}: nested more than {MAX_DEPTH} deep")
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, dict | list):
            _check_depth(where, child, left - 1)


def bound_decompression(max_bytes: int) -> None:
    """Make kombu refuse, in this process, messages that decompress to more than `max_bytes`.

    A kilobyte of bzip2 can be gigabytes. A compression that cannot be stopped midway is refused.
    """
    bounded: dict[str, Callable[[], Any]] = {
        "application/x-gzip": zlib.decompressobj,
        "application/x-bz2": bz2.BZ2Decompressor,
        "application/x-lzma": partial(lzma.LZMADecompressor, memlimit=LZMA_MEMORY_BYTES),
    }
    for name in compression.encoders():
        encoder, _ = compression.get_encoder(name)
        begin = bounded.get(name)
        decoder = partial(_decompress, begin, max_bytes) if begin else partial(_refuse, name)
        compression.register(encoder, decoder, name)


def _decompress(begin: Callable[[], Any], max_bytes: int, body: bytes) -> bytes:
    decompressor = begin()
    text: bytes = decompressor.decompress(body, max_bytes + 1)
    if len(text) > max_bytes:
        raise ValueError(f"body: more than {max_bytes} bytes when decompressed (limits.max_message_bytes)")
    if not decompressor.eof:
        raise ValueError("body: its compressed data is cut off")
    return text


def _refuse(name: str, _body: bytes) -> bytes:
    raise ValueError(f"header compression: must be gzip, bzip2 or lzma, not {name}")
