"""What the settings models are made of: a section, and the types that several sections use."""

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from contentworker import printable

__all__ = [
    "LONGEST_SECONDS",
    "LOOPBACK_ADDRESSES",
    "Address",
    "Amount",
    "Count",
    "Lifetime",
    "ListeningSection",
    "Port",
    "QueueName",
    "Seconds",
    "Section",
    "TaskPattern",
    "shaped",
]

LOOPBACK_ADDRESSES = ("127.0.0.1", "::1", "localhost")
NAMED_ADDRESSES = ("any", "localhost", "link-local", "multicast")


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
        r"[A-Za-z0-9](_?[A-Za-z0-9.-])*",
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
LONGEST_SECONDS = 1_000_000_000
"""Some 30 years. Sockets and times of Python take not much more."""


def _check_seconds(value: float) -> float:
    if value > LONGEST_SECONDS:
        raise ValueError(f"must be at most {LONGEST_SECONDS}")
    return value


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_check_seconds)]
Lifetime = Annotated[float, Field(ge=1, allow_inf_nan=False), AfterValidator(_check_seconds)]
"""How long Redis keeps something, in whole seconds: 0 would be for ever, or not at all."""
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _check_address(value: str) -> str:
    if value not in NAMED_ADDRESSES:
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            names = ", ".join(NAMED_ADDRESSES)
            raise ValueError(f"must be {names}, an IP address or a network such as 10.0.0.0/8") from None
    return value


Address = Annotated[str, AfterValidator(_check_address)]
"""A value of IPAddressAllow=, see systemd.resource-control(5)."""


class Section(BaseModel):
    """A section of `worker.toml`. It is frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _is_printable(cls, value: Any) -> Any:
        printable.check(value)
        return value


class ListeningSection(Section):
    """A section of something that listens. Each one decides what it needs on an address others can reach."""

    address: str
    port: Port

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return self.address in LOOPBACK_ADDRESSES
