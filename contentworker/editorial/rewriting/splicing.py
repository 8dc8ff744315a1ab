"""Puts sentences into an article, and touches nothing else of it."""

import html
from collections.abc import Iterable

__all__ = ["splice"]


def splice(source: str, replacements: Iterable[tuple[int, int, str]], media_type: str) -> str:
    """The source with plain text in place of some of its parts.

    Args:
        source: The article as given.
        replacements: Start, end (exclusive) and the text to put there: offsets of characters in `source`, in
            their order, none overlapping.
        media_type: In `html` the text is escaped, so that a sentence never becomes a tag.
    """
    parts: list[str] = []
    position = 0
    for start, end, text in replacements:
        parts += [source[position:start], html.escape(text, quote=False) if media_type == "html" else text]
        position = end
    return "".join([*parts, source[position:]])
