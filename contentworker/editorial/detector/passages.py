"""Passages of an article that read like a model's while others do not: two authors may be mixed."""

from collections.abc import Sequence

import numpy as np

from contentworker.editorial.detector.cleaning import clean
from contentworker.editorial.detector.model import Model
from contentworker.editorial.detector.result import Passage
from contentworker.editorial.detector.scoring import probabilities
from contentworker.editorial.document import Sentence

__all__ = ["PASSAGE_WORDS", "UNLIKE", "count_passages", "mixed_passages"]

PASSAGE_WORDS = 200
"""As long as the windows of a long article; an article needs two. Shorter ones are judged too badly."""
UNLIKE = 0.5
"""Below this probability a passage does not read like a model's."""


def count_passages(words: int) -> int:
    """Into how many passages an article of so many words is split."""
    return max(1, words // PASSAGE_WORDS)


def mixed_passages(sentences: Sequence[Sentence], model: Model) -> tuple[Passage, ...]:
    """The passages that read like a model's, in order; none unless another passage does not read so."""
    parts = _split(sentences)
    if len(parts) == 1:
        return ()
    found = probabilities([clean(" ".join(each.text for each in part)) for part in parts], model)
    if found.min() >= UNLIKE:
        return ()
    return tuple(
        Passage(start=part[0].start, end=part[-1].end, probability=round(float(probability), 6))
        for part, probability in zip(parts, found, strict=True)
        if probability >= model.passage_from
    )


def _split(sentences: Sequence[Sentence]) -> list[list[Sentence]]:
    """Whole sentences in passages of about the same number of words."""
    words = np.array([sentence.words for sentence in sentences])
    count = count_passages(int(words.sum()))
    middle = np.cumsum(words) - words / 2
    numbers = np.minimum((middle * count / max(words.sum(), 1)).astype(int), count - 1)
    parts = [[each for each, at in zip(sentences, numbers, strict=True) if at == n] for n in range(count)]
    return [part for part in parts if part]
