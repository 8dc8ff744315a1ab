"""The language of a text, by its script and its commonest words, and the word lists of each language.

No model and no library. The word lists are in `languages/`, one file per language.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

__all__ = ["STOP_WORDS", "UNKNOWN", "any_of", "detect_language", "lists", "normalize_tag", "phrases", "words"]

UNKNOWN = "und"

_LANGUAGES = {
    path.stem: tomllib.loads(path.read_text("utf-8"))
    for path in sorted(Path(__file__).with_name("languages").glob("*.toml"))
}


def lists(name: str) -> dict[str, Any]:
    """The list of this name in each language that has one."""
    return {language: found[name] for language, found in _LANGUAGES.items() if name in found}


def words(name: str) -> dict[str, frozenset[str]]:
    """A list of single words in each language that has one."""
    return {language: frozenset(text.split()) for language, text in lists(name).items()}


def phrases(name: str) -> dict[str, list[str]]:
    """A list that commas separate, in each language that has one."""
    return {language: re.split(r",\s+", " ".join(text.split())) for language, text in lists(name).items()}


def any_of(name: str) -> str:
    """A regular expression for the lists of all languages."""
    return "|".join(each for texts in phrases(name).values() for each in texts)


STOP_WORDS = words("stop_words")

_SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("zh", re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("uk", re.compile("[іїєґІЇЄҐ]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
)
_OTHER_THAN_LATIN = re.compile("[\u0370-\u0fff\u3040-\u9fff\uac00-\ud7af]")
_SAMPLE_CHARACTERS = 4_000
_SAMPLE_TOKENS = 300
_SMALLEST_SCRIPT_SHARE = 0.2
_SMALLEST_STOP_WORD_SHARE = 0.12


def detect_language(text: str, tokens: Iterable[str]) -> str:
    """ISO 639-1 code of a text, given with its tokens; `und` if unknown."""
    sample = text[:_SAMPLE_CHARACTERS]
    if not sample.isascii():
        other = _OTHER_THAN_LATIN.findall(sample)
        if other and len(other) > _SMALLEST_SCRIPT_SHARE * sum(map(str.isalpha, sample)):
            joined = "".join(other)
            # One kana in twenty is enough for Japanese: its text is mostly Han.
            return next(
                (name for name, script in _SCRIPTS if len(script.findall(joined)) * 20 > len(other)), UNKNOWN
            )
    counts = Counter(islice(tokens, _SAMPLE_TOKENS))
    total = counts.total()
    if not total:
        return UNKNOWN
    distinct = set(counts)
    hits = {
        language: sum(map(counts.__getitem__, words & distinct)) for language, words in STOP_WORDS.items()
    }
    best = max(hits, key=lambda language: hits[language])
    runner_up = max(count for language, count in hits.items() if language != best)
    if hits[best] <= runner_up or hits[best] < _SMALLEST_STOP_WORD_SHARE * total:
        return UNKNOWN
    return best


def normalize_tag(tag: str | None) -> str:
    """The primary subtag of a BCP 47 tag in lower case ("en-GB" is "en"), or `und`."""
    primary = re.split(r"[-_]", (tag or "").strip().lower(), maxsplit=1)[0]
    return primary if re.fullmatch(r"[a-z]{2,3}", primary) else UNKNOWN
