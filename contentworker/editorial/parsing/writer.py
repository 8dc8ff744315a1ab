"""Text to blocks: what the reader hands over becomes blocks with their places in the source."""

from html import unescape
from itertools import accumulate

from contentworker.editorial.parsing.blocks import Block, BlockKind, Extract, Skipped
from contentworker.editorial.parsing.elements import EMPTY_LINES, INVISIBLE, NO_TAG
from contentworker.editorial.parsing.tags import ENTITY
from contentworker.editorial.parsing.tree import Tree

__all__ = ["BlockWriter"]


class BlockWriter:
    """Collects the text between tags, and ends a block when its reader says so.

    The reader sets where a block stands: `node` (its container), `own` (its tag and hints), `kind`, `heading`
    (its level), `link` and `open_count`. It inherits: there are as many texts as tags, so calls count.
    """

    def __init__(self, source: str, *, whole_page: bool, reads_pre: bool) -> None:
        self.source = source
        self.whole_page = whole_page
        self.reads_pre = reads_pre
        self.may_split = reads_pre or not whole_page
        self.extract = Extract(has_metadata=True)
        self.tree = self.extract.tree = Tree()
        self.open_count: dict[str, int] = {}
        self.node = 0
        self.heading = 0
        self.kind: BlockKind = "paragraph"
        self.own = NO_TAG
        self.pieces: list[str] = []
        self.sources: list[tuple[int, int]] = []
        self.link: tuple[str, int] | None = None
        self.link_characters = 0
        self.reviewed: int | None = None
        """The container of a reviewer's comment."""

    def text(self, start: int, end: int) -> None:
        """Add the text of a range, in which empty lines may end blocks."""
        text = self.source[start:end]
        if self.link is not None:
            self.link_characters += end - start
        if (
            self.may_split
            and "\n" in text
            and ((not self.whole_page and not self.own[0]) or (self.reads_pre and self.open_count.get("pre")))
        ):
            # WordPress keeps its classic posts without tags for paragraphs: an empty line ends one.
            begin = start
            for blank in EMPTY_LINES.finditer(self.source, start, end):
                self.written(begin, blank.start())
                self.flush()
                begin = blank.end()
            start = begin
            text = self.source[start:end]
        if "&" not in text:
            # Most texts have no entity, and there are as many texts as tags.
            if text:
                self.pieces.append(text)
                self.sources.append((start, end))
            return
        self.written(start, end)

    def written(self, start: int, end: int) -> None:
        """Add a range of the source to the block, its entities decoded."""
        text = self.source[start:end]
        if "&" not in text:
            self.piece(text, start, end)
            return
        position = 0
        for entity in ENTITY.finditer(text):
            decoded = unescape(entity[0])
            if decoded != entity[0]:
                begin, stop = entity.span()
                self.piece(text[position:begin], start + position, start + begin)
                self.piece(decoded, start + begin, start + stop)
                position = stop
        self.piece(text[position:], start + position, end)

    def piece(self, text: str, start: int, end: int) -> None:
        """Add a text that stands for a range of the source."""
        if text:
            self.pieces.append(text)
            self.sources.append((start, end))

    def flush(self) -> None:
        """End the current block: the text since the last one becomes a block."""
        if not self.pieces:
            return
        pieces, sources, linked = self.pieces, self.sources, self.link_characters
        text = pieces[0] if len(pieces) == 1 else "".join(pieces)
        self.link_characters = 0
        if text.isspace() or not text.strip(INVISIBLE):
            pieces.clear()
            sources.clear()
            return
        self.pieces, self.sources = [], []
        kind: BlockKind = "heading" if self.heading else self.kind
        if kind == "paragraph" and self.open_count.get("blockquote"):
            kind = "quote"
        if self.reviewed is not None:
            if self.reviewed == self.node:
                self.extract.skipped.append(Skipped("comments", sources[0][0], sources[-1][1]))
                return
            self.reviewed = None
        starts = [0] if len(pieces) == 1 else [*accumulate(map(len, pieces[:-1]), initial=0)]
        self.extract.blocks.append(Block(kind, self.heading, text, starts, sources))
        self.tree.place(self.node, *self.own, linked)
