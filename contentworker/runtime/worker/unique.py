"""Unique tasks: reads a declaration, and says which lock a call needs.

`unique_sending.py` takes the lock when a task is sent; `unique_messages.py` checks it when a worker takes the
message.
"""

import hashlib
import inspect
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Self

from celery import Task
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from contentworker.errors import ConfigError
from contentworker.runtime.transport.uniqueness import Claim, While

__all__ = ["HEADER", "Unique", "UniqueTask", "claim_in"]

HEADER = "unique"
"""Header of a message that was sent with a lock: the lock's name, its turn, and how long it is kept."""
LOCK_SECONDS = 86_400.0
"""After how long a lock expires if its task disappears: its queue was purged, or another program took it."""
LONGEST_SECONDS = 366 * 86_400
LONGEST_KEY_BYTES = 1024
SCALARS = (str, int, float, uuid.UUID, date, Decimal, type(None))


class Unique(BaseModel):
    """A declaration: `unique = {"key": ["article_id"], "while": "running"}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: tuple[Annotated[str, Field(min_length=1)], ...]
    """Names of the arguments whose values make calls the same; if empty, all calls of the task are."""
    kept: While = Field("queued", alias="while")
    seconds: float | None = Field(None, gt=0, le=LONGEST_SECONDS, allow_inf_nan=False)
    """With `ttl`, how long the lock is kept; otherwise, after how long it expires if its task disappears."""
    replace: bool = Field(False, strict=True)
    """Whether a later call replaces one that waits."""

    @field_validator("key", mode="before")
    @classmethod
    def _is_a_list(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list of names of arguments")  # noqa: TRY004 (pydantic's way)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.kept == "ttl" and self.seconds is None:
            raise ValueError('seconds: must be given where while is "ttl"')
        if self.replace and self.kept != "queued":
            raise ValueError(f'replace: works where while is "queued", not "{self.kept}"')
        return self

    @classmethod
    def of(cls, declared: Any) -> Self:
        """Read a declaration.

        Raises:
            ValueError: names the field and what it must be.
        """
        if isinstance(declared, cls):
            return declared
        try:
            return cls.model_validate(declared)
        except ValidationError as error:
            problem = error.errors()[0]
            field = ".".join(map(str, ("unique", *problem["loc"])))
            message = problem["msg"].removeprefix("Value error, ")
            separator = "." if not problem["loc"] else ": "  # of several fields: the message names one
            raise ValueError(f"{field}{separator}{message[:1].lower()}{message[1:]}") from None

    def claim(self, name: str, values: Mapping[str, Any], task_id: str) -> Claim:
        """The claim of a call of the task `name` with these argument values.

        Raises:
            ValueError: names the argument of the key that is missing or cannot be used.
        """
        parts: list[Any] = [name]
        for argument in self.key:
            if argument not in values:
                raise ValueError(f"unique.key: the call has no argument {argument!r}; pass it by its name")
            value = values[argument]
            if not isinstance(value, SCALARS):
                raise ValueError(  # noqa: TRY004 (whatever is wrong with a call is a ValueError)
                    f"unique.key: {argument!r} must be text, a number, true, false or null, "
                    f"not {type(value).__name__}"
                )
            parts.append(value if isinstance(value, str | int | float | None) else str(value))
        text = json.dumps(parts).encode()
        if len(text) > LONGEST_KEY_BYTES:
            raise ValueError(f"unique.key: must be at most {LONGEST_KEY_BYTES} bytes, not {len(text)}")
        return Claim(
            lock=hashlib.sha256(text).hexdigest()[:32],
            task_id=task_id,
            turn="",
            kept=self.kept,
            lifetime_milliseconds=round((self.seconds or LOCK_SECONDS) * 1000),
            is_replaceable=self.replace,
        )


class UniqueTask(Task):
    """A task that may declare that its calls are unique (docs/unique.md)."""

    abstract = True
    unique: Any = None
    """A dictionary in the declaration, a `Unique` in the loaded task; None: each call runs."""

    def __init__(self) -> None:
        super().__init__()
        if self.unique is None:
            return
        try:
            self.unique = Unique.of(self.unique)
        except ValueError as error:
            raise ConfigError(f"task {self.name}: {error}") from None
        parameters = inspect.signature(self.run).parameters.values()
        names = {each.name for each in parameters}
        takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
        if not takes_any and (unknown := [each for each in self.unique.key if each not in names]):
            allowed = ", ".join(sorted(names)) or "none"
            raise ConfigError(f"task {self.name}: unique.key: no argument {unknown[0]!r}; allowed: {allowed}")
        if self.unique.kept == "running" and not self.acks_late:
            raise ConfigError(f'task {self.name}: unique.while: "running" needs acks_late = True')
        if getattr(self, "claimed", False):
            raise ConfigError(
                f"task {self.name}: unique: not for a CriticalTask, whose message is never dropped; make "
                "the task that sends it unique"
            )

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """Refuse the plain transport, which cannot send a message and take its lock in one step."""
        super().on_bound(app)
        settings = getattr(app, "runtime_settings", None)
        if cls.unique is not None and settings and settings.broker.transport == "plain":
            raise ConfigError(f'task {cls.name}: unique: needs broker.transport = "leased"')


def values_of(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, with defaults; if the task is not loaded, those passed by name."""
    if task is None:
        return {**kwargs}
    parameters = inspect.signature(task.run).parameters.values()
    values = {each.name: each.default for each in parameters if each.default is not each.empty}
    in_order = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    return {**values, **dict(zip(in_order, args, strict=False)), **kwargs}


def header(claim: Claim) -> dict[str, Any]:
    """The header of a message that is sent with this claim."""
    return {
        "lock": claim.lock,
        "turn": claim.turn,
        "while": claim.kept,
        "milliseconds": claim.lifetime_milliseconds,
    }


def claim_in(value: Any, task_id: str) -> Claim:
    """The claim in a header, which any client may have written.

    Raises:
        ValueError: the header is not valid.
    """
    match value:
        case {
            "lock": str(lock),
            "turn": str(turn),
            "while": "queued" | "running" | "ttl" as kept,
            "milliseconds": int(milliseconds),
        } if (
            re.fullmatch(r"[0-9a-f]{32} [0-9a-f]{32}", f"{lock} {turn}")
            and 0 < milliseconds <= LONGEST_SECONDS * 1000
            and milliseconds is not True  # an int in Python, which Redis does not take
        ):
            return Claim(lock, task_id, turn, kept, milliseconds)
    raise ValueError(f"header {HEADER}: must be as this project's clients write it")
