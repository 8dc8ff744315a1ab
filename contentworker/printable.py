"""Foreign text: print it with `one_line` or `lines`, so that it cannot control a terminal or fake our lines.

Foreign is what came from outside: names and arguments of messages, errors, articles.
"""

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["check", "counted", "decoded", "encodable", "json_text", "lines", "one_line"]


def one_line(text: object) -> str:
    r"""The text with all that is not printable escaped: `\n`, `\x1b`, `\u202e`."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)


def lines(text: object) -> Iterator[str]:
    """The lines of a text, each escaped as by `one_line`."""
    return map(one_line, str(text).splitlines())


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON in ASCII that is safe on a terminal: the only control characters are line breaks of `indent`."""
    return json.dumps(value, indent=indent).replace("\x7f", "\\u007f")


def check(value: object) -> None:
    """Refuse text that would need escaping, also inside a list or a tuple.

    Raises:
        ValueError: the text has a line break, a control character, or one that changes how others look.
    """
    if isinstance(value, str) and not value.isprintable():
        raise ValueError("must be one line of text without control characters")
    if isinstance(value, list | tuple):
        for each in value:
            check(each)


def counted(number: int, one: str) -> str:
    """A number of things: `1 worker`, `2 workers`."""
    return f"{number} {one}{'' if number == 1 else 's'}"


def decoded(value: bytes | str) -> str:
    r"""What Redis returned, as text, whether or not the client decodes. Bytes that are not UTF-8: `\xff`."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def encodable(text: str) -> str:
    r"""The text without half surrogate pairs, which JSON allows and UTF-8 does not: `\ud800` in letters."""
    return text.encode("utf-8", "backslashreplace").decode()
