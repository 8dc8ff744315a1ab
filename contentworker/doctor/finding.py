"""What a check returns, and what it is given."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

__all__ = ["SESSION", "Environ", "Finding", "NotCheckedError"]

SESSION = "python3 noxfile.py -s"
"""How to run a session where there is no nox, or an old one; elsewhere it works as well."""

Environ = Mapping[str, str]


class Finding(NamedTuple):
    """What a check found. `wrong` needs mending; `note` is worth knowing."""

    level: Literal["ok", "note", "wrong"]
    text: str
    mend: str = ""
    """A command, or a step; empty where there is nothing to do."""


class NotCheckedError(Exception):
    """The check could not be made; the message says why."""
