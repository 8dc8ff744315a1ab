"""Texts to words, all at once: bytes, tokens and their hashes as arrays.

Nothing here loops over words in Python, which is what makes judging fast. Words are hashed without regard to
case; every digit counts as 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tokens", "hash_words", "mix", "runs", "tokenize"]

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

# The longest word that is told apart by all of its letters.
_LONGEST_WORD_BYTES = 64
_MULTIPLIER = 0x9E3779B97F4A7C15
_POWERS = np.array(
    [pow(0x100000001B3, n, 1 << 64) for n in range(1, _LONGEST_WORD_BYTES + 1)], dtype=np.uint64
)


def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    folded = np.arange(256, dtype=np.uint8)
    folded[ord("A") : ord("Z") + 1] += 32
    folded[ord("0") : ord("9") + 1] = ord("0")
    kind = np.full(256, PUNCTUATION, dtype=np.uint8)
    kind[[*b" \t\n\r\x0b\x0c\0"]] = SPACE
    kind[[*b"abcdefghijklmnopqrstuvwxyz'0", *range(128, 256)]] = WORD
    return folded, kind


SPACE, PUNCTUATION, WORD = 0, 1, 2
_FOLDED, _KIND = _tables()


def mix(values: Hashes) -> Hashes:
    """Spread every bit of a hash over all bits, the highest ones above all."""
    values = (values ^ (values >> np.uint64(31))) * np.uint64(_MULTIPLIER)
    return (values ^ (values >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)


def runs(ordered: Ints) -> tuple[Ints, Ints]:
    """Where each run of equal values begins, and how long it is."""
    begins = np.ones(ordered.size, dtype=bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    first = begins.nonzero()[0]
    length = np.empty_like(first)
    length[:-1] = first[1:] - first[:-1]
    length[-1:] = ordered.size - first[-1:]
    return first, length


@dataclass(frozen=True, slots=True)
class Tokens:
    """The words and marks of several texts, one after another."""

    texts: int
    data: NDArray[np.uint8]
    """The bytes of all texts in lower case, each text followed by spaces."""
    byte_text: Ints
    """Which text a byte belongs to."""
    start: Ints
    length: Ints
    text: Ints
    """Which text a token belongs to."""
    is_word: NDArray[np.bool_]
    hashes: Hashes
    capital: NDArray[np.bool_]
    """Whether the token was written with a capital letter first."""


def tokenize(texts: list[str]) -> Tokens:
    """Read cleaned texts. A word is a run of letters, digits and apostrophes; any other mark is its own."""
    encoded = [text.encode() + b"    " for text in texts]
    raw = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    data = _FOLDED[raw]
    byte_text = np.repeat(np.arange(len(texts)), [len(text) for text in encoded])
    kind = _KIND[data]
    word = kind == WORD
    begins = kind == PUNCTUATION
    begins[0] |= word[0]
    begins[1:] |= word[1:] & ~word[:-1]
    start = begins.nonzero()[0]
    token_of_byte = np.cumsum(begins) - 1
    # Spaces before the first token have number -1 and belong to no token: the 0 at the end stands for them.
    place = np.minimum(np.arange(data.size) - np.append(start, 0)[token_of_byte], _LONGEST_WORD_BYTES - 1)
    values = np.where(kind == SPACE, 0, data.astype(np.uint64) + np.uint64(1)) * _POWERS[place]
    is_word = word[start]
    ends = (word[:-1] & ~word[1:]).nonzero()[0] + 1
    length = np.ones(start.size, dtype=np.int64)
    length[is_word] = ends - start[is_word]
    first = raw[start]
    capital = (first >= ord("A")) & (first <= ord("Z"))
    hashes = mix(np.add.reduceat(values, start))
    return Tokens(len(texts), data, byte_text, start, length, byte_text[start], is_word, hashes, capital)


def hash_words(words: Iterable[str]) -> Hashes:
    """The hash that `tokenize` gives each of these words; each must be a single token."""
    return tokenize([" ".join(words)]).hashes
