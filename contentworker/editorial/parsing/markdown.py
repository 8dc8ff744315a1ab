"""Markdown (CommonMark with tables) and its front matter to blocks.

markdown-it gives lines, not characters. This module finds the lines of each inline token in the source, and
each piece of text inside it with a cursor that only moves forward.
"""

import re
from typing import TYPE_CHECKING

from contentworker.editorial.parsing.blocks import Block, BlockKind, Extract, Link, domain_of
from contentworker.editorial.parsing.front_matter import read_front_matter
from contentworker.editorial.parsing.plaintext import read_text

if TYPE_CHECKING:
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

__all__ = ["read_markdown"]

_LINE_END = re.compile(r"\r\n?|\n")
_WORDS_AND_SPACES = re.compile(r"\s+|\S+")
# What stands between a link's text and the text after it: `](target "title")`, `][label]`, `]` or `>`.
_LINK_TAIL = re.compile(
    r"""\]\(\s*(?:<[^<>\n]*+>|(?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.)*+\))*+)"""
    r"""(?:\s+(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|\((?:[^()\\]|\\.)*+\)))?\s*\)"""
    r"""|\]\[[^\]]*+\]|\]|>""",
    re.DOTALL,
)
# Between two pieces of text stand only marks such as `**` and `[`; looking further would be quadratic.
_LONGEST_MARKUP = 1_000
# Each costs markdown-it tens of microseconds, above all marks that are never closed. No article comes near
# these bounds. What exceeds them is read as text, so that 2 MB take seconds and not half a minute.
_LONGEST_INLINE = 20_000
_MOST_MARKS = 100_000
_MOST_LINES_OR_CELLS = 50_000
_OPENS_KIND: dict[str, BlockKind] = {"list_item_open": "item", "th_open": "cell", "td_open": "cell"}
_CLOSES_KIND = frozenset({"list_item_close", "th_close", "td_close"})


def read_markdown(source: str) -> Extract:
    """Read any string as Markdown, without raw HTML and code blocks.

    A source with more lines or cells than any article has is read as plain text below its front matter.
    """
    # Imported here: most articles are HTML, which needs no markdown-it.
    from markdown_it import MarkdownIt

    extract = Extract()
    body_start = read_front_matter(source, extract)
    if any(source.count(mark, body_start) > _MOST_LINES_OR_CELLS for mark in "\n\r|"):
        extract.blocks = read_text(source, body_start).blocks
        return extract
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.at("inline", _read_inline)
    # Joined text hides where an escape or an entity stood; unjoined, each is a token with its markup.
    parser.disable("text_join")
    body = source[body_start:]
    if body.startswith("\ufeff"):
        body = " " + body[1:]
    _Reader(source, body_start, extract).run(parser.parse(body))
    return extract


def _read_inline(state: "StateCore") -> None:
    """Read the marks inside each block, but keep a block that is too long as its plain lines."""
    from markdown_it.token import Token

    marks = 0
    for token in state.tokens:
        if token.type != "inline":
            continue
        token.children = []
        marks += sum(map(token.content.count, "[*_"))
        if len(token.content) <= _LONGEST_INLINE and marks <= _MOST_MARKS:
            state.md.inline.parse(token.content, state.md, state.env, token.children)
            continue
        for line in token.content.split("\n"):
            token.children += [Token("text", "", 0, content=line), Token("softbreak", "br", 0)]
        token.children.pop()


class _Reader:
    def __init__(self, source: str, body_start: int, extract: Extract) -> None:
        self.source = source
        self.extract = extract
        self.line_starts = [body_start]
        self.line_starts += [end.end() for end in _LINE_END.finditer(source, body_start)]
        self.line_starts.append(len(source))
        self.cursor = body_start
        self.pieces: list[str] = []
        self.length = 0

    def run(self, tokens: "list[Token]") -> None:
        kinds: list[BlockKind] = []
        quotes = level = 0
        for token in tokens:
            name = token.type
            if name == "inline" and token.map is not None:
                kind: BlockKind = kinds[-1] if kinds else "quote" if quotes else "paragraph"
                self.inline(token, Block("heading" if level else kind, level))
            elif name == "heading_open":
                level = int(token.tag[1])
            elif name == "heading_close":
                level = 0
            elif name in _OPENS_KIND:
                kinds.append(_OPENS_KIND[name])
            elif name in _CLOSES_KIND:
                kinds.pop()
            elif name in ("blockquote_open", "blockquote_close"):
                quotes += token.nesting
                self.extract.blockquotes += name == "blockquote_open"
            else:
                self.extract.lists += name in ("bullet_list_open", "ordered_list_open")
                self.extract.tables += name == "table_open"

    def inline(self, token: "Token", block: Block) -> None:  # noqa: C901 (one kind of token a branch)
        self.pieces, self.length = [], 0
        line, end_line = token.map or (0, 0)
        end = self.line_starts[end_line]
        self.enter(token.content, line, is_cell=block.kind == "cell")
        link: tuple[str, int] | None = None
        for child in token.children or ():
            kind = child.type
            if kind == "text":
                self.add(block, child.content, self.take(child.content, end))
            elif kind == "code_inline":
                # Word by word: a line may end in it, and a sentence.
                for part in _WORDS_AND_SPACES.findall(child.content):
                    is_space = part.isspace() and not self.source.startswith(part, self.cursor)
                    self.add(block, part, (self.cursor,) * 2 if is_space else self.take(part, end))
            elif kind == "text_special":
                self.add(block, child.content, self.take(child.markup, end))
            elif kind in ("softbreak", "hardbreak"):
                line += 1
                self.add(block, "\n", (self.cursor, self.line_starts[line]))
                self.cursor = max(self.cursor, self.line_starts[line])
            elif kind == "link_open":
                link = (str(child.attrGet("href") or ""), self.cursor)
            elif kind == "link_close" and link is not None:
                self.skip_link_tail(end, ">" if child.markup == "autolink" else "]")
                target, start = link
                self.extract.links.append(Link(target, domain_of(target), start, self.cursor))
            elif kind in ("html_inline", "image"):
                self.take(child.content, end)
                if kind == "image":
                    self.skip_link_tail(end, "]")
        block.text = "".join(self.pieces)
        if block.text and not block.text.isspace():
            self.extract.blocks.append(block)

    def enter(self, content: str, line: int, *, is_cell: bool) -> None:
        """Move to where the inline content begins, past list, quote and heading marks."""
        start, end = self.line_starts[line], self.line_starts[line + 1]
        first = content.partition("\n")[0]
        if is_cell:
            # The cells of a row share their line, so the search begins after the cell before. It looks for
            # the cell as written, with escaped pipes: otherwise it would go through the whole row in vain.
            place = self.source.find(first.replace("|", "\\|"), self.cursor, end)
        else:
            place = self.source.rfind(first, start, end)
        self.cursor = max(self.cursor, start, place)

    def add(self, block: Block, text: str, place: tuple[int, int]) -> None:
        if text:
            self.pieces.append(text)
            block.text_starts.append(self.length)
            block.sources.append(place)
            self.length += len(text)

    def take(self, written: str, end: int) -> tuple[int, int]:
        """The next range that holds `written`; moves behind it."""
        window = min(end, self.cursor + len(written) + _LONGEST_MARKUP)
        place = self.source.find(written, self.cursor, window)
        if place >= 0:
            self.cursor = place + len(written)
            return place, self.cursor
        # Escaped pipes in a table: find it word by word.
        start = self.cursor
        for index, word in enumerate(written.split()):
            place = self.source.find(word, self.cursor, min(end, self.cursor + len(word) + _LONGEST_MARKUP))
            if place >= 0:
                start = place if index == 0 else start
                self.cursor = place + len(word)
        return start, self.cursor

    def skip_link_tail(self, end: int, closing: str) -> None:
        place = self.source.find(closing, self.cursor, min(end, self.cursor + _LONGEST_MARKUP))
        if place >= 0:
            tail = _LINK_TAIL.match(self.source, place, end)
            self.cursor = tail.end() if tail else place + 1
