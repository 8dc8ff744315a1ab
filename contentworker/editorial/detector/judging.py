"""From a parsed article to a verdict: which text is judged, when the detector abstains, what drove it."""

import re
from itertools import accumulate
from typing import Any

import numpy as np

from contentworker.editorial.detector.cleaning import clean, count_disguises, plain_letters
from contentworker.editorial.detector.model import Model
from contentworker.editorial.detector.passages import PASSAGE_WORDS, mixed_passages
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
from contentworker.editorial.document import Document, Sentence
from contentworker.editorial.parsing.language import UNKNOWN, detect_language
from contentworker.editorial.parsing.sentences import tokenize
from contentworker.editorial.ranges import Ranges
from contentworker.editorial.settings import ContentSettings

__all__ = ["FEWEST_WORDS", "LANGUAGES", "MOST_WORDS", "judge"]

MOST_WORDS = 1_000
"""The length of the longest texts of the training. Longer articles are judged in evenly spaced windows."""
MOST_CHARACTERS = 50 * MOST_WORDS
"""Far more characters than 1,000 words have. Bounds the work for text without words, such as dashes alone."""
LANGUAGES = ("en",)
MEANINGS: dict[Verdict, str] = {
    "ai": "Reads like a known model. So do {people:.1%} of people's texts, {worst_people:.0%} in the worst "
    "group: look for other reasons.",
    "no_sign": "Says nothing about who wrote it: {missed:.0%} of known models' articles and up to "
    "{missed_unknown:.0%} of others' show no sign.",
    "abstained": "Not judged. This says nothing about who wrote it.",
}
"""`Detection.meaning` by verdict, short enough for a notification. The rates are those of `Model.rates`."""
_WINDOWS = MOST_WORDS // PASSAGE_WORDS
"""Windows of a long article, each as long as a passage."""
_LANGUAGE_CHARACTERS = 2_000
_MOST_SENTENCES = 5
_MOST_STYLE = 5
_LARGEST_QUOTED_SHARE = 0.5
_LARGEST_CODE_SHARE = 0.5
_FEWEST_LINES = 5
"""With fewer lines, the share that looks like code says nothing."""
_CODE_OPENS = re.compile(r"^(?:```|~~~)|<(?:pre|code)\b", re.MULTILINE | re.IGNORECASE)
_CODE_CLOSES = {
    "```": re.compile("^```", re.MULTILINE),
    "~~~": re.compile("^~~~", re.MULTILINE),
    "<pre": re.compile("</pre>", re.IGNORECASE),
    "<code": re.compile("</code>", re.IGNORECASE),
}
_CODE_LINE = re.compile(
    r"\s*+(?:(?:def|class|import|from|return|function|const|let|var|public|private|if \(|for \("
    r"|#include|SELECT|</?\w)|[\w.\[\]]++\s*+[+\-*/]?=\s*+\S)"
)
_CALL = re.compile(r"\w\(")
_LISTED_WORDS = 5
_LONG_QUOTATION_WORDS = 20
"""Shorter quotations are mostly what the people of a story say, and its author wrote that."""


_MIXED = (
    "{} of its passages read like a model's and others do not: two authors may be mixed (see `passages`)."
)


def judge(document: Document, *, model: Model, settings: ContentSettings) -> Detection:
    """Judge who wrote an article. It never raises: where it cannot judge, it abstains and says why."""
    sentences = _own_prose(document)
    words = sum(sentence.words for sentence in sentences)
    chosen = _not_too_long(_windows(sentences, words))
    text = " ".join(sentence.text for sentence in chosen)
    cleaned = clean(text)
    language = detect_language(cleaned, tokenize(cleaned[:_LANGUAGE_CHARACTERS]))
    if language == UNKNOWN:
        language = document.language
    features = features_of([cleaned], model)
    judged = int(features.words[0])
    facts: dict[str, Any] = {
        "ai_from": model.ai_from,
        "false_positive_rate": model.rates["people"],
        "worst_false_positive_rate": model.rates["worst_people"],
        "recall_known": model.rates["known"],
        "recall_unknown": model.rates["unknown"],
        "knows_generators_until": model.knows_until,
        "words": max(words, judged),
        "words_judged": judged,
        "language": language,
        "warnings": _warnings(document, words, judged, text, cut=len(chosen) < len(sentences)),
        "model_version": model.version,
    }
    reason = _abstains(document, sentences, words=judged, language=language)
    if reason:
        facts |= {"verdict": "abstained", "probability": None, "abstained": reason}
        return Detection(meaning=_meaning("abstained", model), sentences=(), style=(), **facts)
    parts = score(features, model)
    probability = float(np.round(to_probability(parts.log_odds)[0], 6))
    slope = float(parts.slope[0]) / parts.parts.shape[1]
    verdict: Verdict = "ai" if probability >= model.ai_from else "no_sign"
    plain = [plain_letters(sentence.text) for sentence in chosen]
    shares = sentence_shares(plain, cleaned, features, model) * slope
    passages = mixed_passages(chosen, model)
    if passages:
        facts["warnings"] += (_MIXED.format(len(passages)),)
    return Detection(
        verdict=verdict,
        meaning=_meaning(verdict, model),
        probability=probability,
        abstained=None,
        sentences=_sentences(chosen, shares, settings),
        passages=passages,
        style=_style(features.style[0], slope, model),
        **facts,
    )


def _meaning(verdict: Verdict, model: Model) -> str:
    rates = model.rates
    return MEANINGS[verdict].format(**rates, missed=1 - rates["known"], missed_unknown=1 - rates["unknown"])


def _own_prose(document: Document) -> list[Sentence]:
    """The sentences to judge: without those that are mostly part of a long quotation."""
    quoted = Ranges(each for each in document.quotations if len(each.text.split()) >= _LONG_QUOTATION_WORDS)
    return [
        sentence
        for sentence in document.sentences
        if _is_prose(sentence)
        and 2 * quoted.overlap(sentence.start, sentence.end) <= sentence.end - sentence.start
    ]


def _is_prose(sentence: Sentence) -> bool:
    """Running text, and list items that are sentences. Not cells, and not block quotes: others wrote them."""
    if sentence.kind == "item":
        return sentence.words >= _LISTED_WORDS and sentence.text.endswith((".", "!", "?"))
    return sentence.kind == "paragraph"


def _windows(sentences: list[Sentence], words: int) -> list[Sentence]:
    """All of a text of up to 1,000 words; of more, the sentences that begin in five evenly spaced windows."""
    if words <= MOST_WORDS:
        return sentences
    size = MOST_WORDS // _WINDOWS
    starts = [round(place * (words - size) / (_WINDOWS - 1)) for place in range(_WINDOWS)]
    before = accumulate((sentence.words for sentence in sentences), initial=0)
    return [
        sentence
        for sentence, place in zip(sentences, before, strict=False)
        if any(start <= place < start + size for start in starts)
    ]


def _not_too_long(sentences: list[Sentence]) -> list[Sentence]:
    """The sentences that fit into `MOST_CHARACTERS`: dashes, for example, make no word."""
    chosen, left = [], MOST_CHARACTERS
    for sentence in sentences:
        if len(sentence.text) <= left:
            chosen.append(sentence)
            left -= len(sentence.text)
    return chosen


def _abstains(
    document: Document, sentences: list[Sentence], *, words: int, language: str
) -> Abstained | None:
    if document.state == "no_article":
        return "no_article"
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
    """The share of code in an article: what is marked as code, or else the lines that look like it."""
    prose = sum(len(sentence.text) for sentence in sentences)
    marked = _marked_as_code(document.source) if document.media_type != "text" else 0
    if marked:
        return marked / (marked + prose)
    lines = [line for line in document.source[:100_000].splitlines() if line.strip()]
    if document.media_type == "html" or len(lines) < _FEWEST_LINES:
        return 0.0
    code = sum(len(line) for line in lines if _is_code(line))
    return code / sum(map(len, lines))


def _marked_as_code(source: str) -> int:
    """Characters in closed fences, `<pre>` and `<code>`, with their marks.

    Once a mark has no closing one, the search for it stops: repeating it would be quadratic.
    """
    marked, position, unclosed = 0, 0, set[str]()
    while opening := _CODE_OPENS.search(source, position):
        mark = opening[0].lower()
        closing = None if mark in unclosed else _CODE_CLOSES[mark].search(source, opening.end())
        if closing is None:
            unclosed.add(mark)
        else:
            marked += closing.end() - opening.start()
        position = (closing or opening).end()
    return marked


def _is_code(line: str) -> bool:
    """Whether a line begins or ends like code.

    A regular expression must not look for the end: it would search from each bracket in the line.
    """
    line = line.rstrip()
    if line.endswith((";", "{", "}")) or _CODE_LINE.match(line):
        return True
    return line.removesuffix(":").rstrip().endswith(")") and _CALL.search(line) is not None


def _warnings(document: Document, words: int, judged: int, text: str, *, cut: bool) -> tuple[str, ...]:
    warnings = []
    if document.state == "several_articles":
        warnings.append("The page holds several articles, which were judged as one.")
    elif not document.is_certain:
        warnings.append("It is not certain which part of the page is the article.")
    if cut:
        warnings.append(
            f"Of {words} words {judged} were judged, in {_WINDOWS} evenly spaced windows; the text between "
            "them was not looked at."
        )
    invisible, foreign = count_disguises(text)
    if invisible:
        warnings.append(f"{invisible} invisible characters were taken out before judging.")
    if foreign:
        warnings.append(
            f"{foreign} letters of other scripts stand among Latin ones; those that look alike were read as "
            "Latin."
        )
    if document.quotations:
        warnings.append(
            f"Quotations of {_LONG_QUOTATION_WORDS} words and more were left out; shorter ones were judged, "
            "and someone else may have written them."
        )
    return tuple(warnings)


def _sentences(
    chosen: list[Sentence], shares: np.typing.NDArray[np.float64], settings: ContentSettings
) -> tuple[SentenceShare, ...]:
    order = np.argsort(-np.abs(shares), kind="stable")[:_MOST_SENTENCES]
    limit = settings.max_excerpt_characters
    return tuple(
        SentenceShare(
            text=text if len(text := chosen[index].text) <= limit else text[: limit - 1].rstrip() + "…",
            start=chosen[index].start,
            end=chosen[index].end,
            share=round(float(shares[index]), 3),
        )
        for index in order
    )


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
