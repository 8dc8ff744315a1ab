"""Quotations, and whether the text says who is quoted."""

import re
from typing import NamedTuple

from contentworker.editorial.parsing.blocks import Block

__all__ = ["Quotation", "find_quotations"]


class Quotation(NamedTuple):
    """A quoted passage of at least five words; `attributed` is True if its source is named next to it."""

    text: str
    start: int
    end: int
    attributed: bool


_QUOTED = re.compile(
    r"“([^“”]{20,600})”|„([^„“”]{20,600})[“”]|«([^«»]{20,600})»|(?<!\w)\"([^\"\n]{20,600})\"(?!\w)"
)
_MARKS = frozenset("“„«")
_SMALLEST_QUOTATION_WORDS = 5
# A name is told by its capital, which German gives to every noun: there the verb has to carry it.
_ATTRIBUTION = re.compile(
    r"\b(?:said|says|told|wrote|writes|according to|argue[sd]?|explain(?:s|ed)|note[sd]|state[sd]"
    r"|report(?:s|ed)"
    r"|warn(?:s|ed)|conclude[sd]|found|puts? it|in the words of|sagt[e]?|erklärt[e]?|schr(?:ieb"
    r"|eibt)|laut|betont[e]?"
    r"|dijo|dice|afirm(?:a|ó)|según|explic(?:a|ó)|escrib(?:e|ió)|señal(?:a|ó)|selon|écri[vt]"
    r"|a déclaré|explique)\b",
    re.IGNORECASE,
)
_DASH_AND_NAME = re.compile(r"(?:—|\u2013|--|\s-)\s*[^\W\d_a-z]\w+")
_REACH_CHARACTERS = 120


def find_quotations(blocks: list[Block]) -> tuple[Quotation, ...]:
    """Quotations in order: text in quotation marks, and block quotes."""
    found: list[Quotation] = []
    for index, block in enumerate(blocks):
        if block.kind == "quote":
            _append(found, block, 0, len(block.text), _is_attributed_block(blocks, index))
        elif '"' in block.text or (not block.text.isascii() and not _MARKS.isdisjoint(block.text)):
            for match in _QUOTED.finditer(block.text):
                before = block.text[max(0, match.start() - _REACH_CHARACTERS) : match.start()]
                after = block.text[match.end() : match.end() + _REACH_CHARACTERS]
                attributed = any(map(_ATTRIBUTION.search, (before, after))) or bool(
                    _DASH_AND_NAME.match(after.lstrip())
                )
                _append(found, block, match.start(), match.end(), attributed)
    return tuple(found)


def _append(found: list[Quotation], block: Block, start: int, end: int, attributed: bool) -> None:
    text = " ".join(block.text[start:end].split())
    if len(text.split()) >= _SMALLEST_QUOTATION_WORDS:
        start += len(block.text[start:end]) - len(block.text[start:end].lstrip())
        end -= len(block.text[start:end]) - len(block.text[start:end].rstrip())
        found.append(Quotation(text, *block.source_span(start, end), attributed))


def _is_attributed_block(blocks: list[Block], index: int) -> bool:
    text = blocks[index].text
    before = blocks[index - 1].text[-_REACH_CHARACTERS:] if index else ""
    return bool(_DASH_AND_NAME.search(text[-_REACH_CHARACTERS:]) or _ATTRIBUTION.search(before))
