"""HTML to blocks, in one forward pass over the source.

A tree builder would lose the offsets. Finding an answer's place needs them, so this reads tags as the
tokenisation section of the HTML standard does and keeps only a stack of open containers. Its work is
linear in the source whatever the nesting, and nothing in it recurses.
"""

import re
from html import unescape

from contentworker.editorial.parsing.blocks import Block, BlockKind, Extract, LinkSpan, Span

__all__ = ["read_html"]

_TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+)>""")
# After one tag that never closes, quotes are no longer trusted: trying again at each tag would be quadratic.
_TAG_WITHOUT_QUOTES = re.compile(r"<(/?)([a-zA-Z][^\s/>]*+)([^>]*+)>")
_ATTRIBUTE = re.compile(r"""([^\s=/>"']++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]++)))?""")
# html.unescape turns digits into an int, which refuses more than 4,300 of them: hence the bounds.
_ENTITY = re.compile(r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,8}|[A-Za-z][A-Za-z0-9]{0,40});?")

_RAW_TEXT = frozenset({"script", "style", "textarea", "title", "xmp", "noembed", "noframes", "iframe"})
_SKIPPED = frozenset(
    {"nav", "aside", "footer", "button", "select", "noscript", "template", "svg", "object", "dialog", "menu",
     "pre"}
)  # fmt: skip
_CONTAINERS = frozenset(
    {"main", "article", "section", "div", "header", "blockquote", "form", "ul", "ol", "dl",
     "table", "figure", "details"}
)  # fmt: skip
_BLOCKS = _CONTAINERS | _SKIPPED | frozenset(
    {"p", "li", "dt", "dd", "tr", "td", "th", "caption", "figcaption", "thead", "tbody", "tfoot", "summary",
     "address", "hr", "center", "fieldset", "legend", "option", "optgroup", "head", "body", "search",
     "hgroup"}
)  # fmt: skip
_STACKED = _CONTAINERS | _SKIPPED
_ACTED_ON_WHILE_SKIPPING = _STACKED | _RAW_TEXT
# What a menu may hold that cannot end it: text, comments, tags that nothing is done about, and containers
# with no more than these inside. Names in capitals are rare and left to the reader.
_REST_OF_TAG = r"""(?=[\s/>])(?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+>"""
_INERT = (
    rf"[^<]++|<(?![a-zA-Z!?/])|<!(?=--)(?:[^-]++|-(?!->))*+-->|</?(?!(?:{'|'.join(sorted(_ACTED_ON_WHILE_SKIPPING))})[\s/>])"
    rf"[a-z][a-z0-9-]*+{_REST_OF_TAG}"
)
_INERT_CONTAINER = rf"<({'|'.join(sorted(_STACKED - {'main'}))}){_REST_OF_TAG}(?:{_INERT})*+</\1>"
_PASSED_OVER = re.compile(rf"(?:{_INERT}|{_INERT_CONTAINER})*+")
_RAW_TEXT_ENDS = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _RAW_TEXT}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_ACTED_ON = _BLOCKS | _RAW_TEXT | _HEADINGS.keys() | {"br", "a", "meta", "link", "time", "html"}
_ASCII_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_COMMENT_MARKS = frozenset("!?/")
_KINDS: dict[str, BlockKind] = {"li": "item", "dt": "item", "dd": "item", "td": "cell", "th": "cell"}
_ENDS_HEADING = frozenset({"p", "ul", "ol", "dl", "table", "section", "article", "main", "blockquote"})
_SKIPPED_ROLES = frozenset({"navigation", "contentinfo", "complementary", "banner", "search"})
# Some pages put an empty <main> beside the text they render elsewhere; then the mark says nothing.
_SMALLEST_MAIN_SHARE = 1 / 3


def read_html(source: str) -> Extract:
    """Read any string as HTML; malformed markup is read as far as it goes, and never raises."""
    reader = _Reader(source)
    reader.run()
    return reader.finish()


def attributes(raw: str) -> dict[str, str]:
    """The attributes of a tag, names in lower case, values decoded; the first of equal names wins."""
    found: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(raw):
        found.setdefault(name.lower(), _decode(double or single or bare))
    return found


def _decode(text: str) -> str:
    return _ENTITY.sub(lambda match: unescape(match[0]), text) if "&" in text else text


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.extract = Extract(has_metadata=True)
        self.stack: list[tuple[str, bool]] = []
        self.open_count = dict.fromkeys(_STACKED, 0)
        self.skipping = 0
        self.heading = 0
        self.kind: BlockKind = "paragraph"
        self.pieces: list[str] = []
        self.sources: list[tuple[int, int]] = []
        self.in_main: list[bool] = []
        self.link: tuple[str, int] | None = None
        self.link_in_main: list[bool] = []

    def run(self) -> None:
        source, position, text_start = self.source, 0, 0
        match_tag = trusting = _TAG.match
        find = source.find
        while (opening := find("<", position)) >= 0:
            tag = match_tag(source, opening)
            if tag is None and source[opening + 1 : opening + 2] in _ASCII_LETTERS:
                match_tag = _TAG_WITHOUT_QUOTES.match
                tag = match_tag(source, opening)
                if tag is None:
                    # A tag that is still open at the end: browsers drop it, and so does this.
                    break
            if tag is None and source[opening + 1 : opening + 2] not in _COMMENT_MARKS:
                position = opening + 1
                continue
            if text_start < opening and not self.skipping:
                self.text(text_start, opening)
            position = text_start = self.tag(tag) if tag else self.comment_end(opening)
            if self.skipping and match_tag is trusting and (passed := _PASSED_OVER.match(source, position)):
                position = text_start = passed.end()
        end = len(source) if opening < 0 else opening
        if text_start < end and not self.skipping:
            self.text(text_start, end)
        self.flush()

    def comment_end(self, opening: int) -> int:
        if self.source.startswith("<!--", opening):
            end = self.source.find("-->", opening + 2)
            return len(self.source) if end < 0 else end + 3
        end = self.source.find(">", opening)
        return len(self.source) if end < 0 else end + 1

    def tag(self, match: re.Match[str]) -> int:
        """Act on one tag; return where reading goes on."""
        closing, name, raw = match.groups()
        name = name.lower()
        if name not in (_ACTED_ON_WHILE_SKIPPING if self.skipping else _ACTED_ON):
            return match.end()
        if closing:
            self.end_tag(name, match.end())
            return match.end()
        if name in _RAW_TEXT:
            return self.raw_text(name, match)
        level = _HEADINGS.get(name)
        if level is not None:
            self.flush()
            self.heading = level
        elif name in _BLOCKS:
            self.flush()
            if name in _ENDS_HEADING:
                self.heading = 0
            self.open_block(name, raw)
        elif name == "br":
            self.pieces.append("\n")
            self.sources.append(match.span())
        else:
            self.inline(name, match)
        return match.end()

    def open_block(self, name: str, raw: str) -> None:
        self.kind = _KINDS.get(name, "paragraph")
        if name not in _STACKED:
            return
        if name == "main":
            # Nobody puts the main content into a menu: the menu was never closed.
            while self.skipping:
                self.close(self.stack[-1][0])
        skipped = name in _SKIPPED or self.is_hidden(raw)
        if name == "footer" and self.open_count["blockquote"]:
            skipped = False
        self.stack.append((name, skipped))
        self.open_count[name] += 1
        self.skipping += skipped
        if not self.skipping:
            self.extract.lists += name in ("ul", "ol")
            self.extract.tables += name == "table"
            self.extract.blockquotes += name == "blockquote"

    @staticmethod
    def is_hidden(raw: str) -> bool:
        if "hidden" not in raw and "role" not in raw and "none" not in raw:
            return False
        found = attributes(raw)
        style = found.get("style", "").replace(" ", "").lower()
        return "hidden" in found or "display:none" in style or found.get("role", "") in _SKIPPED_ROLES

    def end_tag(self, name: str, end: int) -> None:
        if name == "a":
            self.close_link(end)
        elif name in _HEADINGS or name in _BLOCKS:
            self.flush()
            if name in _HEADINGS:
                self.heading = 0
            else:
                self.kind = "paragraph"
            if self.open_count.get(name):
                self.close(name)

    def close(self, name: str) -> None:
        while True:
            closed, skipped = self.stack.pop()
            self.open_count[closed] -= 1
            self.skipping -= skipped
            if closed == name:
                return

    def raw_text(self, name: str, match: re.Match[str]) -> int:
        start = match.end()
        end, is_end = self.source.find("<", start), _RAW_TEXT_ENDS[name].match
        while end >= 0 and not is_end(self.source, end):
            end = self.source.find("<", end + 1)
        end = end if end >= 0 else len(self.source)
        text = self.source[start:end]
        if name == "title" and self.extract.title is None and not self.open_count["svg"]:
            clean = " ".join(_decode(text).split())
            if clean:
                self.extract.title = Span(clean, start, end)
        elif name == "script" and "ld+json" in match[3].lower():
            self.extract.json_ld.append(Span(text, start, end))
        if name != "title":
            self.flush()
        ending = f"</{name}>"
        return end + len(ending) if self.source.startswith(ending, end) else end

    def inline(self, name: str, match: re.Match[str]) -> None:
        found = attributes(match[3])
        start, end = match.span()
        if name == "html":
            self.extract.language = found.get("lang") or self.extract.language
        elif name == "a":
            self.close_link(start)
            if not self.skipping and found.get("href"):
                self.link = (found["href"], start)
            if "author" in found.get("rel", "").lower().split():
                self.property("author", found.get("href", ""), start, end)
        elif name == "meta":
            key = (
                found.get("name") or found.get("property") or found.get("itemprop") or found.get("http-equiv")
            )
            self.property((key or "").strip().lower(), found.get("content", ""), start, end)
        elif name == "link":
            relation = found.get("rel", "").lower().split()
            if "canonical" in relation:
                self.property("canonical", found.get("href", ""), start, end)
        elif name == "time" and not self.skipping:
            self.property(found.get("itemprop", "time").lower(), found.get("datetime", ""), start, end)

    def property(self, key: str, value: str, start: int, end: int) -> None:
        value = " ".join(value.split())
        if key and value:
            self.extract.properties.append((key, Span(value, start, end)))

    def close_link(self, end: int) -> None:
        if self.link is not None:
            self.extract.links.append(LinkSpan(self.link[0], self.link[1], end))
            self.link_in_main.append(self.inside_main())
            self.link = None

    def inside_main(self) -> bool:
        return bool(self.open_count["main"] or self.open_count["article"])

    def text(self, start: int, end: int) -> None:
        text = self.source[start:end]
        if "&" not in text:
            self.pieces.append(text)
            self.sources.append((start, end))
            return
        position = 0
        for entity in _ENTITY.finditer(text):
            decoded = unescape(entity[0])
            if decoded == entity[0]:
                continue
            begin, stop = entity.span()
            for piece, first, last in ((text[position:begin], position, begin), (decoded, begin, stop)):
                if piece:
                    self.pieces.append(piece)
                    self.sources.append((start + first, start + last))
            position = stop
        if position < len(text):
            self.pieces.append(text[position:])
            self.sources.append((start + position, end))

    def flush(self) -> None:
        """End the current block: what was read since the last one becomes a block of its own."""
        if not self.pieces:
            return
        pieces, sources = self.pieces, self.sources
        self.pieces, self.sources = [], []
        text = "".join(pieces)
        if not text or text.isspace():
            return
        in_main = self.inside_main()
        if self.open_count["header"] and not in_main and not self.heading:
            return
        kind: BlockKind = "heading" if self.heading else self.kind
        if kind == "paragraph" and self.open_count["blockquote"]:
            kind = "quote"
        starts, position = [], 0
        for piece in pieces:
            starts.append(position)
            position += len(piece)
        self.extract.blocks.append(Block(kind, self.heading, text, starts, sources))
        self.in_main.append(in_main)

    def finish(self) -> Extract:
        """Keep the main content alone, where the page says which it is."""
        blocks = self.extract.blocks
        total = sum(len(block.text) for block in blocks)
        main = sum(len(block.text) for block, inside in zip(blocks, self.in_main, strict=True) if inside)
        if main and main >= total * _SMALLEST_MAIN_SHARE:
            self.extract.blocks = [
                block
                for block, inside in zip(blocks, self.in_main, strict=True)
                if inside or (block.kind == "heading" and block.level == 1)
            ]
            links = zip(self.extract.links, self.link_in_main, strict=True)
            self.extract.links = [link for link, inside in links if inside]
        return self.extract
