"""N-grams of a text in three views: its words, its letters, and its words with the rare ones masked.

Each view counts the n-grams of a text in 2^18 buckets.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contentworker.editorial.detector.tokens import Hashes, Ints, Tokens, mix, runs

__all__ = ["BUCKETS", "VIEWS", "Counts", "Ordered", "count", "mask", "read"]

BUCKET_BITS = 18
BUCKETS = 1 << BUCKET_BITS
_TEXTS_IN_32_BITS = 1 << (31 - BUCKET_BITS)
VIEWS = ("words", "letters", "masked")
_SHIFT = np.uint64(64 - BUCKET_BITS)
_STEP = np.uint64(0xD6E8FEB86659FD93)


class Ordered(NamedTuple):
    """N-grams in order: the text of each, its bucket, and the token or byte at which it begins."""

    text: Ints
    bucket: Ints
    position: Ints


class Counts(NamedTuple):
    """Each text's n-grams: row `text[i]` has weight `weight[i]` in bucket `bucket[i]`; rows have length 1."""

    text: Ints
    bucket: Ints
    weight: NDArray[np.float64]


def read(tokens: Tokens, vocabulary: Hashes) -> dict[str, Ordered]:
    """The n-grams of each view.

    `words`: one or two words. `letters`: three to five characters, with spaces. `masked`: one to three words,
    with the rare ones masked.
    """
    letters = tokens.data.astype(np.uint64) + np.uint64(1)
    return {
        "words": _in_order(tokens.hashes, tokens.text, (1, 2)),
        "letters": _in_order(letters, tokens.byte_text, (3, 4, 5)),
        "masked": _in_order(mask(tokens, vocabulary), tokens.text, (1, 2, 3)),
    }


def _in_order(hashes: Hashes, text: Ints, sizes: tuple[int, ...]) -> Ordered:
    """All n-grams of these sizes that lie within one text."""
    owners, buckets, positions = [], [], []
    gram = hashes
    for size in range(1, max(sizes) + 1):
        if size > 1:
            gram = gram[:-1] * _STEP + hashes[size - 1 :]
        if size in sizes:
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


def mask(tokens: Tokens, vocabulary: Hashes) -> Hashes:
    """The hashes with every rare word replaced by what it looks like: its length and its ending.

    `vocabulary` has the hashes of the common words, sorted.
    """
    place = np.minimum(np.searchsorted(vocabulary, tokens.hashes), vocabulary.size - 1)
    rare = tokens.is_word & (vocabulary[place] != tokens.hashes)
    end = tokens.start + tokens.length
    data = tokens.data.astype(np.uint64)
    long = tokens.length > 3  # noqa: PLR2004 (part of what the model was trained with)
    ending = data[end - 1] | np.where(long, data[np.maximum(end - 2, 0)] << np.uint64(8), 0)
    size = np.minimum(tokens.length, 12) // 3
    shape = ending | (size.astype(np.uint64) << np.uint64(16)) | np.uint64(1 << 40)
    return np.where(rare, mix(shape), tokens.hashes)
