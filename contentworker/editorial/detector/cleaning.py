"""Cleans a text before it is judged: removes what tells who typed it rather than who wrote it.

The same function cleans the texts that the model is trained on, so a change here needs a new model.
"""

# ruff: noqa: RUF001 -- letters that look alike are what this module is about

import re
import unicodedata

__all__ = ["LOOK_ALIKES", "clean", "count_disguises", "plain_letters"]

LOOK_ALIKES = str.maketrans(
    "аеорсухіјѕԁһԛԝԍмтвнкгАВЕКМНОРСТУХІЈЅԌԚԜӏοαενρτυικχωγηΑΒΕΖΗΙΚΜΝΟΡΤΥΧɡɑıʟ",
    "aeopcyxijsdhqwgmtbhkrABEKMHOPCTYXIJSGQWloaevptuikxwynABEZHIKMNOPTYXgaiL",
)
"""Cyrillic, Greek and other letters that look like Latin ones."""

_PLAIN_MARKS = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛`´ʼ′", "'"),
        **dict.fromkeys("“”„‟«»″", '"'),
        **dict.fromkeys("‐‑‒−", "-"),
        **dict.fromkeys("–—―", " -- "),
        "…": "...",
        "•": " ",
    }
)
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
_COMBINING = re.compile("[\u0300-\u036f]+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_OTHER_LETTERS = re.compile("[\u0250-\u02af\u0370-\u03ff\u0400-\u052f]")
_LATIN = re.compile("[A-Za-z]")
_MARKUP = re.compile(r"<[^<>]{1,200}>|\\[nrt]|\[\d{1,3}(?:[,\-]\s?\d{1,3})*\]|https?://\S+")
_REPLACED = (
    (_MARKUP, " ", ("<", "\\", "[", "://")),
    (re.compile(r"[*_#~|]+"), " ", tuple("*_#~|")),
    # No blanks before the mark, though they may stand there: a search for a run of them would be quadratic.
    (re.compile(r"-{2,}\s*| - "), " -- ", ("--", " - ")),
    (re.compile(r"(?:\. ?){3,}"), "... ", ("..", ". .")),
    (re.compile("''"), '"', ("''",)),
)
"""(pattern, replacement, signs: every match has at least one of them)"""
_TOKENISED = re.compile(r" (?=[,.;:!?](?: |\Z)|n't\b|'(?:s|re|ve|ll|d|m)\b)")
_TOKENISED_SIGNS = (" ,", " .", " ;", " :", " !", " ?", " n't", " '")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
# How assistants begin when they talk to the person who asked.
_PREAMBLE = re.compile(
    r"\s*(?:(?:sure|certainly|of course|absolutely|okay|ok)\b[^.:!?]{0,80}[.!:,]\s*)?"
    r"(?:(?:here(?:'s| is| are)|below is|this is) (?:an?|the|your|my|one|some)\b[^.:!?]{0,120}:\s*)?",
    re.IGNORECASE,
)
_ENDING = re.compile(r"[.!?][\"')\]]*(?=\s|\Z)")
_LARGEST_CUT_SHARE = 0.3
_DECOMPOSED_CHARACTERS = 200


def count_disguises(text: str) -> tuple[int, int]:
    """The number of invisible characters in a text, and of letters of other scripts among Latin ones."""
    if text.isascii():
        return 0, 0
    return len(_INVISIBLE.findall(text)), len(_OTHER_LETTERS.findall(text)) if _is_latin(text) else 0


def _is_latin(text: str) -> bool:
    return len(_LATIN.findall(text)) > len(_OTHER_LETTERS.findall(text))


def clean(text: str) -> str:
    """One line of text as the model knows it: plain marks, no accents, no markup, whole sentences."""
    if not text.isprintable():
        text = _CONTROLS.sub(" ", text)
    text = plain_letters(text)
    for pattern, other, signs in _REPLACED:
        # Most texts have none of the signs, and looking for them is much faster than the regular expression.
        if any(sign in text for sign in signs):
            text = pattern.sub(other, text)
    text = " ".join(text.split())
    if any(sign in text for sign in _TOKENISED_SIGNS):
        text = _TOKENISED.sub("", text)
    preamble = _PREAMBLE.match(text)
    return _whole_sentences(text[preamble.end() :] if preamble else text)


def plain_letters(text: str) -> str:
    """The text without invisible characters and accents, with plain marks and Latin letters."""
    if text.isascii():
        return text
    text = _INVISIBLE.sub("", text).translate(_PLAIN_MARKS)
    if not text.isascii():
        text = _COMBINING.sub("", _decomposed(text))
        if _OTHER_LETTERS.search(text) and _is_latin(text):
            text = text.translate(LOOK_ALIKES)
    return text


def _decomposed(text: str) -> str:
    """Compatibility decomposition (NFKD) in pieces: its time is the square of a run of combining marks."""
    pieces = range(0, len(text), _DECOMPOSED_CHARACTERS)
    return "".join(
        unicodedata.normalize("NFKD", text[start : start + _DECOMPOSED_CHARACTERS]) for start in pieces
    )


def _whole_sentences(text: str) -> str:
    """The text without the half sentence at its end, which a limit on length leaves behind."""
    if text.endswith((".", "!", "?", '"', "'", ")")):
        return text
    end = max((ending.end() for ending in _ENDING.finditer(text)), default=0)
    return text[:end] if end and len(text) - end <= _LARGEST_CUT_SHARE * len(text) else text
