"""Fills the templates of `deploy/` and `systemd/`."""

import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["fill"]


def fill(template: Path, values: Mapping[str, str]) -> str:
    """The template with each `@name@` replaced.

    A name alone on its line takes the lines of its value, as far in as the name; with an empty value the line
    goes.
    """

    def filled(match: re.Match[str]) -> str:
        indent, alone, within = match.groups()
        if within:
            return values[within]
        lines = values[alone].splitlines()
        return "".join(f"{indent}{line}\n" if line else "\n" for line in lines)

    # In one pass: a value may contain what looks like a name.
    return re.sub(r"(?m)^( *)@([A-Za-z_]+)@\n|@([A-Za-z_]+)@", filled, template.read_text("utf-8"))
