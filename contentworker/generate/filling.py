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

    def indented(match: re.Match[str]) -> str:
        lines = values[match[2]].splitlines()
        return "".join(f"{match[1]}{line}\n" if line else "\n" for line in lines)

    text = re.sub(r"(?m)^( *)@([A-Za-z_]+)@\n", indented, template.read_text("utf-8"))
    return re.sub(r"@([A-Za-z_]+)@", lambda match: values[match[1]], text)
