"""Ids on the command line: their first characters are enough, as in git."""

from collections.abc import Callable, Iterable

import click

from contentworker.printable import one_line

__all__ = ["MOST_LISTED", "whole"]

SHORTEST = 4
"""Characters that an abbreviation has at least, as in git: shorter ones hit by chance."""
MOST_LISTED = 10
"""Ids that an error lists at most. A `beginning_with` needs to give no more than one above it."""


def whole(typed: str, beginning_with: Callable[[str], Iterable[str]]) -> str:
    """The id that begins with what was typed, or what was typed if no id does.

    Raises:
        click.ClickException: several ids begin so, and none of them is exactly this.
    """
    if len(typed) < SHORTEST:
        return typed
    found = sorted(beginning_with(typed))
    if typed in found or not found:
        return typed
    if len(found) > 1:
        more = ", ..." if len(found) > MOST_LISTED else ""
        listed = ", ".join(map(one_line, found[:MOST_LISTED]))
        raise click.ClickException(f"{typed}: several ids begin with this: {listed}{more}")
    return found[0]
