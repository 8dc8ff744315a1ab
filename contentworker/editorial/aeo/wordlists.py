"""Phrases and patterns by language, made of its word lists (`parsing/languages/`)."""

import re
from collections.abc import Sequence

from contentworker.editorial.parsing.language import phrases, words
from contentworker.editorial.parsing.sentences import tokenize

__all__ = [
    "FILLERS",
    "PROMOTIONAL",
    "PRONOUNS",
    "QUESTION_WORDS",
    "REFERENCE",
    "REFERENCE_WORDS",
    "STATISTIC",
    "Phrases",
    "phrase_at",
]

QUESTION_WORDS, PRONOUNS = words("question_words"), words("pronouns")

Phrases = dict[str, tuple[tuple[str, ...], ...]]
"""Phrases by their first word, each as its tokens, the longest first."""


def _by_first_word(texts: Sequence[str]) -> Phrases:
    known: dict[str, list[tuple[str, ...]]] = {}
    for text in texts:
        tokens = tuple(tokenize(text))
        known.setdefault(tokens[0], []).append(tokens)
    return {first: tuple(sorted(several, key=len, reverse=True)) for first, several in known.items()}


FILLERS, PROMOTIONAL = (
    {language: _by_first_word(texts) for language, texts in phrases(name).items()}
    for name in ("fillers", "promotional")
)


def phrase_at(tokens: Sequence[str], position: int, phrases: Phrases) -> tuple[str, ...] | None:
    """The longest of the phrases that begins at this token, or None."""
    for phrase in phrases.get(tokens[position], ()):
        if tuple(tokens[position : position + len(phrase)]) == phrase:
            return phrase
    return None


# The look behind comes after the first digit: a pattern that begins with a digit is searched much faster.
_NUMBER = r"\d(?<![\w.,]\d)\d*+(?:[.,\u00a0\u202f]\d++)*+"
_SYMBOLS = (
    r"%|‰|°\s?[CF]?|[€$£¥]|(?:kg|mg|µg|km²|km/h|km|cm|mm|µm|nm|m²|m³|ml|kWh|MWh|GWh|TWh|kW|MW|GW"
    r"|kcal|kJ|MJ|GB|MB|TB|kB"
    r"|GHz|MHz|kHz|Hz|ms|mph|ft|lb|oz|bar|hPa|kPa|MPa|ppm|dB|EUR|USD|GBP|CHF|W|V|A|K|m|g|l|L|s|h|t)(?!\w)"
)
# A number alone is often a date or a list mark; with its unit it is a figure that can be quoted.
STATISTIC: dict[str, re.Pattern[str]] = {
    language: re.compile(
        rf"{_NUMBER}(?:[\s-]?(?:{_SYMBOLS})|[\s-](?i:{'|'.join(units)})(?!\w))|[€$£¥]\s?{_NUMBER}"
    )
    for language, units in phrases("units").items()
}

REFERENCE = re.compile(
    r"\b(?i:doi:?\s?10\.\d|doi\.org/|arxiv[: ]\s?\d|isbn[: ]|rfc\s?\d{3,5}\b)"
    r"|\([^()]{2,60},\s(?:1[5-9]|20)\d\d[a-z]?\)|\[\d{1,3}\]"
    r"|\b(?i:according to|laut|según|selon|d'après)\s+(?:(?i:the|der|die|das|el|la|los|las|le|les"
    r"|an?|einer|una?)\s+)?[^\W\d_a-z]"
)
REFERENCE_WORDS = frozenset(
    ["doi", "arxiv", "isbn", "rfc", "org", "according", "laut", "según", "selon", "d'après"]
)
"""A sentence with none of these words and no bracket holds no reference."""
