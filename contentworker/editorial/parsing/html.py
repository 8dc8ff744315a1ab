"""HTML to blocks, in one forward pass over the source.

A tree builder would lose the offsets, which the place of an answer needs. So this module reads tags as the
tokenisation section of the HTML standard does, and keeps only a stack of open containers. Its work is linear
in the source whatever the nesting, and nothing in it recurses.
"""

import re
from html import unescape
from itertools import accumulate

from contentworker.editorial.parsing.blocks import (
    Block,
    BlockKind,
    Extract,
    Link,
    Reason,
    Skipped,
    Span,
    domain_of,
)
from contentworker.editorial.parsing.tree import Tree, hints

__all__ = ["read_html"]

_TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+)>""")
# After one tag that never closes, quotes are no longer trusted: trying again at each tag would be quadratic.
_TAG_WITHOUT_QUOTES = re.compile(r"<(/?)([a-zA-Z][^\s/>]*+)([^>]*+)>")
_ATTRIBUTE = re.compile(r"""([^\s=/>"']++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]++)))?""")
# html.unescape turns digits into an int, which refuses more than 4,300 of them: hence the bounds.
_ENTITY = re.compile(r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,8}|[A-Za-z][A-Za-z0-9]{0,40});?")

_RAW_TEXT = frozenset({"script", "style", "textarea", "title", "xmp", "noembed", "noframes", "iframe"})
# Never text of an article, and never looked into: containers, by the reason why they are left out.
_SKIPPED: dict[str, Reason] = {
    "nav": "navigation", "menu": "navigation", "pre": "code", "button": "control", "select": "control",
    "dialog": "control", "noscript": "embedded", "template": "embedded", "svg": "embedded",
    "object": "embedded",
}  # fmt: skip
_CONTAINERS = frozenset(
    {"main", "article", "section", "div", "header", "footer", "aside", "blockquote", "form", "ul", "ol", "dl",
     "table", "figure", "details"}
)  # fmt: skip
_BLOCKS = _CONTAINERS | _SKIPPED.keys() | frozenset(
    {"p", "li", "dt", "dd", "tr", "td", "th", "caption", "figcaption", "thead", "tbody", "tfoot", "summary",
     "address", "hr", "center", "fieldset", "legend", "option", "optgroup", "head", "body", "search",
     "hgroup"}
)  # fmt: skip
_STACKED = _CONTAINERS | _SKIPPED.keys()
_ACTED_ON_WHILE_SKIPPING = _STACKED | _RAW_TEXT
# To skip a menu quickly: whatever cannot end it, which is text, comments, tags without effect, and containers
# with nothing else inside. Tags in capitals are rare; the reader takes them one by one.
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
_WITHOUT_CONTENT = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
     "wbr"}
)  # fmt: skip
_ENDED_BY_THE_NEXT = frozenset({"p", "li", "dt", "dd", "tr", "td", "th", "option"})
# Pages that hide all of themselves show it by a script.
_NEVER_HIDDEN = frozenset({"html", "head", "body", "main", "article"})
_ASCII_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_INVISIBLE = " \t\r\n\f\u00a0\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_COMMENT_MARKS = frozenset("!?/")
_KINDS: dict[str, BlockKind] = {"li": "item", "dt": "item", "dd": "item", "td": "cell", "th": "cell"}
_ENDS_HEADING = frozenset({"p", "ul", "ol", "dl", "table", "section", "article", "main", "blockquote"})
_REASONS_BY_ROLE: dict[str, Reason] = {"navigation": "navigation", "search": "control", "menu": "navigation"}
_EMPTY_LINES = re.compile(r"\n[ \t\r]*\n\s*")
_MARKUP = re.compile(r"<!--.*?-->|<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.DOTALL)
_MOST_WORDS_WITHOUT_ARTICLE = 100
"""Words around a hidden article: a menu, a footer."""
_FEWEST_HIDDEN_WORDS = 100
_LONGEST_BYLINE = 600
_MOST_BYLINES = 30
_HREF = re.compile(r"""(?<![\w-])href\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]++))""", re.IGNORECASE)


def read_html(source: str, *, whole_page: bool = True) -> Extract:
    """Read any string as HTML. Malformed markup is read as far as it goes and never raises.

    Of a whole page, menus are left out. Of a fragment only what no reader sees is, and code. A page that
    hides all of its text shows it by a script, and is read as if it did.
    """
    reader = _Reader(source, whole_page=whole_page)
    reader.run()
    if whole_page and _hides_all(source, reader.extract):
        reader = _Reader(source, whole_page=whole_page, shows_hidden=True)
        reader.run()
    return reader.extract


def _hides_all(source: str, extract: Extract) -> bool:
    """Whether an article may be hidden, and none is shown."""
    hidden = [part for part in extract.skipped if part.reason == "hidden"]
    if not hidden or sum(len(block.text.split()) for block in extract.blocks) > _MOST_WORDS_WITHOUT_ARTICLE:
        return False
    words = (len(_MARKUP.sub(" ", source[part.start : part.end]).split()) for part in hidden)
    return any(number > _FEWEST_HIDDEN_WORDS for number in words)


def attributes(raw: str) -> dict[str, str]:
    """The attributes of a tag, names in lower case, values decoded; the first of equal names wins."""
    values: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(raw):
        values.setdefault(name.lower(), _decode(double or single or bare))
    return values


def _decode(text: str) -> str:
    return _ENTITY.sub(lambda match: unescape(match[0]), text) if "&" in text else text


def _is_telling(raw: str) -> bool:
    """Whether attributes may say that an inline element is hidden, a comment in Word, or the author."""
    return (
        "hidden" in raw
        or "none" in raw
        or "uthor" in raw
        or "yline" in raw
        or "omment" in raw
        or "msocom" in raw
    )


# Comments of reviewers, as Word saves them in HTML.
_REVIEW = re.compile(
    r"mso-element:\s*comment|[\s\"'=](?:MsoComment(?:Reference|Text|Subject)|msocom(?:anchor|txt|off))"
)


def _hidden_reason(name: str, raw: str, *, whole_page: bool, shows_hidden: bool) -> Reason | None:
    """Why the content of a tag is left out, as its attributes say."""
    if ("omment" in raw or "msocom" in raw) and _REVIEW.search(raw):
        return "comments"
    if ("hidden" not in raw and "role" not in raw and "none" not in raw) or name in _NEVER_HIDDEN:
        return None
    given = attributes(raw)
    style = given.get("style", "").replace(" ", "").lower()
    if not shows_hidden and (
        "hidden" in given
        or "display:none" in style
        or "visibility:hidden" in style
        or given.get("aria-hidden", "").strip().lower() == "true"
    ):
        return "hidden"
    return _REASONS_BY_ROLE.get(given.get("role", "").strip().lower()) if whole_page else None


class _Reader:
    def __init__(self, source: str, *, whole_page: bool, shows_hidden: bool = False) -> None:
        self.source = source
        self.whole_page = whole_page
        self.shows_hidden = shows_hidden
        self.extract = Extract(has_metadata=True)
        self.tree = self.extract.tree = Tree()
        self.stack: list[tuple[str, bool, int]] = []
        self.open_count: dict[str, int] = {}
        self.node = 0
        self.skipping = 0
        self.skipped_from: tuple[Reason, int] = ("hidden", 0)
        self.is_passing_over = True
        self.heading = 0
        self.kind: BlockKind = "paragraph"
        self.own: tuple[str, int] = ("", 0)
        self.pieces: list[str] = []
        self.sources: list[tuple[int, int]] = []
        self.link: tuple[str, int] | None = None
        self.link_characters = 0
        self.bylines: list[tuple[int, str, Span]] = []
        self.reviewed: int | None = None

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
            if (
                self.skipping
                and self.is_passing_over
                and match_tag is trusting
                and (passed := _PASSED_OVER.match(source, position))
            ):
                position = text_start = passed.end()
        end = len(source) if opening < 0 else opening
        if text_start < end and not self.skipping:
            self.text(text_start, end)
        self.flush()
        if self.skipping:
            self.end_skipping(end)
        self.extract.bylines = [
            (origin, span) for _, origin, span in sorted(self.bylines, key=lambda each: each[0])
        ]

    def comment_end(self, opening: int) -> int:
        if self.source.startswith("<!--", opening):
            end = self.source.find("-->", opening + 2)
            return len(self.source) if end < 0 else end + 3
        end = self.source.find(">", opening)
        return len(self.source) if end < 0 else end + 1

    def tag(self, match: re.Match[str]) -> int:
        """Act on one tag; return the position to read on from."""
        closing, name, raw = match.groups()
        name = name.lower()
        if self.skipping:
            if not self.is_passing_over:
                return self.tag_while_hidden(match, name)
            if name not in _ACTED_ON_WHILE_SKIPPING:
                return match.end()
        elif name not in _ACTED_ON:
            if raw and not closing and _is_telling(raw) and name not in _WITHOUT_CONTENT:
                self.byline(name, raw, match.end())
                self.hide(name, raw, match.start())
            return match.end()
        if closing:
            self.end_tag(name, match)
            return match.end()
        if name in _RAW_TEXT:
            return self.raw_text(name, match)
        if name in _BLOCKS:
            self.byline(name, raw, match.end())
            self.flush()
            if name in _ENDS_HEADING:
                self.heading = 0
            self.open_block(name, raw, match.start())
        elif level := _HEADINGS.get(name):
            self.flush()
            self.heading = level
            self.own = (name, hints(raw))
            self.hide(name, raw, match.start())
        elif name == "br":
            self.piece("\n", *match.span())
        else:
            self.inline(name, match)
        return match.end()

    def open_block(self, name: str, raw: str, start: int) -> None:
        self.kind = _KINDS.get(name, "paragraph")
        if name not in _STACKED:
            self.own = (name, hints(raw))
            if name not in _WITHOUT_CONTENT:
                self.hide(name, raw, start)
            return
        if name == "main":
            # No page has its main content in a menu: the menu was never closed.
            while self.skipping:
                self.close(self.stack[-1][0], start)
        self.own = ("", 0)
        reason = _SKIPPED.get(name)
        if reason == "navigation" and not self.whole_page:
            reason = None
        reason = reason or self.hidden_reason(name, raw)
        self.push(name, reason, start)
        if not self.skipping:
            self.node = self.tree.add(self.node, name, hints(raw), start)

    def hidden_reason(self, name: str, raw: str) -> Reason | None:
        if not raw:
            return None
        return _hidden_reason(name, raw, whole_page=self.whole_page, shows_hidden=self.shows_hidden)

    def hide(self, name: str, raw: str, start: int) -> None:
        """Skip an element that is not stacked otherwise, if it is hidden."""
        reason = self.hidden_reason(name, raw)
        if reason and not self.skipping:
            self.push(name, reason, start)
            self.is_passing_over = False

    def tag_while_hidden(self, match: re.Match[str], name: str) -> int:
        """Act on a tag inside of a hidden element that may lack its end tag: `p`, `li`, `span`."""
        closing = match[1]
        top = self.stack[-1][0]
        if name in _RAW_TEXT and not closing:
            return self.raw_text(name, match)
        if not closing:
            ended = (top == "p" and (name in _BLOCKS or name in _HEADINGS)) or (
                top == name and name in _ENDED_BY_THE_NEXT
            )
            if ended and self.stack[-1][1]:
                self.close(top, match.start())
                return self.tag(match)
            if name not in _WITHOUT_CONTENT:
                self.push(name, None, match.start())
        elif self.open_count.get(name):
            self.close(name, match.end() if name == top else match.start())
            if not self.skipping:
                return self.tag(match) if name != top else match.end()
        elif name in _BLOCKS or name in _HEADINGS:
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

    def end_tag(self, name: str, match: re.Match[str]) -> None:
        if name == "a":
            self.close_link(match.end())
        elif name in _HEADINGS or name in _BLOCKS:
            self.flush()
            if name in _HEADINGS:
                self.heading = 0
            else:
                self.kind = "paragraph"
            self.own = ("", 0)
            if self.open_count.get(name):
                self.close(name, match.end())

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
        end, is_end = self.source.find("<", start), _RAW_TEXT_ENDS[name].match
        while end >= 0 and not is_end(self.source, end):
            end = self.source.find("<", end + 1)
        end = end if end >= 0 else len(self.source)
        text = self.source[start:end]
        if name == "title" and self.extract.title is None and not self.open_count.get("svg"):
            clean = " ".join(_decode(text).split())
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
                target = _decode(href[1] or href[2] or href[3] or "").strip()
                self.link = (target, start)
                if target.startswith("#cmnt"):
                    self.review(target, name, start)
            self.byline(name, raw, end)
            self.hide(name, raw, start)
            return
        given = attributes(raw)
        if name == "html":
            self.extract.language = given.get("lang") or self.extract.language
        elif name == "meta":
            key = (
                given.get("name") or given.get("property") or given.get("itemprop") or given.get("http-equiv")
            )
            self.property((key or "").strip().lower(), given.get("content", ""), start, end)
        elif name == "link":
            relation = given.get("rel", "").lower().split()
            if "canonical" in relation:
                self.property("canonical", given.get("href", ""), start, end)
        elif name == "time":
            self.property(given.get("itemprop", "time").lower(), given.get("datetime", ""), start, end)

    def review(self, target: str, name: str, start: int) -> None:
        """Leave out a reviewer's comment, as Google Docs saves it in HTML, and the marks that lead to it."""
        self.link = None
        if target.startswith("#cmnt_ref"):
            self.reviewed = self.node
        elif not self.skipping:
            self.push(name, "comments", start)
            self.is_passing_over = False

    def byline(self, name: str, raw: str, start: int) -> None:
        """Note the content of an element that says it holds the author."""
        if ("uthor" not in raw and "yline" not in raw) or self.skipping or len(self.bylines) >= _MOST_BYLINES:
            return
        given = attributes(raw)
        classes = f"{given.get('class', '')} {given.get('id', '')}".lower()
        if "author" in given.get("rel", "").lower().split():
            rank, origin = 0, "rel=author"
        elif "author" in given.get("itemprop", "").lower().split():
            rank, origin = 1, "itemprop=author"
        elif ("author" in classes or "byline" in classes) and "comment" not in classes:
            rank, origin = 2, "class"
        else:
            return
        end = self.source.find(f"</{name}", start, start + _LONGEST_BYLINE)
        text = " ".join(_decode(_MARKUP.sub(" ", self.source[start:end])).split()) if end > start else ""
        if text:
            self.bylines.append((rank, origin, Span(text, start, end)))

    def property(self, key: str, value: str, start: int, end: int) -> None:
        value = " ".join(value.split())
        if key and value:
            self.extract.properties.append((key, Span(value, start, end)))

    def close_link(self, end: int) -> None:
        if self.link is not None:
            target, start = self.link
            self.extract.links.append(Link(target, domain_of(target), start, end))
            self.link = None

    def text(self, start: int, end: int) -> None:
        text = self.source[start:end]
        if self.link is not None:
            self.link_characters += end - start
        if not self.whole_page and not self.own[0] and "\n" in text:
            # WordPress keeps its classic posts without tags for paragraphs: an empty line ends one.
            begin = start
            for blank in _EMPTY_LINES.finditer(self.source, start, end):
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
        for entity in _ENTITY.finditer(text):
            decoded = unescape(entity[0])
            if decoded != entity[0]:
                begin, stop = entity.span()
                self.piece(text[position:begin], start + position, start + begin)
                self.piece(decoded, start + begin, start + stop)
                position = stop
        self.piece(text[position:], start + position, end)

    def piece(self, text: str, start: int, end: int) -> None:
        if text:
            self.pieces.append(text)
            self.sources.append((start, end))

    def flush(self) -> None:
        """End the current block: the text since the last one becomes a block."""
        if not self.pieces:
            return
        pieces, sources, linked = self.pieces, self.sources, self.link_characters
        self.pieces, self.sources, self.link_characters = [], [], 0
        text = pieces[0] if len(pieces) == 1 else "".join(pieces)
        if text.isspace() or not text.strip(_INVISIBLE):
            return
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
