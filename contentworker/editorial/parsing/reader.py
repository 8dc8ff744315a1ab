"""HTML to blocks, in one forward pass over the source.

A tree builder would lose the offsets, which the place of an answer needs. So this module reads tags as the
tokenisation section of the HTML standard does, and keeps only a stack of open containers. Its work is linear
in the source whatever the nesting, and nothing in it recurses.
"""

import re

from contentworker.editorial.parsing.blocks import (
    Extract,
    Link,
    Reason,
    Skipped,
    Span,
    domain_of,
)
from contentworker.editorial.parsing.elements import (
    ACTED_ON,
    ACTED_ON_WHILE_SKIPPING,
    ASCII_LETTERS,
    BLOCKS,
    COMMENT_MARKS,
    ENDED_BY_THE_NEXT,
    ENDS_HEADING,
    HEADINGS,
    KINDS,
    NO_TAG,
    PASSED_OVER,
    RAW_TEXT,
    RAW_TEXT_ENDS,
    SKIPPED,
    STACKED,
    TAG,
    TAG_WITHOUT_QUOTES,
    WITHOUT_CONTENT,
)
from contentworker.editorial.parsing.marks import Marks
from contentworker.editorial.parsing.tags import (
    FOOTNOTE,
    TITLE_PARAGRAPH,
    decode,
    hidden_reason,
    is_telling,
)
from contentworker.editorial.parsing.tree import hints
from contentworker.editorial.parsing.writer import BlockWriter

__all__ = ["read_once"]

# Searching is fast for a pattern without flags that begins with a letter.
_HREF = re.compile(r"""[hH](?<![\w-][hH])[rR][eE][fF]\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]++))""")


def read_once(
    source: str, *, whole_page: bool, shows_hidden: bool = False, reads_pre: bool = False
) -> Extract:
    """Read a source in one pass: its hidden parts or its `pre`, too, if told so."""
    return _Reader(source, whole_page=whole_page, shows_hidden=shows_hidden, reads_pre=reads_pre).run()


class _Reader(BlockWriter):
    def __init__(
        self, source: str, *, whole_page: bool, shows_hidden: bool = False, reads_pre: bool = False
    ) -> None:
        super().__init__(source, whole_page=whole_page, reads_pre=reads_pre)
        self.shows_hidden = shows_hidden
        self.marks = Marks(source, self.extract)
        self.stack: list[tuple[str, bool, int]] = []
        self.skipping = 0
        self.skipped_from: tuple[Reason, int] = ("hidden", 0)
        self.is_passing_over = True
        self.has_header_cells = False

    def run(self) -> Extract:
        """Read the source to its end."""
        source, position, text_start = self.source, 0, 0
        match_tag = trusting = TAG.match
        find, text, act_on = source.find, self.text, self.tag
        while (opening := find("<", position)) >= 0:
            tag = match_tag(source, opening)
            if tag is None and source[opening + 1 : opening + 2] in ASCII_LETTERS:
                match_tag = TAG_WITHOUT_QUOTES.match
                tag = match_tag(source, opening)
                if tag is None:
                    # A tag that is still open at the end: browsers drop it, and so does this.
                    break
            if tag is None and source[opening + 1 : opening + 2] not in COMMENT_MARKS:
                position = opening + 1
                continue
            if text_start < opening and not self.skipping:
                text(text_start, opening)
            position = text_start = act_on(tag) if tag else self.comment_end(opening)
            if (
                self.skipping
                and self.is_passing_over
                and match_tag is trusting
                and (passed := PASSED_OVER.match(source, position))
            ):
                position = text_start = passed.end()
        end = len(source) if opening < 0 else opening
        if text_start < end and not self.skipping:
            self.text(text_start, end)
        self.flush()
        if self.skipping:
            self.end_skipping(end)
        self.marks.finish()
        return self.extract

    def comment_end(self, opening: int) -> int:
        if self.source.startswith("<!--", opening):
            end = self.source.find("-->", opening + 2)
            return len(self.source) if end < 0 else end + 3
        if not self.whole_page and self.source.startswith("<![CDATA[", opening):
            # Confluence keeps the text of links like this. In a page, browsers take it for a comment.
            end = self.source.find("]]>", opening)
            end = len(self.source) if end < 0 else end
            if not self.skipping:
                self.written(opening + len("<![CDATA["), end)
            return end + len("]]>")
        end = self.source.find(">", opening)
        return len(self.source) if end < 0 else end + 1

    def tag(self, match: re.Match[str]) -> int:
        """Act on one tag; return the position to read on from."""
        closing, name, raw = match.groups()
        name, end = name.lower(), match.end()
        if self.skipping and not self.is_passing_over:
            return self.tag_while_hidden(match, name)
        if name not in (ACTED_ON_WHILE_SKIPPING if self.skipping else ACTED_ON):
            if raw and not (self.skipping or closing or name in WITHOUT_CONTENT) and is_telling(raw):
                self.byline(name, raw, end)
                self.hide(name, raw, match.start())
        elif closing:
            self.end_tag(name, end)
        elif name in RAW_TEXT:
            return self.raw_text(name, match)
        elif name in BLOCKS:
            self.open_block(name, raw, *match.span())
        elif name in HEADINGS:
            self.open_heading(name, raw, match.start())
        elif name == "br":
            self.piece("\n", *match.span())
        else:
            self.inline(name, match)
        return end

    def open_heading(self, name: str, raw: str, start: int) -> None:
        self.flush()
        self.heading = HEADINGS[name]
        self.own = (name, hints(raw))
        if raw:
            self.hide(name, raw, start)

    def open_block(self, name: str, raw: str, start: int, end: int) -> None:
        self.byline(name, raw, end)
        self.flush()
        if name in ENDS_HEADING:
            self.heading = 0
        self.kind = KINDS.get(name, "paragraph")
        if name in {"p", "th", "table"} and self.is_in_cell(name, raw):
            self.kind = "cell"
            return
        if name not in STACKED:
            self.own = (name, hints(raw))
            if raw and name not in WITHOUT_CONTENT:
                self.hide(name, raw, start)
            return
        if name == "main":
            # No page has its main content in a menu: the menu was never closed.
            while self.skipping:
                self.close(self.stack[-1][0], start)
        self.own = NO_TAG
        reason = SKIPPED.get(name)
        if (reason == "navigation" and not self.whole_page) or (reason == "code" and self.reads_pre):
            reason = None
        if raw and not reason:
            reason = self.hidden_reason(name, raw)
        self.push(name, reason, start)
        if not self.skipping:
            self.node = self.tree.add(self.node, name, hints(raw), start)

    def is_in_cell(self, name: str, raw: str) -> bool:
        """Whether a paragraph is the text of a cell, as in Confluence; else, see whether it is the title."""
        if name != "p":
            self.has_header_cells = name == "th"
        elif self.has_header_cells and self.own[0] in {"td", "th"}:
            return True
        elif "itle" in raw and TITLE_PARAGRAPH.search(raw):
            self.heading = 1
        return False

    def hidden_reason(self, name: str, raw: str) -> Reason | None:
        return hidden_reason(name, raw, whole_page=self.whole_page, shows_hidden=self.shows_hidden)

    def hide(self, name: str, raw: str, start: int) -> None:
        """Skip an element that is not stacked otherwise, if it is hidden."""
        if reason := self.hidden_reason(name, raw):
            self.leave_out(name, reason, start)

    def tag_while_hidden(self, match: re.Match[str], name: str) -> int:
        """Act on a tag inside of a hidden element that may lack its end tag: `p`, `li`, `span`."""
        closing = match[1]
        top = self.stack[-1][0]
        if name in RAW_TEXT and not closing:
            return self.raw_text(name, match)
        if not closing:
            ended = (top == "p" and (name in BLOCKS or name in HEADINGS)) or (
                top == name and name in ENDED_BY_THE_NEXT
            )
            if ended and self.stack[-1][1]:
                self.close(top, match.start())
                return self.tag(match)
            if name not in WITHOUT_CONTENT:
                self.push(name, None, match.start())
        elif self.open_count.get(name):
            self.close(name, match.end() if name == top else match.start())
            if not self.skipping:
                return self.tag(match) if name != top else match.end()
        elif name in BLOCKS or name in HEADINGS:
            # The end of the paragraph that the hidden element stands in.
            while self.skipping:
                self.close(self.stack[-1][0], match.start())
            return self.tag(match)
        return match.end()

    def push(self, name: str, reason: Reason | None, start: int) -> None:
        if reason and not self.skipping:
            self.skipped_from = (reason, start)
        self.stack.append((name, reason is not None, self.node))
        self.open_count[name] = self.open_count.get(name, 0) + 1
        self.skipping += reason is not None

    def end_tag(self, name: str, end: int) -> None:
        if name == "a":
            self.close_link(end)
        elif name in BLOCKS or name in HEADINGS:
            if self.pieces:
                self.flush()
            if name in HEADINGS:
                self.heading = 0
            else:
                self.kind = "paragraph"
                if name == "p":
                    self.heading = 0
            self.own = NO_TAG
            if self.open_count.get(name):
                self.close(name, end)

    def close(self, name: str, end: int) -> None:
        while True:
            closed, skipped, self.node = self.stack.pop()
            self.open_count[closed] -= 1
            if skipped:
                self.skipping -= 1
                if not self.skipping:
                    self.end_skipping(end)
            if closed == name:
                return

    def end_skipping(self, end: int) -> None:
        reason, start = self.skipped_from
        self.extract.skipped.append(Skipped(reason, start, end))
        self.is_passing_over = True

    def raw_text(self, name: str, match: re.Match[str]) -> int:
        start = match.end()
        end, is_end = self.source.find("<", start), RAW_TEXT_ENDS[name].match
        while end >= 0 and not is_end(self.source, end):
            end = self.source.find("<", end + 1)
        end = end if end >= 0 else len(self.source)
        text = self.source[start:end]
        if name == "title" and self.extract.title is None and not self.open_count.get("svg"):
            clean = " ".join(decode(text).split())
            if clean:
                self.extract.title = Span(clean, start, end)
                self.extract.title_source = text
        elif name == "script" and "ld+json" in match[3].lower():
            self.extract.json_ld.append(Span(text, start, end))
        if name != "title":
            self.flush()
        ending = f"</{name}>"
        return end + len(ending) if self.source.startswith(ending, end) else end

    def inline(self, name: str, match: re.Match[str]) -> None:
        start, end = match.span()
        raw = match[3]
        if name == "a":
            self.close_link(start)
            if href := _HREF.search(raw):
                target = decode(href[1] or href[2] or href[3] or "").strip()
                self.link = (target, start)
                if target.startswith("#cmnt"):
                    self.review(target, name, start)
                elif target[:1] == "#" and "footnote" in raw and FOOTNOTE.match(self.source, end):
                    self.leave_out(name, "markup", start)
            self.byline(name, raw, end)
            self.hide(name, raw, start)
            return
        self.marks.head(name, raw, start, end)

    def review(self, target: str, name: str, start: int) -> None:
        """Leave out a reviewer's comment, as Google Docs saves it in HTML, and the marks that lead to it."""
        self.link = None
        if target.startswith("#cmnt_ref"):
            self.reviewed = self.node
        else:
            self.leave_out(name, "comments", start)

    def leave_out(self, name: str, reason: Reason, start: int) -> None:
        if not self.skipping:
            self.link = None
            self.push(name, reason, start)
            self.is_passing_over = False

    def byline(self, name: str, raw: str, start: int) -> None:
        """Note the content of an element that says it holds the author, or a date."""
        if not raw:
            return
        if "date" in raw or "ublished" in raw:
            self.marks.date(name, raw, start)
        if not self.skipping:
            self.marks.author(name, raw, start, self.link[0] if self.link else None)

    def close_link(self, end: int) -> None:
        if self.link is not None:
            target, start = self.link
            self.extract.links.append(Link(target, domain_of(target), start, end))
            self.link = None
