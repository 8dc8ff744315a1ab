"""Messages that no worker can run, kept whole in Redis until a person decides about them."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["STREAM", "DeadLetter", "add", "read"]

STREAM = "contentworker:dead-letters"
"""A Redis stream: an entry's id is the time of its arrival in milliseconds and a counter."""

VERSION = 1


class DeadLetter(BaseModel):
    """A message, and why no worker could run it."""

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    reason: str = Field(description="Why, as one of a few words: `unknown task`, `invalid`, `unreadable`.")
    error: str = Field(description="What the worker made of it.")
    queue: str = Field(description="The queue it came from.")
    task: str = Field(default="", description="Name of the task, as far as the message says one.")
    task_id: str = Field(default="", description="Id of the task, likewise.")
    worker: str = Field(description="Node name of the worker that met it.")
    message: str = Field(description="The message as it lay in Redis, in this encoding:")
    encoding: Literal["utf-8", "base64"] = Field(
        default="utf-8", description="`base64` where the message's bytes are no UTF-8."
    )


def add(client: Any, letter: DeadLetter) -> str:
    """Keep a letter; return its id. `client` is a redis-py client."""
    entry: bytes | str = client.xadd(STREAM, {"letter": letter.model_dump_json()})
    return _text(entry)


def read(client: Any) -> Iterator[tuple[str, datetime, DeadLetter]]:
    """Yield id, time of arrival (UTC) and content of every letter, oldest first."""
    first = "-"
    while entries := client.xrange(STREAM, min=first, count=100):
        for raw_id, fields in entries:
            entry_id = _text(raw_id)
            texts: Mapping[str, str] = {_text(key): _text(value) for key, value in fields.items()}
            arrived = datetime.fromtimestamp(int(entry_id.split("-")[0]) / 1000, UTC)
            yield entry_id, arrived, DeadLetter.model_validate(json.loads(texts["letter"]))
        first = f"({entry_id}"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
