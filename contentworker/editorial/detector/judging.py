"""From a parsed article to a verdict: what is judged, when the detector abstains, what drove it."""

import re
from typing import Any

import numpy as np

from contentworker.editorial.detector.cleaning import clean, count_disguises, plain_letters
from contentworker.editorial.detector.model import Model
from contentworker.editorial.detector.result import Abstained, Detection, SentenceShare, StyleShare, Verdict
from contentworker.editorial.detector.scoring import (
    FEWEST_WORDS,
    feature_shares,
    features_of,
    score,
    sentence_shares,
    to_probability,
)
from contentworker.editorial.detector.style import FEATURES
from contentworker.editorial.document import Document, Quotation, Sentence
from contentworker.editorial.parsing.language import UNKNOWN, detect_language
from contentworker.editorial.parsing.sentences import tokenize
from contentworker.editorial.settings import ContentSettings

__all__ = ["FEWEST_WORDS", "LANGUAGES", "MOST_WORDS", "judge"]

MOST_WORDS = 1_000
"""As long as the longest texts of the training; of more, evenly spaced windows are judged."""
LANGUAGES = ("en",)
FALSE_POSITIVE_RATE = 0.01
_WINDOWS = 5
_LANGUAGE_CHARACTERS = 2_000
_MOST_SENTENCES = 5
_MOST_STYLE = 5
_LARGEST_QUOTED_SHARE = 0.5
_LARGEST_CODE_SHARE = 0.5
_FENCED = re.compile(r"^(```|~~~).*?^\1|<(pre|code)\b.*?</\2>", re.MULTILINE | re.DOTALL | re.IGNORECASE)
_CODE_LINE = re.compile(
    r"[;{}]\s*$|^\s*(?:def|class|import|from|return|function|const|let|var|public|private|if \(|for \("
    r"|#include|SELECT|</?\w)|\w\(.*\)\s*[:;{]?\s*$|^\s*[\w.\[\]]+\s*[+\-*/]?=\s*\S"
)
_LISTED_WORDS = 5
_LONG_QUOTATION_WORDS = 20
"""Shorter ones are mostly what people in a story say, which its author wrote."""


def judge(document: Document, *, model: Model, settings: ContentSettings) -> Detection:
    """Judge who wrote an article. Never raises: what cannot be judged is abstained from, with the reason."""
    sentences = _own_prose(document)
    words = sum(sentence.words for sentence in sentences)
    chosen = _windows(sentences, words)
    text = " ".join(sentence.text for sentence in chosen)
    cleaned = clean(text)
    language = detect_language(cleaned, tokenize(cleaned[:_LANGUAGE_CHARACTERS]))
    if language == UNKNOWN:
        language = document.language
    features = features_of([cleaned], model)
    judged = int(features.words[0])
    facts: dict[str, Any] = {
        "human_below": model.human_below,
        "ai_from": model.ai_from,
        "false_positive_rate": FALSE_POSITIVE_RATE,
        "words": max(words, judged),
        "words_judged": judged,
        "language": language,
        "warnings": _warnings(document, words, judged, text, cut=len(chosen) < len(sentences)),
        "model_version": model.version,
    }
    reason = _abstains(document, sentences, words=judged, language=language)
    if reason:
        return Detection(
            verdict="uncertain", probability=None, abstained=reason, sentences=(), style=(), **facts
        )
    found = score(features, model)
    probability = float(np.round(to_probability(found.log_odds)[0], 6))
    slope = float(found.slope[0]) / found.parts.shape[1]
    plain = [plain_letters(sentence.text) for sentence in chosen]
    shares = sentence_shares(plain, cleaned, features, model) * slope
    return Detection(
        verdict=_verdict(probability, model),
        probability=probability,
        abstained=None,
        sentences=_sentences(chosen, shares, settings),
        style=_style(features.style[0], slope, model),
        **facts,
    )


def _own_prose(document: Document) -> list[Sentence]:
    """The sentences to judge: without those that are mostly part of a long quotation."""
    quoted = [found for found in document.quotations if len(found.text.split()) >= _LONG_QUOTATION_WORDS]
    return [
        sentence
        for sentence in document.sentences
        if _is_prose(sentence)
        and 2 * sum(_overlap(sentence, found) for found in quoted) <= sentence.end - sentence.start
    ]


def _overlap(sentence: Sentence, quotation: Quotation) -> int:
    return max(0, min(sentence.end, quotation.end) - max(sentence.start, quotation.start))


def _is_prose(sentence: Sentence) -> bool:
    """Running text, and list items that are sentences; no cells and no block quotes, which others wrote."""
    if sentence.kind == "item":
        return sentence.words >= _LISTED_WORDS and sentence.text.endswith((".", "!", "?"))
    return sentence.kind == "paragraph"


def _windows(sentences: list[Sentence], words: int) -> list[Sentence]:
    """All of a text of up to 1,000 words; else whole sentences of five windows, evenly spaced."""
    if words <= MOST_WORDS:
        return sentences
    chosen = []
    before, size = 0, MOST_WORDS // _WINDOWS
    starts = [round(place * (words - size) / (_WINDOWS - 1)) for place in range(_WINDOWS)]
    for sentence in sentences:
        if any(start <= before < start + size for start in starts):
            chosen.append(sentence)
        before += sentence.words
    return chosen


def _abstains(
    document: Document, sentences: list[Sentence], *, words: int, language: str
) -> Abstained | None:
    quoted = sum(len(quotation.text.split()) for quotation in document.quotations)
    if quoted > _LARGEST_QUOTED_SHARE * max(document.words, 1):
        return "quotation"
    if _code_share(document, sentences) > _LARGEST_CODE_SHARE:
        return "code"
    if language not in (*LANGUAGES, UNKNOWN):
        return "language"
    if words < FEWEST_WORDS:
        return "too_short"
    return "language" if language == UNKNOWN else None


def _code_share(document: Document, sentences: list[Sentence]) -> float:
    """The part of an article that is code: what is marked as such, or looks like it line by line."""
    prose = sum(len(sentence.text) for sentence in sentences)
    marked = 0
    if document.media_type != "text":
        marked = sum(len(found[0]) for found in _FENCED.finditer(document.source))
    if marked:
        return marked / (marked + prose)
    lines = [line for line in document.source[:100_000].splitlines() if line.strip()]
    if document.media_type == "html" or len(lines) < 5:
        return 0.0
    code = sum(len(line) for line in lines if _CODE_LINE.search(line))
    return code / sum(map(len, lines))


def _warnings(document: Document, words: int, judged: int, text: str, *, cut: bool) -> tuple[str, ...]:
    found = []
    if cut:
        found.append(
            f"Of {words} words {judged} were judged, in {_WINDOWS} evenly spaced windows; what stands "
            "between them was not looked at."
        )
    invisible, foreign = count_disguises(text)
    if invisible:
        found.append(f"{invisible} invisible characters were taken out before judging.")
    if foreign:
        found.append(f"{foreign} letters of another script, some of which look Latin, were read as Latin.")
    if document.quotations:
        found.append(
            f"Quotations of {_LONG_QUOTATION_WORDS} words and more were left out; shorter ones were judged, "
            "and somebody else may have written them."
        )
    return tuple(found)


def _verdict(probability: float, model: Model) -> Verdict:
    if probability >= model.ai_from:
        return "ai"
    return "human" if probability < model.human_below else "uncertain"


def _sentences(
    chosen: list[Sentence], shares: np.typing.NDArray[np.float64], settings: ContentSettings
) -> tuple[SentenceShare, ...]:
    order = np.argsort(-np.abs(shares), kind="stable")[:_MOST_SENTENCES]
    limit = settings.max_excerpt_characters
    return tuple(
        SentenceShare(
            text=_clipped(chosen[index].text, limit),
            start=chosen[index].start,
            end=chosen[index].end,
            share=round(float(shares[index]), 3),
        )
        for index in order
    )


def _clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _style(row: np.typing.NDArray[np.float64], slope: float, model: Model) -> tuple[StyleShare, ...]:
    shares = feature_shares(row, model) * slope
    order = np.argsort(-np.abs(shares), kind="stable")[:_MOST_STYLE]
    return tuple(
        StyleShare(
            name=FEATURES[index],
            value=float(row[index]),
            typical_human=round(float(model.typical[index, 0]), 5),
            typical_ai=round(float(model.typical[index, 1]), 5),
            share=round(float(shares[index]), 3),
        )
        for index in order
    )
