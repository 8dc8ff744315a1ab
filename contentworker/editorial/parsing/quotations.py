"""Quotations, and whether the text says who is quoted."""

import re
from typing import NamedTuple

from contentworker.editorial.parsing.blocks import Block
from contentworker.editorial.parsing.language import any_of

__all__ = ["Quotation", "find_quotations"]


class Quotation(NamedTuple):
    """A quoted passage of at least five words; `attributed` if the text beside it names its source."""

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
_ATTRIBUTION = re.compile(rf"\b(?:{any_of('attributions')})\b", re.IGNORECASE)
_DASH_AND_NAME = re.compile(r"(?:—|\u2013|--|\s-)\s*[^\W\d_a-z]\w+")
_REACH_CHARACTERS = 120


def find_quotations(blocks: list[Block]) -> tuple[Quotation, ...]:
    """Quotations in order: text in quotation marks, and block quotes."""
    quotations: list[Quotation] = []
    for index, block in enumerate(blocks):
        if block.kind == "quote":
            _append(quotations, block, 0, len(block.text), attributed=_is_attributed_block(blocks, index))
        elif '"' in block.text or (not block.text.isascii() and not _MARKS.isdisjoint(block.text)):
            for match in _QUOTED.finditer(block.text):
                before = block.text[max(0, match.start() - _REACH_CHARACTERS) : match.start()]
                after = block.text[match.end() : match.end() + _REACH_CHARACTERS]
                named = _DASH_AND_NAME.match(after.lstrip())
                attributed = bool(named or _ATTRIBUTION.search(before) or _ATTRIBUTION.search(after))
                _append(quotations, block, match.start(), match.end(), attributed=attributed)
    return tuple(quotations)


def _append(quotations: list[Quotation], block: Block, start: int, end: int, *, attributed: bool) -> None:
    text = block.text[start:end]
    words = text.split()
    if len(words) >= _SMALLEST_QUOTATION_WORDS:
        place = block.source_span(end - len(text.lstrip()), start + len(text.rstrip()))
        quotations.append(Quotation(" ".join(words), *place, attributed))


def _is_attributed_block(blocks: list[Block], index: int) -> bool:
    text = blocks[index].text
    before = blocks[index - 1].text[-_REACH_CHARACTERS:] if index else ""
    return bool(_DASH_AND_NAME.search(text[-_REACH_CHARACTERS:]) or _ATTRIBUTION.search(before))
