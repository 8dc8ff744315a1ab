"""What is to be done, as the unprivileged part hands it over to the one that does it."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """What to do to one installation."""

    action: Literal["install", "uninstall"]
    """To install is to bring it to a release, whether it is there already, older, newer, or half done."""
    target: str
    """What is `/` to the installation."""
    prefix: str
    user: str
    is_live: bool = True
    """Whether the target is a running system; else the files are placed, and that is all."""
    release: str = ""
    source: str = ""
    """The folder that the release was built in; empty if it is there already."""
    redis_port: int = 6379
    """Of the Redis that is installed where nobody has one."""
    flower_address: tuple[str, int] = ("127.0.0.1", 5555)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """Values for credentials that are not there yet."""
    removes_data: bool = False
    patience_seconds: float = 600
    """A service that has not stopped, and started, after this long counts as failed."""

    def text(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def of(cls, text: str) -> "Plan":
        values = json.loads(text)
        return cls(**{**values, "flower_address": tuple(values["flower_address"])})
