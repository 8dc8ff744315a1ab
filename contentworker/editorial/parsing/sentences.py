"""Sentences and words: split by rules, the same for every kind of source."""

# ruff: noqa: RUF001 -- the punctuation of other scripts is what this module is about

import re
from itertools import pairwise

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
_ABBREVIATED = """
    mr mrs ms dr prof st sr jr vs etc e.g i.e cf al fig figs no nos vol pp approx dept est inc ltd co
    corp jan feb mar apr jun jul aug sep sept oct nov dec gen col lt sgt rev hon u.s u.k u.n p.m a.m bzw
    ca d.h z.b u.a usw nr str abb sog vgl dipl ing hr fr sra srta ud uds ej pág núm art
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
# "am 21. März": a full stop after a number makes a German ordinal, and dates are the common case.
_GERMAN_MONTH = re.compile(
    r"\s+(?:Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember)\b"
)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence of one block of text, outer whitespace left out, in order."""
    spans: list[tuple[int, int]] = []
    start = len(text) - len(text.lstrip())
    for match in (_ASCII_END if text.isascii() else _END).finditer(text):
        if _ends_sentence(text, match):
            end = match.end()
            spans.append((start, end))
            gap = match[1]
            start = end + len(gap) if gap else end
    end = len(text.rstrip())
    if start < end:
        spans.append((start, end))
    return spans


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
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
        return _GERMAN_MONTH.match(text, match.end()) is None
    word = text[text.rfind(" ", 0, position) + 1 : position]
    if not word.isalpha():
        found = _WORD_BEFORE.search(text, max(0, position - 12), position)
        if found is None:
            return True
        word = found[0]
    return word.lower() not in _ABBREVIATIONS and not (len(word) == 1 and word.isupper())


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
