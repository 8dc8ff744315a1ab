"""What the settings models are made of: a section, and the types that several sections use."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from contentworker import printable

__all__ = ["Count", "QueueName", "Seconds", "Section", "TaskPattern", "shaped"]


def shaped(pattern: str, allowed: str) -> AfterValidator:
    """A check of a text that its pattern has to match as a whole. The error says in words what is allowed."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"must be {allowed}")
        return value

    return AfterValidator(check)


# Never two underscores: they separate the names in an environment variable.
QueueName = Annotated[
    str,
    StringConstraints(max_length=100),
    shaped(
        r"[A-Za-z0-9](_?[A-Za-z0-9.-]+)*",
        "a name of letters, digits, dots, dashes and single underscores that begins with a letter or digit",
    ),
]
TaskPattern = Annotated[
    str,
    shaped(
        r"[A-Za-z0-9_.*?\[\]-]+",
        "the name of a task, in which * stands for any characters, ? for one, and [ab] for a or b",
    ),
]


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A section of `worker.toml`. It is frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _is_printable(cls, value: Any) -> Any:
        printable.check(value)
        return value
