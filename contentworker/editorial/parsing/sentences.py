"""Sentences and words: split by rules, the same for every kind of source."""

# ruff: noqa: RUF001 -- the punctuation of other scripts is what this module is about

import re
from itertools import pairwise

__all__ = ["MAX_PASSAGE_WORDS", "count_words", "sentence_spans", "tokenize"]

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
_ASCII_TOKEN = re.compile(r"[a-z0-9]++(?:'[a-z]++|[.,][0-9]++)*+")

_END = re.compile(r"""[.!?…。！？｡।॥؟]++[)\]"'”’»」』）]*+""")
# The same for most English text, and several times as fast.
_ASCII_END = re.compile(r"""[.!?]++[)\]"']*+""")
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
_NEXT = re.compile(r"""\s*+["'“‘«„(\[¿¡]*+(\S)""")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence of one block of text, outer whitespace left out, in order."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in (_ASCII_END if text.isascii() else _END).finditer(text):
        if _ends_sentence(text, match):
            _append_trimmed(spans, text, start, match.end())
            start = match.end()
    _append_trimmed(spans, text, start, len(text))
    return spans


def _append_trimmed(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        start += len(piece) - len(piece.lstrip())
        spans.append((start, start + len(stripped)))


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    mark = match[0]
    if mark[0] in _ENDS_WITHOUT_SPACE:
        return True
    if not text[match.end() : match.end() + 1].isspace():
        # The end of the text ends its last sentence anyway.
        return False
    following = _NEXT.match(text, match.end())
    if following is None:
        return True
    if following[1].islower():
        return False
    if mark != ".":
        return True
    if text[match.start() - 1 : match.start()].isdigit():
        return _GERMAN_MONTH.match(text, match.end()) is None
    word = _WORD_BEFORE.search(text, max(0, match.start() - 12), match.start())
    if word is None:
        return True
    return word[0].lower() not in _ABBREVIATIONS and not (len(word[0]) == 1 and word[0].isupper())


def tokenize(text: str) -> list[str]:
    """Lower-case words; a run of a script without spaces becomes its character bigrams."""
    text = text.lower()
    if text.isascii():
        return _ASCII_TOKEN.findall(text)
    text = text.replace("’", "'")
    if not _HAS_UNSPACED.search(text):
        return _SPACED_TOKEN.findall(text)
    tokens: list[str] = []
    for run in _TOKEN_OR_RUN.findall(text):
        if len(run) > 1 and _HAS_UNSPACED.match(run):
            tokens += map("".join, pairwise(run))
        else:
            tokens.append(run)
    return tokens


def count_words(text: str, tokens: list[str]) -> int:
    """How many words a reader would count; in a script without spaces two characters make one."""
    if text.isascii() or not _HAS_UNSPACED.search(text):
        return len(tokens)
    runs = _TOKEN_OR_RUN.findall(text)
    return sum((len(run) + 1) // 2 if _HAS_UNSPACED.match(run) else 1 for run in runs)
