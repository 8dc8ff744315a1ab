"""Confidence intervals and paired tests, in plain Python."""

import math
from collections.abc import Sequence

_Z_95 = 1.959964


def wilson(hits: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); hits need not be whole."""
    share, square = hits / count, _Z_95**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z_95 / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return middle - half, middle + half


def mcnemar(ours: Sequence[bool], theirs: Sequence[bool]) -> tuple[int, int, float]:
    """Only ours right, only theirs right, and the exact two-sided p that both are as good."""
    only_ours = sum(a and not b for a, b in zip(ours, theirs, strict=True))
    only_theirs = sum(b and not a for a, b in zip(ours, theirs, strict=True))
    differing, fewer = only_ours + only_theirs, min(only_ours, only_theirs)
    # Whole numbers until the end: 2 ** differing is too large for a float.
    tail = 2 * sum(math.comb(differing, number) for number in range(fewer + 1))
    return only_ours, only_theirs, min(1.0, tail / 2**differing)
