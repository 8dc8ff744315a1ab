"""How near sentences and passages are to a question in meaning, also where they share no word with it."""

from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np

from contentworker.editorial.aeo.encoder import Encoder, fetched
from contentworker.editorial.aeo.rubric import ramp
from contentworker.editorial.aeo.vectors import Table, Vectors, shipped
from contentworker.editorial.document import Document, Passage
from contentworker.editorial.parsing.language import STOP_WORDS
from contentworker.editorial.settings import ContentSettings

__all__ = ["ArticleVectors", "EncodedPassages", "prepare"]

_COSINES = (0.05, 0.75)
"""Cosines between which nearness grows: up to the first it is 0, from the second on 1.

On the fitted half of Natural Questions, the nearest sentence of a passage has a median of .32, and of .57 in
the passages that answer.
"""

_ENCODER_COSINES = (0.78, 0.92)
"""The same for the encoder, whose cosines all lie close together."""


def prepare(settings: ContentSettings) -> None:
    """Read what scores compare by, once for all processes that are forked later.

    Raises:
        ConfigError: a file is missing, damaged, or of another version.
    """
    shipped()
    if settings.encoder:
        fetched()


class ArticleVectors:
    """The vector of each sentence with the headings above it, in the order of the article's passages."""

    def __init__(self, document: Document, table: Table) -> None:
        self._table = table
        self._put_with = STOP_WORDS.get(document.language, frozenset())
        headings = [heading.start for heading in document.headings]
        own = self._sums(heading.tokens for heading in document.headings)
        row = {start: index for index, start in enumerate(headings)}
        above, below = [], []
        for passage in document.passages:
            path = own[[row[heading.start] for heading in passage.path]].sum(0)
            above += [path] * len(passage.sentences)
            below += [sentence.tokens for sentence in passage.sentences]
        self._sentences = _unit(self._sums(below) + np.array(above)) if below else None

    @classmethod
    def of(cls, document: Document) -> Self | None:
        """The vectors of an article, or None if the table does not know its language.

        Raises:
            ConfigError: the table is missing, damaged, or of another version.
        """
        table = shipped()
        return cls(document, table) if document.language in table.languages else None

    def nearness(self, question: Sequence[str]) -> list[float] | None:
        """How near each sentence is to the question's tokens, 0 to 1; None if the table knows no token."""
        asked = self._sums([question])
        if self._sentences is None or not asked.any():
            return None
        cosines: list[float] = (self._sentences @ _unit(asked)[0]).tolist()
        return [ramp(cosine, *_COSINES) for cosine in cosines]

    def _sums(self, texts: Iterable[Sequence[str]]) -> Vectors:
        put_with = self._put_with
        return self._table.sums([[token for token in tokens if token not in put_with] for tokens in texts])


class EncodedPassages:
    """The passages of one article, each with the headings above it, encoded when a question first asks."""

    def __init__(self, document: Document, encoder: Encoder | None = None) -> None:
        self.passages = document.passages
        self._encoder = encoder or fetched()
        self._vectors: dict[int, Vectors] = {}

    def nearness(self, question: str, indices: Sequence[int]) -> list[float]:
        """How near each of these passages is to the question, 0 to 1.

        Rounded, so that what else is encoded at a time makes no difference.
        """
        new = [index for index in indices if index not in self._vectors]
        texts = [_with_headings(self.passages[index]) for index in new]
        self._vectors.update(zip(new, self._encoder.passages(texts), strict=True))
        asked = self._encoder.questions([question])[0]
        cosines = [round(float(self._vectors[index] @ asked), 4) for index in indices]
        return [ramp(cosine, *_ENCODER_COSINES) for cosine in cosines]


def _with_headings(passage: Passage) -> str:
    parts = [heading.text for heading in passage.path]
    parts.append(" ".join(sentence.text for sentence in passage.sentences))
    return ". ".join(parts)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)
