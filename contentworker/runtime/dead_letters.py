"""Messages whose work has failed for good, kept whole in Redis until a person decides about them."""

import base64
import json
import logging
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args

import redis
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from contentworker.errors import ContentWorkerError
from contentworker.runtime.settings import DeadLetterSettings
from contentworker.runtime.transport import UNREADABLE

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
    "parts_of",
    "read",
    "replay",
]

logger = logging.getLogger(__name__)

STREAM = "contentworker:dead-letters"
"""A Redis stream: an entry's id is the time of its arrival in milliseconds and a counter."""

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
]
REASONS: tuple[Reason, ...] = get_args(Reason)

TEXT_LENGTH = 20_000
"""Longest error and traceback that are kept, in characters."""
HISTORY_LENGTH = 20
"""Most earlier letters that a message carries with it, each with so much of its error:"""
HISTORY_ERROR_LENGTH = 500
TRIMS = 5
"""Most attempts of one `add` to bring the stream under its size; the next one goes on."""
LATEST_SECONDS = 253_402_300_799
"""The end of the year 9999: a stream takes ids beyond it, Python no times."""
PRIORITY_MARK = "\x06\x16"
"""Between a queue's name and a priority, in the name of the list that kombu keeps for it."""

# The first write is one that cannot grow memory, as a full server refuses any other. Pushed before it is
# deleted: should the push fail, on a key that is no list, the letter is still there.
_REPLAY = """
redis.call('XDEL', KEYS[1], '0-0')
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
return redis.call('XDEL', KEYS[1], ARGV[1])
"""


def _encodable(value: Any) -> Any:
    # Half a surrogate pair is a string to JSON and Python, but nothing that UTF-8 can say.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_encodable)]
Beginning = Annotated[Text, AfterValidator(lambda text: text[:TEXT_LENGTH])]
End = Annotated[Text, AfterValidator(lambda text: text[-TEXT_LENGTH:])]


class EarlierLetter(BaseModel):
    """What a task failed of before it was replayed."""

    model_config = ConfigDict(frozen=True)

    id: Text
    arrived: datetime
    reason: Text
    error: Text


class DeadLetter(BaseModel):
    """A message, and why no worker will run it again."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1, 2] = VERSION
    reason: Reason = Field(description="Why, in a word or two; docs/dead-letters.md explains each.")
    error: Beginning = Field(description="What happened; its first 20,000 characters.")
    exception: Text = Field(default="", description="Type of the error, where there was one.")
    traceback: End = Field(default="", description="The last 20,000 characters of it.")
    queue: Text = Field(description="The queue it came from.")
    list_key: Text = Field(default="", description="The queue's list in Redis; empty: the queue's name.")
    task: Text = Field(default="", description="Name of the task, as far as the message says one.")
    task_id: Text = Field(default="", description="Id of the task, likewise.")
    retries: int = Field(default=0, description="How often it had been retried.")
    deliveries: int = Field(default=0, description="How many workers had died while they had it.")
    worker: Text = Field(description="Node name of the worker that met it.")
    message: str = Field(description="The message as it lay in Redis, in this encoding:")
    encoding: Literal["utf-8", "base64"] = Field(
        default="utf-8", description="`base64` where the message's bytes are no UTF-8."
    )
    history: tuple[EarlierLetter, ...] = Field(
        default=(), description="The task's earlier letters, oldest first, each of which was replayed."
    )


class UnknownLetter(BaseModel):
    """An entry of another version of this program. It can be looked at, and discarded by its id."""

    model_config = ConfigDict(frozen=True)

    version: str = Field(description="The version that it names; empty where it names none.")
    content: str = Field(description="The entry as it is.")


class UnknownVersionError(ContentWorkerError):
    """A letter was written by another version of this program, so what it says is not known."""


def add(client: Any, letter: DeadLetter, limits: DeadLetterSettings) -> str:
    """Keep a letter, drop the oldest ones that exceed the limits, and return its id.

    `client` is a redis-py client. Whatever error it raises, a full server's among them: the letter may not be
    there, and its message must not be acknowledged. If the letter was written after all, it is there twice.
    """
    letter_id = _text(client.xadd(STREAM, {"letter": letter.model_dump_json()}))
    try:
        dropped = _drop_oldest(client, int(letter_id.split("-")[0]), limits)
    except redis.exceptions.RedisError as error:
        # The letter is there; the next one will drop what this one could not.
        logger.warning("Dead letters could not be kept within their limits: %s", error)
    else:
        if dropped:
            logger.warning(
                "Dead letters dropped, oldest first: %d; [dead_letters] in worker.toml limits them", dropped
            )
    return letter_id


def drop_old(client: Any, limits: DeadLetterSettings) -> int:
    """Drop what exceeds the limits, as `add` does after each letter; return how many."""
    seconds, _ = client.time()
    return _drop_oldest(client, seconds * 1000, limits)


def _drop_oldest(client: Any, now_milliseconds: int, limits: DeadLetterSettings) -> int:
    # Redis's clock, by which the letters arrived as well.
    oldest = max(0, now_milliseconds - int(limits.max_age_seconds * 1000))
    dropped: int = client.xtrim(STREAM, maxlen=limits.max_number, approximate=False)
    dropped += client.xtrim(STREAM, minid=oldest, approximate=False)
    for _ in range(TRIMS):
        # Every part measured: an estimate from the first few would be wrong where sizes differ.
        size = client.memory_usage(STREAM, samples=0) or 0
        count = client.xlen(STREAM)
        if size <= limits.max_bytes or count <= 1:
            break
        kept = min(max(1, count * limits.max_bytes // size), count - 1)
        dropped += client.xtrim(STREAM, maxlen=kept, approximate=False)
    return dropped


def read(client: Any) -> Iterator[tuple[str, datetime, DeadLetter | UnknownLetter]]:
    """Yield id, time of arrival (UTC) and content of every letter, oldest first."""
    first = "-"
    while entries := client.xrange(STREAM, min=first, count=100):
        for raw_id, fields in entries:
            letter_id = _text(raw_id)
            yield letter_id, arrival(letter_id), _letter(fields)
        first = f"({letter_id}"


def arrival(letter_id: str) -> datetime:
    """When the letter of this id arrived (UTC)."""
    return datetime.fromtimestamp(min(int(letter_id.split("-")[0]) / 1000, LATEST_SECONDS), UTC)


def find(client: Any, letter_id: str) -> DeadLetter | UnknownLetter | None:
    """The letter of this id; None if there is none, or not any more."""
    if not re.fullmatch(r"[0-9]{1,19}-[0-9]{1,19}", letter_id):
        return None
    entries = client.xrange(STREAM, min=letter_id, max=letter_id)
    return _letter(entries[0][1]) if entries else None


def replay(client: Any, letter_id: str) -> bool:
    """Put a letter's message back into its list, to be run anew, and delete the letter, in one step.

    False if there is no such letter: so it is safe to repeat, and of two who replay one letter at once one
    does. The task keeps its id and arguments; its retries begin again, and it carries its history with it.
    What is no task message goes back byte for byte.

    Raises:
        UnknownVersionError: nothing was done.
    """
    letter = find(client, letter_id)
    if letter is None:
        return False
    if isinstance(letter, UnknownLetter):
        raise UnknownVersionError(
            f"{letter_id}: a letter of version {letter.version or '?'}, which this program does not know, "
            "can only be discarded"
        )
    message = _message_anew(letter_id, letter)
    return bool(client.eval(_REPLAY, 2, STREAM, letter.list_key or letter.queue, letter_id, message))


def discard(client: Any, letter_id: str) -> bool:
    """Delete a letter for good, whatever its version; False if there is none of this id."""
    return find(client, letter_id) is not None and client.xdel(STREAM, letter_id) == 1


def arguments(letter: DeadLetter) -> tuple[list[Any], dict[str, Any]] | None:
    """Positional and keyword arguments of the task; None where the message does not say them readably."""
    try:
        whole = json.loads(letter.message)
        body = whole["body"]
        if whole["properties"].get("body_encoding") == "base64":
            body = base64.b64decode(body)
        args, kwargs, _ = json.loads(body)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return (args, kwargs) if isinstance(args, list) and isinstance(kwargs, dict) else None


def parts_of(message: Any) -> dict[str, Any]:
    """What a kombu message says for its dead letter, whoever sent it: fields of `DeadLetter`."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    delivery = getattr(message, "delivery", None)
    if delivery is not None:
        list_key = delivery.list_key
    else:
        list_key = str((message.delivery_info or {}).get("routing_key", ""))
        priority = message.properties.get("priority")
        if isinstance(priority, int):
            list_key = message.channel._q_for_pri(list_key, priority)
    return {
        **_whole(message),
        "queue": list_key.partition(PRIORITY_MARK)[0],
        "list_key": list_key,
        "retries": _count(headers.get("retries")),
        "deliveries": _count(getattr(message, "deliveries", 0)),
        "history": _history(headers.get("history")),
    }


def _whole(message: Any) -> dict[str, Any]:
    """The message as it lay in Redis, and how that is written down."""
    if message.content_type != UNREADABLE:
        # Not serializable(), which decodes and encodes again: a broken body would not come out as it went in.
        return {"message": json.dumps(message._raw)}
    try:
        return {"message": message.body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"message": base64.b64encode(message.body).decode("ascii"), "encoding": "base64"}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _history(value: Any) -> tuple[EarlierLetter, ...]:
    """A header's value, which anybody may have written."""
    try:
        return tuple(EarlierLetter.model_validate(item) for item in value or ())[-HISTORY_LENGTH:]
    except (ValidationError, TypeError):
        return ()


def _message_anew(letter_id: str, letter: DeadLetter) -> bytes:
    if letter.encoding == "base64":
        return base64.b64decode(letter.message)
    as_it_was = letter.message.encode("utf-8")
    if letter.reason == "unreadable":
        return as_it_was
    try:
        whole = json.loads(letter.message)
    except (ValueError, RecursionError):
        return as_it_was
    if not isinstance(whole, dict):
        return as_it_was
    whole.pop("deliveries", None)  # our transport's count of dead workers, no part of the message
    headers = whole.get("headers")
    if isinstance(headers, dict) and "task" in headers and "id" in headers:
        now = EarlierLetter(
            id=letter_id,
            arrived=arrival(letter_id),
            reason=letter.reason,
            error=letter.error[:HISTORY_ERROR_LENGTH],
        )
        history = [*letter.history, now][-HISTORY_LENGTH:]
        headers |= {
            "retries": 0,
            "eta": None,
            "expires": None,
            "replays": _count(headers.get("replays")) + 1,
            "history": [item.model_dump(mode="json") for item in history],
        }
        if "sent_at" in headers:  # else the queue would seem to have been waiting all the while
            headers["sent_at"] = datetime.now(UTC).isoformat()
    return json.dumps(whole).encode()


def _letter(fields: Mapping[Any, Any]) -> DeadLetter | UnknownLetter:
    texts = {_text(key): _text(value) for key, value in fields.items()}
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


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
