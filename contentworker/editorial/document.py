"""One article, parsed: headings, passages and sentences, each with its place in the source."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from itertools import takewhile
from typing import NamedTuple

from contentworker.editorial import ArticleState, MediaType, Scope
from contentworker.editorial.parsing.article import find_article, is_whole_page
from contentworker.editorial.parsing.blocks import Block, BlockKind, Extract, Link, Reason, Span
from contentworker.editorial.parsing.cleaning import cleaned, is_label
from contentworker.editorial.parsing.encoding import EncodingSource
from contentworker.editorial.parsing.html import read_html
from contentworker.editorial.parsing.language import UNKNOWN, detect_language, normalize_tag
from contentworker.editorial.parsing.markdown import read_markdown
from contentworker.editorial.parsing.metadata import Metadata, read_metadata
from contentworker.editorial.parsing.plaintext import read_text
from contentworker.editorial.parsing.quotations import Quotation, find_quotations
from contentworker.editorial.parsing.sentences import MAX_PASSAGE_WORDS, read_words, sentence_spans, tokenize
from contentworker.editorial.parsing.sources import Source, checked_source, detect_media_type
from contentworker.editorial.ranges import Ranges
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ContentError

__all__ = ["Document", "Heading", "Link", "Metadata", "Passage", "Quotation", "Sentence", "Span", "parse"]


class Heading(NamedTuple):
    """A heading. `start` and `end` are offsets into the source; `words_before` counts running text."""

    level: int
    text: str
    start: int
    end: int
    tokens: tuple[str, ...]
    words_before: int


class Sentence(NamedTuple):
    """A sentence, list item or table cell. `source[start:end]` is the sentence, with the markup inside it."""

    text: str
    start: int
    end: int
    kind: BlockKind
    tokens: tuple[str, ...]
    words: int
    words_before: int


class Excluded(NamedTuple):
    """A part of the source that is no text of the article, and why. `text` is how it begins."""

    text: str
    start: int
    end: int
    reason: Reason


class Passage(NamedTuple):
    """At most 120 words of one section, whole sentences, with the headings above them, outermost first."""

    path: tuple[Heading, ...]
    start: int
    end: int
    sentences: tuple[Sentence, ...]
    words: int


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed article. All offsets are characters of `source`.

    `language` is an ISO 639 code or `und`; `words` counts the running text and leaves out headings.

    `state` says whether the source holds an article, and only one. `is_certain` is false if it does not, or
    if it is not clear which part of a page it is. `excluded` is all that was left out, in order.

    `encoding` is Python's name of the encoding in which bytes were read, `encoding_source` how it was found;
    both are None if the source was text.
    """

    source: str
    media_type: MediaType
    scope: Scope
    state: ArticleState
    is_certain: bool
    encoding: str | None
    encoding_source: EncodingSource | None
    language: str
    title: Span | None
    headings: tuple[Heading, ...]
    passages: tuple[Passage, ...]
    sentences: tuple[Sentence, ...]
    links: tuple[Link, ...]
    quotations: tuple[Quotation, ...]
    metadata: Metadata
    lists: int
    tables: int
    blockquotes: int
    words: int
    excluded: tuple[Excluded, ...] = ()


def parse(
    source: str | bytes,
    *,
    media_type: MediaType | None = None,
    scope: Scope | None = None,
    encoding: str | None = None,
    settings: ContentSettings,
) -> Document:
    """Parse an article.

    Anything that is text is parsed, however malformed; empty text gives an empty Document.

    Args:
        source: The article. A NUL in it is read as U+FFFD; bytes are decoded as browsers do.
        media_type: Its format; None detects it.
        scope: `whole_page`: find the article in a site's page. `fragment`: all of the source is the article,
            as a CMS has it, and nothing of it is lost. None: `settings.scope`. Only for HTML.
        encoding: The encoding that a server declared for bytes; a byte order mark overrides it.
        settings: The limits.

    Raises:
        ContentError: not a string or bytes, binary, larger than `settings.max_bytes`, or an argument that
            is none of those allowed.
    """
    read = checked_source(source, encoding, settings.max_bytes)
    media_type = media_type or detect_media_type(read.text)
    if media_type not in ("html", "markdown", "text"):
        raise ContentError("media_type", f"expected html, markdown or text, got {str(media_type)[:40]!r}")
    if scope not in ("whole_page", "fragment", None):
        raise ContentError("scope", f"expected whole_page or fragment, got {str(scope)[:40]!r}")
    if media_type == "html":
        scope = scope or (None if settings.scope == "auto" else settings.scope)
        scope = scope or ("whole_page" if is_whole_page(read.text) else "fragment")
        extract = read_html(read.text, whole_page=scope == "whole_page")
    else:
        scope = "fragment"
        extract = read_markdown(read.text) if media_type == "markdown" else read_text(read.text)
    return _Assembly(read, media_type, scope, extract).document()


class _Assembly:
    """Makes a Document of blocks in reading order: sentences, then passages, then what needs both."""

    def __init__(self, read: Source, media_type: MediaType, scope: Scope, extract: Extract) -> None:
        self.read = read
        self.source = read.text
        self.media_type = media_type
        self.scope = scope
        self.extract = extract
        self.article = find_article(extract, scope)
        self.blocks: list[Block] = []
        self.others: list[tuple[Block, Reason]] = []
        self.holding: set[int] | None = None
        self.words = 0
        self.headings: list[Heading] = []
        self.sentences: list[Sentence] = []
        self.passages: list[Passage] = []
        self.path: tuple[Heading, ...] = ()
        self.pending: list[Sentence] = []
        self.pending_words = 0

    def document(self) -> Document:
        reasons = zip(self.extract.blocks, self.article.reasons, strict=True)
        for index, (block, reason) in enumerate(reasons):
            if reason is not None:
                self.others.append((block, reason))
            elif (
                is_label(block, index, self.extract.tree)
                or (clean := cleaned(block, self.media_type)) is None
            ):
                self.others.append((block, "markup"))
            else:
                self.blocks.append(clean)
        self.language = self.read_language()
        for block in self.blocks:
            if block.kind == "heading":
                self.heading(block)
            else:
                self.paragraph(block)
        self.end_passage()
        near = self.nearby(_is_own)
        metadata = read_metadata(self.extract, self.blocks, near, self.nearby(lambda _: True))
        title = (
            Span(metadata.title.text, metadata.title.start, metadata.title.end) if metadata.title else None
        )
        if title is None and self.headings:
            first = min(self.headings, key=lambda heading: (heading.level, heading.start))
            title = Span(first.text, first.start, first.end)
        return Document(
            source=self.source,
            media_type=self.media_type,
            scope=self.scope,
            state=self.article.state,
            is_certain=self.article.is_certain,
            encoding=self.read.encoding,
            encoding_source=self.read.encoding_source,
            language=self.language,
            title=title,
            headings=tuple(self.headings),
            passages=tuple(self.passages),
            sentences=tuple(self.sentences),
            links=tuple(self.links()),
            quotations=find_quotations(self.blocks),
            metadata=metadata,
            lists=self.count("ul", "ol"),
            tables=self.count("table"),
            blockquotes=self.count("blockquote"),
            words=self.words,
            excluded=tuple(self.excluded()),
        )

    def count(self, *tags: str) -> int:
        """Containers of these tags that hold text of the article; all of the source without a tree."""
        tree = self.extract.tree
        if tree is None:
            return {"ul": self.extract.lists, "table": self.extract.tables}.get(
                tags[0], self.extract.blockquotes
            )
        if self.holding is None:
            self.holding = tree.holding(
                index for index, reason in enumerate(self.article.reasons) if not reason
            )
        return sum(1 for node in self.holding if tree.tags[node] in tags)

    def links(self) -> list[Link]:
        """The links of the article: those that touch none of the excluded blocks and stand among its own."""
        if not self.others:
            return self.extract.links
        own = Ranges(Span("", *_extent(block)) for block in self.blocks)
        return [
            link for link in self.extract.links if link.start < link.end and own.meet(link.start, link.end)
        ]

    def nearby(self, is_own: Callable[[tuple[Block, Reason]], bool]) -> list[Block]:
        """Excluded blocks beside the beginning and the end of the article, up to one that is not its own."""
        if not self.blocks or not self.others:
            return []
        start, end = self.blocks[0].sources[0][0], self.blocks[-1].sources[-1][1]
        starts = [block.sources[0][0] for block, _ in self.others]
        first, last = bisect_left(starts, start), bisect_left(starts, end)
        before = reversed(self.others[max(0, first - _NEARBY) : first])
        after = self.others[last : last + _NEARBY]
        near = [
            *takewhile(is_own, before),
            *filter(is_own, self.others[first:last]),
            *takewhile(is_own, after),
        ]
        return [block for block, _ in near]

    def excluded(self) -> list[Excluded]:
        parts = [
            Excluded(" ".join(block.text.split()), *_extent(block), reason) for block, reason in self.others
        ]
        for reason, start, end in self.extract.skipped:
            parts.append(
                Excluded(_visible(self.source[start : min(end, start + _SHOWN)]), start, end, reason)
            )
        return sorted(parts, key=lambda part: part.start)

    def heading(self, block: Block) -> None:
        self.end_passage()
        text = " ".join(block.text.split())
        start = len(block.text) - len(block.text.lstrip())
        place = block.source_span(start, len(block.text.rstrip()))
        heading = Heading(block.level, text, *place, tuple(tokenize(text)), self.words)
        self.headings.append(heading)
        self.path = (*(above for above in self.path if above.level < block.level), heading)

    def paragraph(self, block: Block) -> None:
        added = list(self.read_sentences(block))
        words = sum([sentence.words for sentence in added])
        if self.pending_words + words > MAX_PASSAGE_WORDS:
            self.end_passage()
        for sentence in added:
            if self.pending_words + sentence.words > MAX_PASSAGE_WORDS:
                self.end_passage()
            self.pending.append(sentence)
            self.pending_words += sentence.words
        self.sentences += added

    def read_sentences(self, block: Block) -> Iterator[Sentence]:
        for start, end in sentence_spans(block.text, self.language):
            for first, last, tokens, words in _pieces(block.text, start, end):
                text = " ".join(block.text[first:last].split())
                place = block.source_span(first, last)
                yield Sentence(text, *place, block.kind, tuple(tokens), words, self.words)
                self.words += words

    def end_passage(self) -> None:
        if self.pending:
            start, end = self.pending[0].start, self.pending[-1].end
            self.passages.append(Passage(self.path, start, end, tuple(self.pending), self.pending_words))
        self.pending, self.pending_words = [], 0

    def read_language(self) -> str:
        """The language that the words of the text show, else the one that the page declares."""
        text = ""
        for block in self.blocks:
            if block.kind != "heading":
                text += " ".join(block.text[:_LANGUAGE_CHARACTERS].split()) + " "
            if len(text) > _LANGUAGE_CHARACTERS:
                break
        tokens, words = read_words(text)
        read = detect_language(text, tokens)
        declared = normalize_tag(self.extract.language)
        if declared == UNKNOWN:
            return read
        # Templates often declare English whatever the text is. A few words are too little to overrule them.
        return read if read != UNKNOWN and words >= _WORDS_TO_OVERRULE else declared


_WORDS_TO_OVERRULE = 40
_LANGUAGE_CHARACTERS = 5_000
_NEARBY = 20
_LONGEST_BUTTON = 10


def _is_own(other: tuple[Block, Reason]) -> bool:
    """Other stories and comments have authors and dates of their own; a button is no story."""
    block, reason = other
    return reason not in ("related", "comments") or (
        reason == "related" and len(block.text.strip()) <= _LONGEST_BUTTON
    )


_SHOWN = 2_000
_MARKUP = re.compile(r"<!--.*?-->|<(script|style)\b.*?</\1>|<[^<>]*>", re.DOTALL | re.IGNORECASE)


def _extent(block: Block) -> tuple[int, int]:
    return block.sources[0][0], block.sources[-1][1]


def _visible(source: str) -> str:
    return " ".join(unescape(_MARKUP.sub(" ", source)).split())


# 240 characters hold at most 120 words in any script, so that a piece can always end after a chunk.
_CHUNK = re.compile(r"\S{1,240}")


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int, list[str], int]]:
    """The sentence with its tokens and words; a list or a log in pieces of at most 120 words."""
    tokens, words = read_words(text[start:end])
    if words <= MAX_PASSAGE_WORDS:
        yield start, end, tokens, words
        return
    first, last, words = start, start, 0
    for chunk in _CHUNK.finditer(text, start, end):
        count = read_words(chunk[0])[1]
        if last > first and words + count > MAX_PASSAGE_WORDS:
            yield first, last, *read_words(text[first:last])
            first, words = chunk.start(), 0
        last = chunk.end()
        words += count
    yield first, last, *read_words(text[first:last])
