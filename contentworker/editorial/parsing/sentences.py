"""Sentences and words, split by the same rules for every kind of source."""

# ruff: noqa: RUF001 -- the punctuation of other scripts is what this module is about

import re
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from contentworker.editorial.parsing.language import words

__all__ = ["MAX_PASSAGE_WORDS", "read_words", "sentence_spans", "tokenize"]

MAX_PASSAGE_WORDS = 120

# Scripts written without spaces: Han, kana, Thai, Lao, Khmer, Burmese. Hangul has spaces.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
# Python's \w leaves out the vowel signs of Indic and Semitic scripts, and would cut words at them.
_MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
_HAS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_LETTER = rf"(?:(?![{_UNSPACED}])[^\W_]|[{_MARKS}])"
_TOKEN_OR_RUN = re.compile(rf"[{_UNSPACED}]+|{_LETTER}++(?:'{_LETTER}++|[.,]\d++)*+")
_SPACED_TOKEN = re.compile(rf"(?:[^\W_]|[{_MARKS}])++(?:'[^\W_]++|[.,]\d++)*+")
# Without these most English text is ASCII, in which words are found several times as fast.
_COMMON_MARKS = "“”–—…\u00a0"
_ASCII_TOKEN = re.compile(r"[a-z0-9]++(?:'[a-z]++|[.,][0-9]++)*+")

# A run of marks; then, if whitespace follows, the first character of what may be the next sentence.
_NEXT = r"""(?=(\s++)["'“‘«„(\[¿¡]*+(\S?)|)"""
_END = re.compile(rf"""[.!?…。！？｡।॥؟]++[)\]"'”’»」』）]*+{_NEXT}""")
# The same for most English text, and several times as fast.
_ASCII_END = re.compile(rf"""[.!?]++[)\]"']*+{_NEXT}""")
_ENDS_WITHOUT_SPACE = frozenset("。！？｡।॥؟")
_WORD_BEFORE = re.compile(r"[^\W\d_]+(?:\.[^\W\d_]+)*\Z")
_ABBREVIATIONS = words("abbreviations")
_BEFORE_NUMBERS = words("abbreviations_before_numbers")
_LONGEST_ABBREVIATION = 12
"""How far to look back from a full stop. No abbreviation is longer."""
# "am 21. März", "im 20. Jahrhundert": after a number a full stop makes a German ordinal.
_GERMAN_MONTH = re.compile(
    r"\s+(?:Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember)\b"
)
_BEFORE_ORDINALS = words("before_ordinals")
# Of these no other language has a word before a number: they serve a text of unknown language, too.
_GERMAN_ONLY = frozenset({"im", "vom", "zum", "zur", "beim", "dem"})
_WORD_BEFORE_NUMBER = re.compile(r"(?:\A|[^\w])([^\W\d_]{2,14})\s+(\d{1,3})\Z")
_LONGEST_BEFORE_ORDINAL = 24


class _Rules(NamedTuple):
    """The words of one language after which a full stop ends no sentence."""

    abbreviations: frozenset[str]
    before_numbers: frozenset[str]
    before_ordinals: frozenset[str]


@cache
def _rules(language: str) -> _Rules:
    """Those of a language and of English, whose titles are everywhere; of an unknown language all."""
    lists = (_ABBREVIATIONS, _BEFORE_NUMBERS, _BEFORE_ORDINALS)
    if not any(language in of_languages for of_languages in lists):
        known, numbered = (frozenset[str]().union(*of_languages.values()) for of_languages in lists[:2])
        return _Rules(known - numbered, numbered, _GERMAN_ONLY)
    abbreviations, before_numbers, before_ordinals = (
        of_languages.get(language, frozenset()) for of_languages in lists
    )
    return _Rules(
        (_ABBREVIATIONS["en"] | abbreviations) - before_numbers,
        (_BEFORE_NUMBERS["en"] | before_numbers) - abbreviations,
        before_ordinals,
    )


def sentence_spans(text: str, language: str = "") -> list[tuple[int, int]]:
    """Start and end of each sentence of one block of text, outer whitespace left out, in order.

    With the language (ISO 639) ordinals such as "20." are told from the end of a sentence.
    """
    spans: list[tuple[int, int]] = []
    start = len(text) - len(text.lstrip())
    rules = _rules(language)
    for match in (_ASCII_END if text.isascii() else _END).finditer(text):
        if _ends_sentence(text, match, rules):
            end = match.end()
            spans.append((start, end))
            gap = match[1]
            start = end + len(gap) if gap else end
    end = len(text.rstrip())
    if start < end:
        spans.append((start, end))
    return spans


def _ends_sentence(text: str, match: re.Match[str], rules: _Rules) -> bool:  # noqa: PLR0911 (one rule each)
    mark, (gap, following) = match[0], match.groups()
    if mark[0] in _ENDS_WITHOUT_SPACE:
        return True
    if gap is None or following.islower():
        # The end of the text ends its last sentence anyway.
        return False
    if mark != "." or not following:
        return True
    position = match.start()
    if text[position - 1 : position].isdigit():
        if _GERMAN_MONTH.match(text, match.end()):
            return False
        if not rules.before_ordinals:
            return True
        number = _WORD_BEFORE_NUMBER.search(text, max(0, position - _LONGEST_BEFORE_ORDINAL), position)
        return number is None or number[1].lower() not in rules.before_ordinals
    earliest = max(0, position - _LONGEST_ABBREVIATION)
    # Not from the beginning: a text with no blank in it would be looked through at each mark.
    word = text[max(earliest, text.rfind(" ", earliest, position) + 1) : position]
    if not word.isalpha():
        before = _WORD_BEFORE.search(text, earliest, position)
        if before is None:
            return True
        word = before[0]
    word = word.lower() if len(word) > 1 or not word.isupper() else word
    if word in rules.before_numbers:
        return not following.isdigit()
    return word not in rules.abbreviations and not (len(word) == 1 and word.isupper())


def tokenize(text: str) -> list[str]:
    """Lower-case words; a run of a script without spaces becomes its character bigrams."""
    return read_words(text)[0]


def read_words(text: str) -> tuple[list[str], int]:
    """The tokens of a text, and how many words a reader would count.

    In a script without spaces the tokens are character bigrams, and two characters make a word.
    """
    lower = text.lower()
    if not lower.isascii():
        lower = lower.replace("’", "'")
        for mark in _COMMON_MARKS:
            lower = lower.replace(mark, " ")
    if lower.isascii() or not _HAS_UNSPACED.search(lower):
        tokens: list[str] = (_ASCII_TOKEN if lower.isascii() else _SPACED_TOKEN).findall(lower)
        return tokens, len(tokens)
    tokens = []
    for run in _TOKEN_OR_RUN.findall(lower):
        if len(run) > 1 and _HAS_UNSPACED.match(run):
            tokens += map("".join, pairwise(run))
        else:
            tokens.append(run)
    runs = _TOKEN_OR_RUN.findall(text)
    return tokens, sum((len(run) + 1) // 2 if _HAS_UNSPACED.match(run) else 1 for run in runs)
