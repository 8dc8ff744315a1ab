"""The output of every reader: blocks of text that know where each character came from."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from contentworker.editorial.parsing.tree import Tree

__all__ = ["Block", "BlockKind", "Extract", "Link", "Reason", "Skipped", "Span", "domain_of"]

BlockKind = Literal["heading", "paragraph", "item", "cell", "quote"]
Reason = Literal[
    "navigation", "code", "caption", "control", "embedded", "hidden", "header", "footer", "aside", "comments",
    "related", "sharing", "advertising", "subscription", "byline", "boilerplate", "markup", "metadata",
]  # fmt: skip
"""Why a part of the source is no text of the article."""


class Span(NamedTuple):
    """A text and its place: `source[start:end]` holds it, with its markup."""

    text: str
    start: int
    end: int


class Link(NamedTuple):
    """A hyperlink of the content. `domain` is the host without `www.`, empty for a relative link."""

    target: str
    domain: str
    start: int
    end: int


# urlsplit reads these the same way, several times as slowly.
_PLAIN_URL = re.compile(r"https?://([a-zA-Z0-9-]++(?:\.[a-zA-Z0-9-]++)++)(?:[/?#]|\Z)")


def domain_of(url: str | None) -> str:
    """The host of an http(s) URL in lower case and without `www.`; empty for anything else."""
    url = (url or "").strip()
    if plain := _PLAIN_URL.match(url):
        return plain[1].lower().removeprefix("www.")
    if url[:1] == "#" or (url[:1] == "/" and url[1:2].isalnum()):
        return ""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    return host.removeprefix("www.") if parts.scheme in ("http", "https", "") and "." in host else ""


@dataclass(slots=True)
class Block:
    """One paragraph, heading, list item or table cell.

    `text` is decoded but its whitespace is untouched. It is made of pieces; piece i begins at
    `text_starts[i]` in the text and covers `sources[i]` = (start, end) of the source. A piece whose two
    lengths agree is verbatim; any other (an entity, a line break tag) stands for its whole source range.
    """

    kind: BlockKind
    level: int = 0
    text: str = ""
    text_starts: list[int] = field(default_factory=list)
    sources: list[tuple[int, int]] = field(default_factory=list)

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """The source range of `text[start:end]`, which must not be empty."""
        if len(self.sources) == 1:
            # Most blocks are one verbatim piece.
            offset, source_end = self.sources[0]
            if source_end - offset == len(self.text):
                return offset + start, offset + end
        return self._locate(start)[0], self._locate(end - 1)[1]

    def without(self, spans: Iterable[tuple[int, int]]) -> "Block":
        """A copy that lacks these ranges of its text, which come in order and do not overlap."""
        pieces: list[str] = []
        starts: list[int] = []
        sources: list[tuple[int, int]] = []
        length = 0
        cuts = [*spans, (len(self.text), len(self.text))]
        ends = [*self.text_starts[1:], len(self.text)]
        cut = 0
        for begin, end, source in zip(self.text_starts, ends, self.sources, strict=True):
            position = begin
            while position < end:
                while cuts[cut][1] <= position and cut < len(cuts) - 1:
                    cut += 1
                gap, resume = cuts[cut]
                stop = min(end, gap)
                if position < stop:
                    verbatim = source[1] - source[0] == end - begin
                    place = (source[0] + position - begin, source[0] + stop - begin) if verbatim else source
                    pieces.append(self.text[position:stop])
                    starts.append(length)
                    sources.append(place)
                    length += stop - position
                position = max(stop, min(end, resume))
        return Block(self.kind, self.level, "".join(pieces), starts, sources)

    def _locate(self, position: int) -> tuple[int, int]:
        index = bisect_right(self.text_starts, position) - 1
        text_start = self.text_starts[index]
        text_end = self.text_starts[index + 1] if index + 1 < len(self.text_starts) else len(self.text)
        source_start, source_end = self.sources[index]
        if source_end - source_start != text_end - text_start:
            return source_start, source_end
        source = source_start + position - text_start
        return source, source + 1


class Skipped(NamedTuple):
    """A part of the source that the reader left out, and why."""

    reason: Reason
    start: int
    end: int


@dataclass(slots=True)
class Extract:
    """Everything that a reader extracts from one source. `tree` places the blocks of HTML in their page."""

    blocks: list[Block] = field(default_factory=list)
    tree: Tree | None = None
    skipped: list[Skipped] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    title: Span | None = None
    title_source: str = ""
    bylines: list[tuple[str, Span]] = field(default_factory=list)
    language: str | None = None
    properties: list[tuple[str, Span]] = field(default_factory=list)
    json_ld: list[Span] = field(default_factory=list)
    lists: int = 0
    tables: int = 0
    blockquotes: int = 0
    has_metadata: bool = False
