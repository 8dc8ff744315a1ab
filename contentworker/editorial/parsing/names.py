"""Names and dates that are written in metadata: what counts as one, and the keys that hold them."""

import re
import tomllib
from html import unescape
from pathlib import Path
from typing import NamedTuple

from contentworker.editorial.parsing.blocks import Block, Span

__all__ = ["ADDRESS", "KEYS", "MONTHS", "Candidate", "Value", "decoded", "is_name", "key_of", "length"]

_TABLE = tomllib.loads(Path(__file__).with_name("metadata.toml").read_text("utf-8"))
KEYS: dict[str, list[str]] = {name: text.split() for name, text in _TABLE.items() if name != "months"}
MONTHS = {
    name: number for number, names in enumerate(_TABLE["months"].splitlines(), 1) for name in names.split()
}
ADDRESS = re.compile(r"https?:|www\.|@\w|\w@|\.(?:com|org|net|de|html?|php)\b|[<>{}=]", re.IGNORECASE)
_TAGS = re.compile(r"<[^<>]{0,500}>")


class Value(NamedTuple):
    """A value, its place in the source, and where it was found: `json-ld`, `text`, or the name of a key."""

    text: str
    start: int
    end: int
    origin: str


class Candidate(NamedTuple):
    """A value of the head with its key in lower case."""

    key: str
    span: Span


def decoded(text: str) -> str:
    """The text without entities (some systems escape twice) and tags."""
    return _TAGS.sub("", unescape(unescape(text)))


def length(block: Block) -> int:
    """Characters of a block as readers see them."""
    return len(" ".join(block.text.split()))


def key_of(text: str) -> str:
    """A name to compare by: letters and digits only."""
    return "".join(filter(str.isalnum, text.lower()))


def is_name(text: str) -> bool:
    """Whether a text can be a name: it has letters, and no system writes it where a name is missing."""
    return key_of(text) not in _NO_NAMES and any(map(str.isalpha, text))


_NO_NAMES = frozenset(key_of(word) for word in KEYS["no_names"]) | {""}
