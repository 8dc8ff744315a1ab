"""What a text is made of, in three views: its words, its letters, and its words with the rare ones masked.

Each view counts the n-grams of a text in 2^18 buckets.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contentworker.editorial.detector.tokens import Hashes, Ints, Tokens, mix

__all__ = ["BUCKETS", "VIEWS", "Counts", "count_letters", "count_masked", "count_words", "in_order", "mask"]

BUCKET_BITS = 18
BUCKETS = 1 << BUCKET_BITS
VIEWS = ("words", "letters", "masked")
_SHIFT = np.uint64(64 - BUCKET_BITS)
_STEP = np.uint64(0xD6E8FEB86659FD93)


class Counts(NamedTuple):
    """Each text's n-grams: row `text[i]` has weight `weight[i]` in bucket `bucket[i]`; rows have length 1."""

    text: Ints
    bucket: Ints
    weight: NDArray[np.float64]


def in_order(hashes: Hashes, text: Ints, sizes: tuple[int, ...]) -> tuple[Ints, Ints, Ints]:
    """(text, bucket, position) of all n-grams of these sizes that lie within one text."""
    found_text, found_bucket, found_position = [], [], []
    gram = hashes
    for size in range(1, max(sizes) + 1):
        if size > 1:
            gram = gram[:-1] * _STEP + hashes[size - 1 :]
        if size in sizes and gram.size:
            whole = text[: gram.size] == text[size - 1 :]
            found_text.append(text[: gram.size][whole])
            found_bucket.append((mix(gram[whole] + np.uint64(size)) >> _SHIFT).astype(np.int64))
            found_position.append(np.flatnonzero(whole))
    if not found_text:
        none = np.zeros(0, dtype=np.int64)
        return none, none, none
    return np.concatenate(found_text), np.concatenate(found_bucket), np.concatenate(found_position)


def _count(text: Ints, bucket: Ints, texts: int) -> Counts:
    keys = np.sort((text << BUCKET_BITS) | bucket)
    if not keys.size:
        return Counts(keys, keys, keys.astype(np.float64))
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    times = np.diff(first, append=keys.size)
    keys = keys[first]
    text, bucket = keys >> BUCKET_BITS, keys & (BUCKETS - 1)
    weight = 1 + np.log(times)
    norm = np.sqrt(np.bincount(text, weights=weight * weight, minlength=texts))
    return Counts(text, bucket, weight / norm[text])


def count_words(tokens: Tokens) -> Counts:
    """Single words and pairs."""
    text, bucket, _ = in_order(tokens.hashes, tokens.text, (1, 2))
    return _count(text, bucket, tokens.texts)


def letters_in_order(tokens: Tokens) -> tuple[Ints, Ints, Ints]:
    return in_order(tokens.data.astype(np.uint64) + np.uint64(1), tokens.byte_text, (3, 4, 5))


def count_letters(tokens: Tokens) -> Counts:
    """Runs of three to five characters, spaces among them."""
    text, bucket, _ = letters_in_order(tokens)
    return _count(text, bucket, tokens.texts)


def mask(tokens: Tokens, vocabulary: Hashes) -> Hashes:
    """The hashes with every rare word replaced by what it looks like: its length and its ending.

    `vocabulary` has the hashes of the common words, sorted.
    """
    place = np.minimum(np.searchsorted(vocabulary, tokens.hashes), vocabulary.size - 1)
    rare = tokens.is_word & (vocabulary[place] != tokens.hashes)
    end = tokens.start + tokens.length
    data = tokens.data.astype(np.uint64)
    ending = data[end - 1] | np.where(tokens.length > 3, data[np.maximum(end - 2, 0)] << np.uint64(8), 0)
    size = np.minimum(tokens.length, 12) // 3
    shape = ending | (size.astype(np.uint64) << np.uint64(16)) | np.uint64(1 << 40)
    return np.where(rare, mix(shape), tokens.hashes)


def count_masked(tokens: Tokens, vocabulary: Hashes) -> Counts:
    """One to three words in a row, rare ones masked."""
    text, bucket, _ = in_order(mask(tokens, vocabulary), tokens.text, (1, 2, 3))
    return _count(text, bucket, tokens.texts)
