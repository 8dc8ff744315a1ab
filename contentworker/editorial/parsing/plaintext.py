"""Plain text to blocks: empty lines separate paragraphs."""

import re
from collections.abc import Iterator

from contentworker.editorial.parsing.blocks import Block, BlockKind, Extract, Skipped
from contentworker.editorial.parsing.front_matter import read_front_matter

__all__ = ["is_subtitles", "read_text"]

_PARAGRAPH = re.compile(r"\S[^\n]*(?:\n(?![^\S\n]*(?:\n|\Z))[^\n]*)*")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*•‣\u2013]|\d{1,3}[.)])[ \t]+(?=\S)")
_LONGEST_HEADING_WORDS = 12
# SubRip and WebVTT: "00:00:01,000 --> 00:00:04,000". A transcript: "0:15" or "[00:01:15]" in its own line.
_CUE_TIME = re.compile(
    r"^[ \t]*(?:(?:\d{1,3}:)?\d\d:\d\d[.,]\d{3}[ \t]+-->[^\n]*|\[?(?:\d{1,2}:)?\d{1,2}:\d\d\]?)[ \t]*\r?$",
    re.MULTILINE,
)
_CUE_MARKUP = re.compile(r"</?[a-zA-Z][^<>\n]{0,60}>|\{\\[^{}\n]{0,30}\}")
_FEWEST_CUES = 3
_SUBTITLE_CHARACTERS = 5_000
_LONGEST_CUE_PARAGRAPH = 2_000
_ENDS_SENTENCE = tuple(".!:;,…。\uff01।”\"'")


def read_text(source: str, start: int = 0) -> Extract:
    """Read any string as plain text; a short line of its own without a full stop is a heading."""
    extract = Extract()
    start = start or read_front_matter(source, extract)
    if is_subtitles(source):
        _read_subtitles(source, start, extract)
        return extract
    level = 1
    for match in _PARAGRAPH.finditer(source, start):
        text = match[0]
        items = _items(text)
        if items:
            extract.lists += 1
            for begin, end in items:
                _append(extract, "item", source, match.start() + begin, match.start() + end)
        elif _is_heading(text):
            _append(extract, "heading", source, match.start(), match.end(), level=level)
            level = 2
        else:
            _append(extract, "paragraph", source, match.start(), match.end())
    if all(block.kind == "heading" for block in extract.blocks):
        # A heading is followed by the text it heads: these lines are a very short article instead.
        for block in extract.blocks:
            block.kind, block.level = "paragraph", 0
    return extract


def is_subtitles(source: str) -> bool:
    """Whether a text is of subtitles or a transcript: at least three times in lines of their own."""
    times = _CUE_TIME.finditer(source, 0, min(len(source), _SUBTITLE_CHARACTERS))
    return sum(1 for _ in times) >= _FEWEST_CUES


def _read_subtitles(source: str, start: int, extract: Extract) -> None:
    """Join the lines of the cues to paragraphs, without numbers, times and tags."""
    block = Block("paragraph")
    first = _CUE_TIME.search(source, start)
    position = start if first is None else first.start()
    if source[start:position].strip():
        extract.skipped.append(Skipped("markup", start, position))
    for line in re.compile(r"[^\n]+").finditer(source, position):
        begin, end = line.span()
        text = line[0].strip()
        if not text or text.isdecimal() or _CUE_TIME.match(line[0]):
            continue
        if block.sources:
            _add(block, " ", block.sources[-1][1], begin)
        for piece in _outside(_CUE_MARKUP, source, begin, end):
            _add(block, source[slice(*piece)], *piece)
        if text.endswith(_ENDS_SENTENCE[:3]) or len(block.text) > _LONGEST_CUE_PARAGRAPH:
            extract.blocks.append(block)
            block = Block("paragraph")
    if block.text and not block.text.isspace():
        extract.blocks.append(block)


def _outside(marks: re.Pattern[str], source: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for mark in marks.finditer(source, start, end):
        if start < mark.start():
            yield start, mark.start()
        start = mark.end()
    if start < end:
        yield start, end


def _add(block: Block, text: str, start: int, end: int) -> None:
    block.text_starts.append(len(block.text))
    block.sources.append((start, end))
    block.text += text


def _items(text: str) -> list[tuple[int, int]]:
    """The items of a paragraph if each of its lines begins with a list mark; else none."""
    items, position = [], 0
    for line in text.splitlines(keepends=True):
        mark = _LIST_ITEM.match(line)
        if mark is None:
            return []
        items.append((position + mark.end(), position + len(line)))
        position += len(line)
    return items if len(items) > 1 else []


def _is_heading(text: str) -> bool:
    line = text.strip()
    return (
        "\n" not in line and not line.endswith(_ENDS_SENTENCE) and len(line.split()) <= _LONGEST_HEADING_WORDS
    )


def _append(extract: Extract, kind: BlockKind, source: str, start: int, end: int, *, level: int = 0) -> None:
    text = source[start:end]
    if text and not text.isspace():
        extract.blocks.append(Block(kind, level, text, [0], [(start, end)]))
