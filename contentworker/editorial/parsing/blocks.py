"""What every reader produces: blocks of text that know where each character came from."""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

__all__ = ["Block", "BlockKind", "Extract", "LinkSpan", "Span"]

BlockKind = Literal["heading", "paragraph", "item", "cell", "quote"]


class Span(NamedTuple):
    """A text and its place: `source[start:end]` is where it stands, with whatever markup it has there."""

    text: str
    start: int
    end: int


class LinkSpan(NamedTuple):
    """A hyperlink of the content: its target as written, and the source range of the link."""

    target: str
    start: int
    end: int


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

    def _locate(self, position: int) -> tuple[int, int]:
        index = bisect_right(self.text_starts, position) - 1
        text_start = self.text_starts[index]
        text_end = self.text_starts[index + 1] if index + 1 < len(self.text_starts) else len(self.text)
        source_start, source_end = self.sources[index]
        if source_end - source_start != text_end - text_start:
            return source_start, source_end
        found = source_start + position - text_start
        return found, found + 1


@dataclass(slots=True)
class Extract:
    """All that a reader found in one source."""

    blocks: list[Block] = field(default_factory=list)
    links: list[LinkSpan] = field(default_factory=list)
    title: Span | None = None
    language: str | None = None
    properties: list[tuple[str, Span]] = field(default_factory=list)
    json_ld: list[Span] = field(default_factory=list)
    lists: int = 0
    tables: int = 0
    blockquotes: int = 0
    has_metadata: bool = False
