"""One article, parsed: headings, passages and sentences, each with its place in the source."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from contentworker.editorial import MediaType
from contentworker.editorial.parsing.blocks import Block, BlockKind, Extract, Span
from contentworker.editorial.parsing.html import read_html
from contentworker.editorial.parsing.language import UNKNOWN, detect_language, normalize_tag
from contentworker.editorial.parsing.markdown import read_markdown
from contentworker.editorial.parsing.metadata import Link, Metadata, read_links, read_metadata
from contentworker.editorial.parsing.plaintext import read_text
from contentworker.editorial.parsing.quotations import Quotation, find_quotations
from contentworker.editorial.parsing.sentences import MAX_PASSAGE_WORDS, read_words, sentence_spans, tokenize
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ContentError

__all__ = [
    "Document",
    "Heading",
    "Link",
    "Metadata",
    "Passage",
    "Quotation",
    "Sentence",
    "Span",
    "parse",
]


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


class Passage(NamedTuple):
    """At most 120 words of one section, whole sentences, with the headings above them, outermost first."""

    path: tuple[Heading, ...]
    start: int
    end: int
    sentences: tuple[Sentence, ...]
    words: int


@dataclass(frozen=True, slots=True)
class Document:
    """An article as the editorial code sees it. All offsets are characters of `source`.

    `language` is an ISO 639 code or `und`; `words` counts the running text and leaves out headings.
    """

    source: str
    media_type: MediaType
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


def parse(source: str | bytes, *, media_type: MediaType | None = None, settings: ContentSettings) -> Document:
    """Parse an article; `media_type=None` detects what it is.

    Raises ContentError if the source is no string, no valid UTF-8, binary, or larger than
    `settings.max_bytes`. Anything else is parsed, however malformed; empty text gives an empty Document.
    """
    text = _checked_text(source, settings)
    if media_type is None:
        media_type = detect_media_type(text)
    reader = _READERS.get(media_type)
    if reader is None:
        raise ContentError("media_type", f"expected html, markdown or text, got {str(media_type)[:40]!r}")
    return _Assembly(text, media_type, reader(text)).document()


_READERS = {"html": read_html, "markdown": read_markdown, "text": read_text}


def _checked_text(source: object, settings: ContentSettings) -> str:
    if isinstance(source, bytes):
        encoded, text = source, None
    elif isinstance(source, str):
        text = source
        try:
            encoded = source.encode()
        except UnicodeEncodeError as error:
            expected = f"expected Unicode text, got half a surrogate at {error.start}"
            raise ContentError("content", expected) from None
    else:
        raise ContentError("content", f"expected a string or UTF-8 bytes, got {type(source).__name__}")
    if len(encoded) > settings.max_bytes:
        limit, size = (f"{number:_}".replace("_", " ") for number in (settings.max_bytes, len(encoded)))
        raise ContentError("content", f"expected at most {limit} bytes, got {size}")
    _refuse_binary(encoded)
    if text is None:
        try:
            text = encoded.decode()
        except UnicodeDecodeError as error:
            expected = f"expected UTF-8, got an invalid byte at offset {error.start}"
            raise ContentError("content", expected) from None
    return text


_CONTROLS = bytes([*range(1, 9), *range(14, 27), *range(28, 32), 127])
_LARGEST_CONTROL_SHARE = 0.02


def _refuse_binary(encoded: bytes) -> None:
    position = encoded.find(b"\0")
    if position >= 0:
        raise ContentError("content", f"expected text, got binary data (a NUL at byte {position})")
    controls = len(encoded) - len(encoded.translate(None, _CONTROLS))
    if controls > 1 and controls > _LARGEST_CONTROL_SHARE * len(encoded):
        raise ContentError("content", f"expected text, got binary data ({controls} control characters)")


_HTML_START = re.compile(r"\s*(?:<!doctype\s+html|<!--|<\?xml|<[a-z][a-z0-9-]*[\s/>])", re.IGNORECASE)
_HTML_BLOCK = re.compile(
    r"<(?:html|head|body|main|article|section|div|p|h[1-6]|ul|ol|table)\b[^<>]*>", re.IGNORECASE
)
_MARKDOWN_SIGN = re.compile(
    r"^(?:---[ \t]*\r?\n(?=[A-Za-z_]+:)|\#{1,6}[ \t]+\S|```|~~~|>[ \t]+\S|\|.+\|[ \t]*\r?$"
    r"|[^\n]+\n(?:===+|---+)[ \t]*\r?$)"
    r"|\]\((?:https?:|/|\#|\./)|\*\*[^*\s][^*\n]*\*\*",
    re.MULTILINE,
)  # fmt: skip
_DETECTION_CHARACTERS = 50_000


def detect_media_type(text: str) -> MediaType:
    """HTML if it starts with a tag or has block tags, Markdown if it has marks of it, otherwise text."""
    head = text.lstrip("\ufeff")[:_DETECTION_CHARACTERS]
    if _HTML_START.match(head):
        return "html"
    if _MARKDOWN_SIGN.search(head):
        return "markdown"
    return "html" if len(_HTML_BLOCK.findall(head)) > 1 else "text"


class _Assembly:
    """Blocks in reading order to a Document: sentences, then passages, then what needs both."""

    def __init__(self, source: str, media_type: MediaType, extract: Extract) -> None:
        self.source = source
        self.media_type = media_type
        self.extract = extract
        self.words = 0
        self.headings: list[Heading] = []
        self.sentences: list[Sentence] = []
        self.passages: list[Passage] = []
        self.path: tuple[Heading, ...] = ()
        self.pending: list[Sentence] = []
        self.pending_words = 0

    def document(self) -> Document:
        for block in self.extract.blocks:
            if block.kind == "heading":
                self.heading(block)
            else:
                self.paragraph(block)
        self.end_passage()
        title = self.extract.title
        if title is None and self.headings:
            first = min(self.headings, key=lambda heading: (heading.level, heading.start))
            title = Span(first.text, first.start, first.end)
        return Document(
            source=self.source,
            media_type=self.media_type,
            language=self.language(),
            title=title,
            headings=tuple(self.headings),
            passages=tuple(self.passages),
            sentences=tuple(self.sentences),
            links=read_links(self.extract),
            quotations=find_quotations(self.extract.blocks),
            metadata=read_metadata(self.extract),
            lists=self.extract.lists,
            tables=self.extract.tables,
            blockquotes=self.extract.blockquotes,
            words=self.words,
        )

    def heading(self, block: Block) -> None:
        self.end_passage()
        text = " ".join(block.text.split())
        start, end = _trimmed_source_span(block)
        heading = Heading(block.level, text, start, end, tuple(tokenize(text)), self.words)
        self.headings.append(heading)
        self.path = (*(above for above in self.path if above.level < block.level), heading)

    def paragraph(self, block: Block) -> None:
        added = self.read_sentences(block)
        words = sum([sentence.words for sentence in added])
        if self.pending_words + words > MAX_PASSAGE_WORDS:
            self.end_passage()
        for sentence in added:
            if self.pending_words + sentence.words > MAX_PASSAGE_WORDS:
                self.end_passage()
            self.pending.append(sentence)
            self.pending_words += sentence.words
        self.sentences += added

    def read_sentences(self, block: Block) -> list[Sentence]:
        found = []
        for start, end in sentence_spans(block.text):
            text = block.text[start:end]
            tokens, words = read_words(text)
            if words <= MAX_PASSAGE_WORDS:
                found.append(self.sentence(block, start, end, text, tokens, words))
            else:
                found += [self.sentence(block, *piece) for piece in _cut(block.text, start, end)]
        return found

    def sentence(
        self, block: Block, start: int, end: int, text: str, tokens: list[str], words: int
    ) -> Sentence:
        place = block.source_span(start, end)
        words_before, self.words = self.words, self.words + words
        return Sentence(" ".join(text.split()), *place, block.kind, tuple(tokens), words, words_before)

    def end_passage(self) -> None:
        if self.pending:
            start, end = self.pending[0].start, self.pending[-1].end
            self.passages.append(Passage(self.path, start, end, tuple(self.pending), self.pending_words))
        self.pending, self.pending_words = [], 0

    def language(self) -> str:
        """What the text shows itself to be, else what the page declares."""
        sample = self.sentences[:_LANGUAGE_SENTENCES]
        text = " ".join(sentence.text for sentence in sample)
        read = detect_language(text, chain.from_iterable(sentence.tokens for sentence in sample))
        declared = normalize_tag(self.extract.language)
        if declared == UNKNOWN:
            return read
        # Templates often declare English whatever the text is; a few words are no proof against them.
        return read if read != UNKNOWN and self.words >= _WORDS_TO_OVERRULE else declared


_WORDS_TO_OVERRULE = 40
_LANGUAGE_SENTENCES = 40


def _trimmed_source_span(block: Block) -> tuple[int, int]:
    text = block.text
    start = len(text) - len(text.lstrip())
    return block.source_span(start, len(text.rstrip()))


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int, str, list[str], int]]:
    """Pieces of at most 120 words of a run of words without a full stop: a list, a log, a title page."""
    first, last, words = start, start, 0
    for chunk in _CHUNK.finditer(text, start, end):
        count = read_words(chunk[0])[1]
        if last > first and words + count > MAX_PASSAGE_WORDS:
            yield first, last, text[first:last], *read_words(text[first:last])
            first, words = chunk.start(), 0
        last = chunk.end()
        words += count
    yield first, last, text[first:last], *read_words(text[first:last])


# 240 characters hold at most 120 words in any script, so that a piece can always end after a chunk.
_CHUNK = re.compile(r"\S{1,240}")
