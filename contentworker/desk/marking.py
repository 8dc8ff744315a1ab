"""An article as parts to show: its text, never its markup, with marks that may overlap."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import NamedTuple

from contentworker.editorial.document import Document

__all__ = ["MOST_STEPS", "Mark", "Part", "diff_steps", "of_document", "of_source", "word_diff"]


MOST_STEPS = 16_000_000
"""Most steps for one pair of texts: a quarter of a second if they are hostile, and 250 words of each."""


class Mark(NamedTuple):
    """A place in the article: offsets of characters in its source."""

    start: int
    end: int
    kind: str
    number: int = 0
    """Shown at the mark, if it is not 0."""
    text: str | None = None
    """Shown instead of what is there. Such marks do not overlap."""


class Part(NamedTuple):
    """A piece of text to show, and the marks on it."""

    text: str
    kinds: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    """Of the marks that begin here."""
    on: tuple[int, ...] = ()
    """Of all marks on it."""


def of_source(source: str, marks: Sequence[Mark]) -> Iterator[Part]:
    """The source, cut at every beginning and end of a mark."""
    marks = sorted(mark for mark in marks if 0 <= mark.start < mark.end <= len(source))
    cuts = sorted({0, len(source), *(cut for mark in marks for cut in mark[:2])})
    waiting, active = list(reversed(marks)), list[Mark]()
    for start, end in pairwise(cuts):
        active = [mark for mark in active if mark.end > start]
        begun = []
        while waiting and waiting[-1].start == start:
            begun.append(waiting.pop())
        active += begun
        replaced = next((mark for mark in active if mark.text is not None), None)
        if replaced is None:
            yield _part(source[start:end], active, begun)
        elif replaced in begun:
            yield _part(replaced.text or "", active, begun)


def of_document(document: Document, marks: Sequence[Mark]) -> Iterator[tuple[str, list[Part]]]:
    """The headings and passages of a parsed page, each with its tag; a mark covers whole sentences."""
    shown: set[Mark] = set()
    marks = sorted(marks)
    starts = [mark.start for mark in marks]
    longest = max((mark.end - mark.start for mark in marks), default=0)

    def near(start: int, end: int) -> Sequence[Mark]:
        # Not all marks for each sentence: a page may have thousands of both.
        return marks[bisect_left(starts, start - longest) : bisect_left(starts, end)]

    blocks: list[tuple[int, str, list[Part]]] = [
        (each.start, "h3", [_on(each.text, each.start, each.end, near(each.start, each.end), shown)])
        for each in document.headings
    ]
    for passage in document.passages:
        parts: list[Part] = []
        for sentence in passage.sentences:
            marked = near(sentence.start, sentence.end)
            parts += [_on(sentence.text, sentence.start, sentence.end, marked, shown), Part(" ")]
        blocks.append((passage.start, "p", parts))
    for _, tag, parts in sorted(blocks, key=lambda block: block[0]):
        yield tag, parts


def _on(text: str, start: int, end: int, marks: Sequence[Mark], shown: set[Mark]) -> Part:
    here = [mark for mark in marks if mark.start < end and start < mark.end]
    begun = [mark for mark in here if mark not in shown]
    for mark in here:
        if mark.text is not None:
            text = mark.text if mark in begun else ""
    shown.update(here)
    return _part(text, here, begun)


def _part(text: str, active: Sequence[Mark], begun: Sequence[Mark]) -> Part:
    kinds = tuple(dict.fromkeys(mark.kind for mark in active))
    begun_numbers, numbers = (
        tuple(mark.number for mark in marks if mark.number) for marks in (begun, active)
    )
    return Part(text, kinds, begun_numbers, numbers)


def diff_steps(before: str, after: str) -> int:
    """How many steps `word_diff` needs at worst; it leaves out what needs more than `MOST_STEPS`."""
    steps = _steps(_words(before), _words(after))
    return steps if steps <= MOST_STEPS else 0


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)


def _steps(old: Sequence[str], new: Sequence[str]) -> int:
    # Words that repeat can make `SequenceMatcher` look at all pairs of words again for each piece it finds.
    return len(old) * len(new) * min(len(old), len(new))


def word_diff(before: str, after: str) -> Iterator[tuple[str, str]]:
    """Pieces of both texts, word by word: `same`, `gone` or `new`, and the text.

    Long texts are not compared: all of one is gone, all of the other new.
    """
    old, new = _words(before), _words(after)
    if _steps(old, new) > MOST_STEPS:
        yield from (("gone", before), ("new", after))
        return
    for what, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            yield "same", "".join(old[a:b])
            continue
        if a < b:
            yield "gone", "".join(old[a:b])
        if c < d:
            yield "new", "".join(new[c:d])
