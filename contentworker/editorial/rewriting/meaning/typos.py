"""Which words are misspelled, and for which others."""

from collections.abc import Iterable

from contentworker.editorial.aeo.terms import ENGLISH_IDF, stemmer
from contentworker.editorial.parsing.language import STOP_WORDS
from contentworker.editorial.rewriting.meaning.equivalents import Equivalents
from contentworker.editorial.rewriting.meaning.normalising import Token

__all__ = ["is_misspelled", "is_typo"]

_LONGEST = 40
_SHORT = 5
"""A word of fewer letters may have one wrong letter, a longer one two."""
_MOST_WRONG = 2


def is_typo(old: Token, new: Token, lists: Equivalents) -> bool:
    """Whether English does not have the one word, but the other, a letter or two apart."""
    wrong, right = old.text.lower(), new.text.lower()
    if old.is_name or new.is_name or ":" in old.key or ":" in new.key or not wrong.isalpha():
        return False
    if _is_word(wrong, lists) or not _is_word(right, lists):
        return False
    return _distance(wrong, right) <= (1 if len(right) < _SHORT else _MOST_WRONG)


def is_misspelled(token: Token, words: Iterable[str], lists: Equivalents) -> bool:
    """Whether it is one of these function words with a letter wrong: "teh"."""
    word = token.text.lower()
    if not lists.is_english or token.is_name or ":" in token.key or _is_word(word, lists):
        return False
    return any(_distance(word, each) == 1 for each in words)


def _is_word(word: str, lists: Equivalents) -> bool:
    if word in lists.vocabulary or word in STOP_WORDS["en"] or word in lists.number_words:
        return True
    stem = stemmer("en")
    return stem(word) in ENGLISH_IDF or stem(word.removesuffix("ly")) in ENGLISH_IDF


def _distance(one: str, other: str) -> int:
    """Letters to change, leave out, put in or exchange with their neighbour."""
    if abs(len(one) - len(other)) > _MOST_WRONG or len(one) > _LONGEST:
        return _LONGEST
    rows = [list(range(len(other) + 1))]
    for at, letter in enumerate(one, 1):
        row = [at]
        for there, wanted in enumerate(other, 1):
            cost = min(rows[-1][there] + 1, row[-1] + 1, rows[-1][there - 1] + (letter != wanted))
            if at > 1 and there > 1 and letter == other[there - 2] and one[at - 2] == wanted:
                cost = min(cost, rows[-2][there - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]
