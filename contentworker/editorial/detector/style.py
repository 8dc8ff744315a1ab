"""How a text is written, in numbers: punctuation, length of words and sentences, endings, small words."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contentworker.editorial.detector.tokens import Hashes, Ints, Tokens, hash_words, runs

__all__ = ["FEATURES", "measure"]

_MARKS = ",.;:!?-\"'()/%$&"
_LONGEST_WORD = 14
_TABLE = tomllib.loads(Path(__file__).with_name("style_features.toml").read_text("utf-8"))
_LISTS = {name: tuple(dict.fromkeys(text.split())) for name, text in _TABLE.items()}
WORDS, OPENINGS, ENDINGS = _LISTS["words"], _LISTS["openings"], _LISTS["endings"]
_SHORT_SENTENCE, _LONG_SENTENCE = 8, 30
_DECIMALS = 5

FEATURES = (
    *(f"length_{size}" for size in range(1, _LONGEST_WORD + 1)),
    *(f"mark_{mark}" for mark in _MARKS),
    *(f"word_{word}" for word in WORDS),
    *(f"opening_{word}" for word in OPENINGS),
    *(f"ending_{ending}" for ending in ENDINGS),
    *_LISTS["about_sentences"],
    *_LISTS["about_words"],
)
"""The names of the columns of `measure`."""

Floats = NDArray[np.float64]


Index = tuple[NDArray[Any], Ints]
"""Values, sorted, and the column of each."""


def _index(values: NDArray[Any]) -> Index:
    order = np.argsort(values)
    return values[order], order


_WORD_INDEX, _OPENING_INDEX = _index(hash_words(WORDS)), _index(hash_words(OPENINGS))
_ENDING_INDEX = _index(np.array([int.from_bytes(ending.encode(), "big") for ending in ENDINGS]))


def measure(tokens: Tokens, vocabulary: Hashes, ranks: Ints) -> Floats:
    """One row of `FEATURES` for each text.

    `vocabulary` has the hashes of the common words, sorted, and `ranks` how common each is (0: the most).
    """
    texts = tokens.texts
    word_text = tokens.text[tokens.is_word]
    words = np.maximum(np.bincount(word_text, minlength=texts), 1).astype(np.float64)
    length = np.minimum(tokens.length[tokens.is_word], _LONGEST_WORD)
    hashes = tokens.hashes[tokens.is_word]
    columns = [
        _table(word_text, length - 1, texts, _LONGEST_WORD) / words[:, None],
        _marks(tokens) / words[:, None],
        _known(hashes, word_text, texts, _WORD_INDEX) / words[:, None],
    ]
    begins, sentence_text = _sentences(tokens)
    sentences = np.maximum(np.bincount(sentence_text, minlength=texts), 1).astype(np.float64)
    opening = tokens.hashes[begins]
    columns += [
        _known(opening, sentence_text, texts, _OPENING_INDEX) / sentences[:, None],
        _endings(tokens, word_text) / words[:, None],
        _about_sentences(tokens, begins, sentence_text, sentences),
        _about_words(tokens, begins, words, word_text, hashes, vocabulary=vocabulary, ranks=ranks),
    ]
    # Rounded, so that the last bits of a sum do not decide which way a tree goes.
    return np.concatenate(columns, axis=1).round(_DECIMALS)


def _table(text: Ints, column: Ints, texts: int, columns: int) -> Floats:
    """How often each column occurs in each text."""
    counts = np.bincount(text * columns + column, minlength=texts * columns)
    return counts.reshape(texts, columns).astype(np.float64)


def _marks(tokens: Tokens) -> Floats:
    column = _MARK_COLUMN[tokens.data]
    chosen = column >= 0
    return _table(tokens.byte_text[chosen], column[chosen], tokens.texts, len(_MARKS))


_MARK_COLUMN = np.full(256, -1)
_MARK_COLUMN[[ord(mark) for mark in _MARKS]] = range(len(_MARKS))


def _known(values: NDArray[Any], text: Ints, texts: int, index: Index) -> Floats:
    """How often each value of the index occurs in each text."""
    known, order = index
    place = np.minimum(np.searchsorted(known, values), known.size - 1)
    hit = known[place] == values
    return _table(text[hit], order[place[hit]], texts, known.size)


def _endings(tokens: Tokens, word_text: Ints) -> Floats:
    last = (tokens.start + tokens.length)[tokens.is_word] - 1
    long = tokens.length[tokens.is_word] > 4  # noqa: PLR2004 (an ending has three letters, the word two more)
    last, text = last[long], word_text[long]
    data = tokens.data.astype(np.int64)
    codes = data[last] | (data[last - 1] << 8) | (data[last - 2] << 16)
    return _known(codes, text, tokens.texts, _ENDING_INDEX)


def _sentences(tokens: Tokens) -> tuple[Ints, Ints]:
    """The token of the first word of each sentence, and its text."""
    words = tokens.is_word.nonzero()[0]
    mark = tokens.data[tokens.start]
    after = tokens.data[np.minimum(tokens.start + 1, tokens.data.size - 1)]
    closing = (after == ord(" ")) | (after == ord('"')) | (after == ord(")")) | (after == ord("'"))
    ends = ((mark == ord(".")) | (mark == ord("!")) | (mark == ord("?"))) & closing
    ended = np.cumsum(ends)[words]
    text = tokens.text[words]
    first = np.ones(words.size, dtype=bool)
    first[1:] = (ended[1:] != ended[:-1]) | (text[1:] != text[:-1])
    return words[first], text[first]


def _moments(values: Floats, text: Ints, counts: Floats) -> tuple[Floats, Floats]:
    texts = counts.size
    mean = np.bincount(text, weights=values, minlength=texts) / counts
    square = np.bincount(text, weights=values * values, minlength=texts) / counts
    return mean, np.sqrt(np.maximum(square - mean * mean, 0))


def _about_sentences(tokens: Tokens, begins: Ints, text: Ints, sentences: Floats) -> Floats:
    texts = tokens.texts
    result = np.zeros((texts, len(_LISTS["about_sentences"])))
    if not begins.size:
        return result
    running = np.concatenate(([0], np.cumsum(tokens.is_word)))
    ends = np.append(begins[1:], tokens.start.size)
    size = (running[ends] - running[begins]).astype(np.float64)
    comma = np.concatenate(([0], np.cumsum(tokens.data[tokens.start] == ord(","))))
    commas = (comma[ends] - comma[begins]).astype(np.float64)
    mean, deviation = _moments(size, text, sentences)
    shortest, longest = np.full(texts, 999.0), np.zeros(texts)
    np.minimum.at(shortest, text, size)
    np.maximum.at(longest, text, size)
    neighbours = text[1:] == text[:-1]
    step = np.bincount(text[1:][neighbours], weights=np.abs(np.diff(size))[neighbours], minlength=texts)
    columns = [
        mean,
        deviation,
        deviation / np.maximum(mean, 1),
        shortest,
        longest,
        np.bincount(text, weights=size < _SHORT_SENTENCE, minlength=texts) / sentences,
        np.bincount(text, weights=size > _LONG_SENTENCE, minlength=texts) / sentences,
        step / np.maximum(sentences - 1, 1) / np.maximum(mean, 1),
        _moments(commas, text, sentences)[1],
        _distinct(tokens.hashes[begins], text, texts) / sentences,
    ]
    return np.stack(columns, axis=1)


def _sorted(hashes: Hashes, text: Ints) -> Ints:
    # 40 bits of the hash are enough to tell the values of one text apart.
    keys = (text << 40) | (hashes >> np.uint64(24)).view(np.int64)
    keys.sort()
    return keys


def _distinct(hashes: Hashes, text: Ints, texts: int) -> Floats:
    """How many different values each text has."""
    keys = _sorted(hashes, text)
    return np.bincount(keys[runs(keys)[0]] >> 40, minlength=texts).astype(np.float64)


def _different(hashes: Hashes, text: Ints, texts: int) -> tuple[Floats, Floats, Floats]:
    """For each text: how many different values it has, how many occur once, the sum of squared counts."""
    keys = _sorted(hashes, text)
    first, times = runs(keys)
    owner = keys[first] >> 40
    return (
        np.bincount(owner, minlength=texts).astype(np.float64),
        np.bincount(owner, weights=times == 1, minlength=texts).astype(np.float64),
        np.bincount(owner, weights=times.astype(np.float64) ** 2, minlength=texts).astype(np.float64),
    )


def _about_words(
    tokens: Tokens,
    begins: Ints,
    words: Floats,
    text: Ints,
    hashes: Hashes,
    *,
    vocabulary: Hashes,
    ranks: Ints,
) -> Floats:
    texts = tokens.texts
    length = tokens.length[tokens.is_word].astype(np.float64)
    place = np.minimum(np.searchsorted(vocabulary, hashes), vocabulary.size - 1)
    known = vocabulary[place] == hashes
    rank = np.log1p(np.where(known, ranks[place], 2 * vocabulary.size).astype(np.float64))
    mean, deviation = _moments(length, text, words)
    rank_mean, rank_deviation = _moments(rank, text, words)
    different, once, squares = _different(hashes, text, texts)
    log_words = np.log(np.maximum(words, 2))
    pairs = _grams(hashes, text, 2)
    triples = _grams(hashes, text, 3)
    has_apostrophe = np.bincount(tokens.byte_text, weights=tokens.data == ord("'"), minlength=texts)
    neighbours = text[1:] == text[:-1]
    pair_rank = np.minimum(rank[1:], rank[:-1])[neighbours]
    marks = ~tokens.is_word
    capitals = tokens.capital.copy()
    capitals[begins] = False
    columns = [
        np.log1p(words),
        mean,
        deviation,
        np.log(np.maximum(different, 1)) / log_words,
        once / np.maximum(different, 1),
        (squares - words) / (words * words),
        _distinct(*pairs, texts) / words,
        rank_mean,
        rank_deviation,
        np.bincount(text, weights=~known, minlength=texts) / words,
        has_apostrophe / words,
        np.bincount(tokens.byte_text, weights=tokens.data == ord("0"), minlength=texts) / words,
        np.bincount(text[1:][neighbours], weights=pair_rank, minlength=texts) / words,
        _distinct(*triples, texts) / words,
        _distinct(tokens.hashes[marks], tokens.text[marks], texts) / np.log1p(words),
        np.bincount(tokens.text, weights=capitals, minlength=texts) / words,
    ]
    return np.stack(columns, axis=1)


def _grams(hashes: Hashes, text: Ints, size: int) -> tuple[Hashes, Ints]:
    gram = hashes
    for step in range(1, size):
        gram = gram[:-1] * np.uint64(0xD6E8FEB86659FD93) + hashes[step:]
    owner = text[: gram.size]
    whole = owner == text[size - 1 :]
    return gram[whole], owner[whole]
