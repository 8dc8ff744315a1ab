"""Plain text to blocks: paragraphs are set apart by empty lines."""

import re

from contentworker.editorial.parsing.blocks import Block, BlockKind, Extract

__all__ = ["read_text"]

_PARAGRAPH = re.compile(r"\S[^\n]*(?:\n(?![^\S\n]*(?:\n|\Z))[^\n]*)*")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*•‣\u2013]|\d{1,3}[.)])[ \t]+(?=\S)")
_LONGEST_HEADING_WORDS = 12
_ENDS_SENTENCE = tuple(".!:;,…。\uff01।”\"'")


def read_text(source: str, start: int = 0) -> Extract:
    """Read any string as plain text; a short line of its own without a full stop is a heading."""
    extract = Extract()
    for match in _PARAGRAPH.finditer(source, start):
        text = match[0]
        items = _items(text)
        if items:
            extract.lists += 1
            for start, end in items:
                _append(extract, "item", source, match.start() + start, match.start() + end)
        elif _is_heading(text):
            level = 2 if any(block.kind == "heading" for block in extract.blocks) else 1
            _append(extract, "heading", source, match.start(), match.end(), level)
        else:
            _append(extract, "paragraph", source, match.start(), match.end())
    _demote_headings_without_text(extract)
    return extract


def _items(text: str) -> list[tuple[int, int]]:
    """The items of a paragraph of which every line begins with a list mark, or none."""
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


def _append(extract: Extract, kind: BlockKind, source: str, start: int, end: int, level: int = 0) -> None:
    text = source[start:end]
    if text and not text.isspace():
        extract.blocks.append(Block(kind, level, text, [0], [(start, end)]))


def _demote_headings_without_text(extract: Extract) -> None:
    """A heading is followed by the text it heads; one single line is a very short article instead."""
    blocks = extract.blocks
    if not any(block.kind != "heading" for block in blocks):
        for block in blocks:
            block.kind, block.level = "paragraph", 0
