"""The letter n-grams of a text: runs of three to five characters, spaces among them, in 2^18 buckets."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contentworker.editorial.detector.tokens import Ints, Tokens, mix, runs

__all__ = ["BUCKETS", "Counts", "Ordered", "count", "read"]

BUCKET_BITS = 18
BUCKETS = 1 << BUCKET_BITS
_TEXTS_IN_32_BITS = 1 << (31 - BUCKET_BITS)
_SIZES = (3, 4, 5)
_SHIFT = np.uint64(64 - BUCKET_BITS)
_STEP = np.uint64(0xD6E8FEB86659FD93)


class Ordered(NamedTuple):
    """N-grams in order: the text of each, its bucket, and the byte at which it begins."""

    text: Ints
    bucket: Ints
    position: Ints


class Counts(NamedTuple):
    """Each text's n-grams: row `text[i]` has weight `weight[i]` in bucket `bucket[i]`; rows have length 1."""

    text: Ints
    bucket: Ints
    weight: NDArray[np.float64]


def read(tokens: Tokens) -> Ordered:
    """All n-grams of the texts, of which each lies within one text."""
    letters, text = tokens.data.astype(np.uint64) + np.uint64(1), tokens.byte_text
    owners, buckets, positions = [], [], []
    gram = letters
    for size in range(1, max(_SIZES) + 1):
        if size > 1:
            gram = gram[:-1] * _STEP + letters[size - 1 :]
        if size in _SIZES:
            owner, position, kept = text[: gram.size], np.arange(gram.size), gram
            if text.size and text[0] != text[-1]:
                whole = owner == text[size - 1 :]
                owner, position, kept = owner[whole], position[whole], gram[whole]
            owners.append(owner)
            buckets.append((mix(kept + np.uint64(size)) >> _SHIFT).view(np.int64))
            positions.append(position)
    return Ordered(np.concatenate(owners), np.concatenate(buckets), np.concatenate(positions))


def count(ordered: Ordered, texts: int) -> Counts:
    """How often each n-gram occurs in each text, on a logarithmic scale."""
    text, bucket = ordered.text, ordered.bucket
    keys = (text << BUCKET_BITS) | bucket
    if texts < _TEXTS_IN_32_BITS:
        keys = keys.astype(np.int32)  # sorted several times as fast
    keys = np.sort(keys).astype(np.int64)
    first, times = runs(keys)
    keys = keys[first]
    text, bucket = keys >> BUCKET_BITS, keys & (BUCKETS - 1)
    weight = 1 + np.log(times)
    norm = np.sqrt(np.bincount(text, weights=weight * weight, minlength=texts))
    return Counts(text, bucket, weight / norm[text])
