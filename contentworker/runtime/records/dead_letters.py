"""Dead letters: messages whose work has failed for good. Redis keeps them until a person decides."""

import base64
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Literal, get_args

import redis
from kombu.utils.json import dumps
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from contentworker.errors import ContentWorkerError
from contentworker.printable import decoded, encodable
from contentworker.runtime.settings import DeadLetterSettings
from contentworker.runtime.transport import UNREADABLE
from contentworker.runtime.transport.keys import REVOKED
from contentworker.runtime.transport.scripts import load
from contentworker.runtime.transport.stored import call_in

__all__ = [
    "REASONS",
    "STREAM",
    "DeadLetter",
    "EarlierLetter",
    "Reason",
    "UnknownLetter",
    "UnknownVersionError",
    "add",
    "arguments",
    "arrival",
    "discard",
    "drop_old",
    "find",
    "ids",
    "parts_of",
    "raw_message",
    "read",
    "replay",
]

logger = logging.getLogger(__name__)

STREAM = "contentworker:dead-letters"
"""Key of the Redis stream. The id of an entry is its time of arrival in milliseconds and a counter."""

VERSION: Literal[2] = 2

Reason = Literal[
    "failed",
    "retries exhausted",
    "time limit",
    "lost process",
    "interrupted",
    "poison",
    "unknown task",
    "invalid",
    "unreadable",
    "limit",
]
REASONS: tuple[Reason, ...] = get_args(Reason)

TEXT_LENGTH = 20_000
"""Longest error and longest traceback that are kept, in characters."""
HISTORY_LENGTH = 20
"""Most earlier letters that a message carries in its history."""
HISTORY_ERROR_LENGTH = 500
"""Longest error of a letter in the history, in characters."""
TRIMS = 5
"""Most attempts of one `add` to bring the stream below its limit of bytes; the next `add` continues."""
MESSAGE_BYTES = 256 * 1024 * 1024
"""Longest message that is kept whole. Redis takes no value above 512 MB, and base64 adds a third."""
BEGINNING_BYTES = 64 * 1024
"""How much is kept of a longer message."""
INLINE_BYTES = 64 * 1024 * 1024
"""Longest message that is kept as text: JSON may need six bytes for one, base64 needs four for three."""
ID_DIGITS = 13
"""Digits before the dash of an id: milliseconds since 1970 have so many from 2001 to 2286."""
LATEST_SECONDS = 253_402_300_799
"""The end of the year 9999, the last time that Python knows; ids of a stream may be later."""
PRIORITY_MARK = "\x06\x16"
"""Separates queue and priority in the names of kombu's lists, as in `celery\x06\x163`."""

_REPLAY = load(__file__, "replay")


Text = Annotated[str, BeforeValidator(lambda value: encodable(value) if isinstance(value, str) else value)]
Beginning = Annotated[Text, AfterValidator(lambda text: text[:TEXT_LENGTH])]
End = Annotated[Text, AfterValidator(lambda text: text[-TEXT_LENGTH:])]


class EarlierLetter(BaseModel, frozen=True):
    """Why a task had failed before it was replayed."""

    id: Text
    arrived: datetime
    reason: Text
    error: Text


class DeadLetter(BaseModel, frozen=True):
    """A message, and why no worker runs it again."""

    version: Literal[1, 2] = VERSION
    reason: Reason = Field(description="Reason in a word or two; docs/dead-letters.md explains each.")
    error: Beginning = Field(description="First 20,000 characters of the error.")
    exception: Text = Field(default="", description="Type of the error, if there was one.")
    traceback: End = Field(default="", description="Last 20,000 characters of the traceback.")
    queue: Text = Field(description="Queue of the message.")
    list_key: Text = Field(default="", description="List of the message in Redis; empty: the queue's name.")
    task: Text = Field(default="", description="Name of the task, if the message has one.")
    task_id: Text = Field(default="", description="Id of the task, if the message has one.")
    retries: int = Field(default=0, description="How often the task was retried.")
    deliveries: int = Field(default=0, description="How many workers died while they held the message.")
    critical: bool = Field(
        default=False, description="Whether the task is a `CriticalTask`: a repeat may cost money."
    )
    worker: Text = Field(description="Node name of the worker that wrote the letter.")
    message: str = Field(description="The message as it was in Redis, in the encoding below.")
    encoding: Literal["utf-8", "base64"] = Field(
        default="utf-8", description="`base64` if the message is not UTF-8."
    )
    history: tuple[EarlierLetter, ...] = Field(
        default=(), description="Earlier letters of the task that were replayed, oldest first."
    )


class UnknownLetter(BaseModel, frozen=True):
    """An entry that another version of this program wrote. You can show it, and discard it by its id."""

    version: str = Field(description="Its version; empty if it names none.")
    content: str = Field(description="The entry itself.")


class UnknownVersionError(ContentWorkerError):
    """Another version of this program wrote the letter, so this one cannot replay it."""


def add(client: Any, letter: DeadLetter, limits: DeadLetterSettings) -> str:
    """Write a letter, drop the oldest ones beyond the limits, and return the letter's id.

    After any error of the redis-py `client`, do not acknowledge the message: the letter may not be there.
    If it was written after all, it will be there twice.
    """
    letter_id = decoded(client.xadd(STREAM, {"letter": letter.model_dump_json()}))
    try:
        dropped = _drop_oldest(client, int(letter_id.split("-")[0]), limits)
    except redis.exceptions.RedisError as error:
        # The letter is there, and the next one drops what this one could not.
        logger.warning("Dead letters could not be kept within their limits: %s", error)
    else:
        if dropped:
            logger.warning(
                "Dead letters dropped, oldest first: %d; [dead_letters] in worker.toml limits them", dropped
            )
    return letter_id


def drop_old(client: Any, limits: DeadLetterSettings) -> int:
    """Drop the oldest letters beyond the limits, as `add` does; return how many."""
    seconds, _ = client.time()
    return _drop_oldest(client, seconds * 1000, limits)


def _drop_oldest(client: Any, now_milliseconds: int, limits: DeadLetterSettings) -> int:
    # The time is Redis's, as are the ids of the letters.
    oldest = max(0, now_milliseconds - int(limits.max_age_seconds * 1000))
    dropped: int = client.xtrim(STREAM, maxlen=limits.max_number, approximate=False)
    dropped += client.xtrim(STREAM, minid=oldest, approximate=False)
    for _ in range(TRIMS):
        # 0: measure every entry. An estimate from a few would be wrong, because sizes differ.
        size = client.memory_usage(STREAM, samples=0) or 0
        count = client.xlen(STREAM)
        if size <= limits.max_bytes or count <= 1:
            break
        kept = min(max(1, count * limits.max_bytes // size), count - 1)
        dropped += client.xtrim(STREAM, maxlen=kept, approximate=False)
    return dropped


def read(client: Any) -> Iterator[tuple[str, datetime, DeadLetter | UnknownLetter]]:
    """Yield id, time of arrival (UTC) and content of each letter, oldest first."""
    first = "-"
    while entries := client.xrange(STREAM, min=first, count=100):
        for raw_id, fields in entries:
            letter_id = decoded(raw_id)
            yield letter_id, arrival(letter_id), _letter(fields)
        first = f"({letter_id}"


def arrival(letter_id: str) -> datetime:
    """Time of arrival (UTC) of the letter with this id."""
    return datetime.fromtimestamp(min(int(letter_id.split("-", maxsplit=1)[0]) / 1000, LATEST_SECONDS), UTC)


def find(client: Any, letter_id: str) -> DeadLetter | UnknownLetter | None:
    """The letter with this id; None if it does not exist (any more)."""
    if not re.fullmatch(r"[0-9]{1,19}-[0-9]{1,19}", letter_id):
        return None
    entries = client.xrange(STREAM, min=letter_id, max=letter_id)
    return _letter(entries[0][1]) if entries else None


def ids(client: Any, beginning: str, most: int) -> list[str]:
    """At most so many ids that begin so, oldest first."""
    typed = re.fullmatch(r"([0-9]{1,13})(?:-([0-9]{0,19}))?", beginning)
    if not typed:
        return []
    digits, counter = typed.groups()
    if counter is None:
        first, last = digits.ljust(ID_DIGITS, "0"), digits.ljust(ID_DIGITS, "9")
    else:
        first = last = digits
    entries = client.xrange(STREAM, min=first, max=last, count=most)
    return [letter_id for key, _ in entries if (letter_id := decoded(key)).startswith(beginning)]


def ids_of_task(client: Any, beginning: str, most: int) -> list[str]:
    """At most so many ids of letters of tasks whose ids begin so, oldest first. Reads every letter."""
    letters = ((letter_id, letter) for letter_id, _, letter in read(client) if isinstance(letter, DeadLetter))
    return [*islice((letter_id for letter_id, each in letters if each.task_id.startswith(beginning)), most)]


def replay(client: Any, letter_id: str) -> bool:
    """Put a letter's message back into its list, so that it runs again, and delete the letter, atomically.

    Returns False if there is no such letter, so it is safe to repeat, even for two people at once. The task
    keeps its id and arguments, its retries start from 0, and it carries its history. It is not revoked any
    more. A message that is not a task goes back byte for byte.

    Raises:
        UnknownVersionError: another version wrote the letter; nothing has changed.
    """
    letter = find(client, letter_id)
    if letter is None:
        return False
    if isinstance(letter, UnknownLetter):
        raise UnknownVersionError(
            f"{letter_id}: a letter of version {letter.version or '?'}, which this program does not know, "
            "can only be discarded"
        )
    message = _reset_message(letter_id, letter)
    keys = (STREAM, letter.list_key or letter.queue, REVOKED)
    return bool(client.eval(_REPLAY, len(keys), *keys, letter_id, message, letter.task_id))


def discard(client: Any, letter_id: str) -> bool:
    """Delete a letter of any version; return False if there is none with this id."""
    return find(client, letter_id) is not None and client.xdel(STREAM, letter_id) == 1


def arguments(letter: DeadLetter) -> tuple[list[Any], dict[str, Any]] | None:
    """Positional and keyword arguments of the task; None where the message does not say them readably."""
    call = call_in(raw_message(letter))
    return (call.args, call.kwargs) if call else None


def raw_message(letter: DeadLetter) -> bytes:
    """The bytes of the message as they were in Redis."""
    return base64.b64decode(letter.message) if letter.encoding == "base64" else letter.message.encode("utf-8")


def parts_of(message: Any) -> dict[str, Any]:
    """Fields of a dead letter for a kombu message, which may contain anything. Never raises."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    delivery = getattr(message, "delivery", None)
    if delivery is not None:
        list_key = delivery.list_key
    else:
        list_key = str((message.delivery_info or {}).get("routing_key", ""))
        priority = message.properties.get("priority")
        if isinstance(priority, int):
            list_key = message.channel._q_for_pri(list_key, priority)  # noqa: SLF001 (kombu has no public name for a priority's list)
    return {
        **_encoded(getattr(message, "raw", b"") or _bytes_of(message)),
        "queue": list_key.partition(PRIORITY_MARK)[0],
        "list_key": list_key,
        "retries": _count(headers.get("retries")),
        "deliveries": _count(getattr(message, "deliveries", 0)),
        "history": _history(headers.get("history")),
    }


def _encoded(raw: bytes) -> dict[str, Any]:
    """Fields `message` and `encoding`. They keep the bytes, since decoded values may not fit into JSON."""
    if len(raw) > MESSAGE_BYTES:
        raw = raw[:BEGINNING_BYTES]
    if len(raw) <= INLINE_BYTES:
        with suppress(UnicodeDecodeError):
            return {"message": raw.decode("utf-8")}
    return {"message": base64.b64encode(raw).decode("ascii"), "encoding": "base64"}


def _bytes_of(message: Any) -> bytes:
    """The bytes of a message that came by kombu's own transport, which does not keep them."""
    if message.content_type == UNREADABLE:
        body: bytes = message.body
        return body
    try:
        return str(dumps(message._raw)).encode()  # noqa: SLF001 (kombu's messages keep what they were made of)
    except Exception:  # noqa: BLE001 (a message may contain anything)
        return repr(message)[:BEGINNING_BYTES].encode("utf-8", "backslashreplace")


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value < 2**63 else 0


def _history(value: Any) -> tuple[EarlierLetter, ...]:
    """The history in a header, which any client may have written."""
    try:
        return tuple(EarlierLetter.model_validate(item) for item in value or ())[-HISTORY_LENGTH:]
    except (ValidationError, TypeError):
        return ()


def _reset_message(letter_id: str, letter: DeadLetter) -> bytes:
    """The message of a letter with its retries, times and deaths of workers reset, and with its history."""
    raw = raw_message(letter)
    if letter.reason == "unreadable":
        return raw
    try:
        whole = json.loads(raw)
        if not isinstance(whole, dict):
            return raw
        whole.pop("deliveries", None)  # our transport's count of dead workers, not part of the message
        headers = whole.get("headers")
        if isinstance(headers, dict) and "task" in headers and "id" in headers:
            headers |= _reset_headers(letter_id, letter, headers)
        return json.dumps(whole).encode()
    except (ValueError, RecursionError):
        return raw


def _reset_headers(letter_id: str, letter: DeadLetter, headers: dict[str, Any]) -> dict[str, Any]:
    error = letter.error[:HISTORY_ERROR_LENGTH]
    now = EarlierLetter(id=letter_id, arrived=arrival(letter_id), reason=letter.reason, error=error)
    history = [*letter.history, now][-HISTORY_LENGTH:]
    reset: dict[str, Any] = {
        "retries": 0,
        "eta": None,
        "expires": None,
        "replays": _count(headers.get("replays")) + 1,
        "history": [item.model_dump(mode="json") for item in history],
    }
    if "sent_at" in headers:  # otherwise the age of the queue would include the time as a dead letter
        reset["sent_at"] = datetime.now(UTC).isoformat()
    return reset


def _letter(fields: Mapping[Any, Any]) -> DeadLetter | UnknownLetter:
    texts = {decoded(key): decoded(value) for key, value in fields.items()}
    content = texts.get("letter", "")
    try:
        return DeadLetter.model_validate_json(content)
    except ValidationError:
        return UnknownLetter(version=_version(content), content=content or json.dumps(texts))


def _version(content: str) -> str:
    try:
        return str(json.loads(content)["version"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
