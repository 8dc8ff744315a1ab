"""What to do, handed from the unprivileged part of the installer to the part that runs as root."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Plan", "Say"]

Say = Callable[[str], None]
"""Tells the user what is being done."""


@dataclass(frozen=True)
class Plan:
    """What to do to one installation."""

    action: Literal["install", "uninstall"]
    """`install` brings the machine to a release, from any state: empty, older, newer, or half done."""
    target: str
    """The folder that is `/` for the installation."""
    prefix: str
    user: str
    is_live: bool = True
    """Whether the target is a running system. Otherwise the files are placed and no service is started."""
    release: str = ""
    source: str = ""
    """Folder that the release was built in; empty if the machine has the release already."""
    own_redis: bool = True
    """Whether to install a Redis, unless the machine has the address of another."""
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """Values for credentials that do not exist yet."""
    removes_data: bool = False
    is_gapless: bool = True
    """Whether a second worker serves a queue while its worker is restarted."""
    patience_seconds: float = 600
    """Longest time for a service to stop and start; after that it counts as failed."""

    def text(self) -> str:
        """The plan as JSON, for the process that runs as root."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def of(cls, text: str) -> "Plan":
        """The plan that such a text describes."""
        return cls(**json.loads(text))
