"""Messages as they are stored in Redis: the records that hold them, and the task calls in them."""

import base64
import json
from typing import Any, NamedTuple

__all__ = ["VERSION", "Call", "call_in", "line", "message_in", "record"]

VERSION = "1"
"""Version of the records. Workers refuse a Redis with records of another version."""


def record(key: str, origin: str, raw: str) -> str:
    """Store a message outside its list: version, list, who made the record, and the unchanged message.

    Raises:
        ValueError: the list or `origin` has a line break.
    """
    return f"{VERSION}\n{line(key)}\n{line(origin)}\n{raw}"


def line(name: str) -> str:
    """Check that a name fits into a line of a record, and return it.

    Raises:
        ValueError: it has a line break. The message would come back cut off, in another list.
    """
    if "\n" in name:
        raise ValueError(f"{name!r}: must be one line")
    return name


def message_in(stored: bytes) -> bytes:
    """The message in a record."""
    return stored.split(b"\n", 3)[-1]


class Call(NamedTuple):
    """The task that a message calls."""

    headers: dict[str, Any]
    args: list[Any]
    kwargs: dict[str, Any]


def call_in(raw: bytes) -> Call | None:
    """The call in a message; None if it cannot be read."""
    try:
        message = json.loads(raw)
        body = message["body"]
        if message["properties"].get("body_encoding") == "base64":
            body = base64.b64decode(body)
        args, kwargs, _ = json.loads(body)
        call = Call(message["headers"], args, kwargs)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return call if tuple(map(type, call)) == (dict, list, dict) else None
