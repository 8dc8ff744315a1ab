"""Ranges of a source to compare others with, for example quotations with sentences.

Comparing each with each takes the product of the two numbers, and the author of the article chooses both.
Here it takes their sum, times a logarithm.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Protocol

__all__ = ["Range", "Ranges"]


class Range(Protocol):
    """Anything with a place in the source; `end` is exclusive."""

    @property
    def start(self) -> int:
        """Place of its first character."""

    @property
    def end(self) -> int:
        """Place behind its last character."""


class Ranges:
    """A fixed set of ranges, which may overlap and come in any order."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        places = [(each.start, each.end) for each in ranges]
        self._starts = sorted(start for start, _ in places)
        self._ends = sorted(end for _, end in places)
        self._start_sums = [0, *accumulate(self._starts)]
        self._end_sums = [0, *accumulate(self._ends)]

    def meet(self, start: int, end: int) -> bool:
        """Whether any of them shares a character with `start` to `end`, which must not be empty."""
        return bisect_left(self._starts, end) > bisect_right(self._ends, start)

    def overlap(self, start: int, end: int) -> int:
        """Characters that they share with `start` to `end`. A character in two ranges counts twice."""
        return self._before(end) - self._before(start)

    def _before(self, position: int) -> int:
        """Characters of the ranges to the left of a position."""
        begun, ended = bisect_left(self._starts, position), bisect_left(self._ends, position)
        return begun * position - self._start_sums[begun] - (ended * position - self._end_sums[ended])
