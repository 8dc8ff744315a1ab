"""Refuses a rewrite that does not say what the original said. A net, not a proof.

The thresholds are those of a trial with the embedded model; `benchmarks/guard.py` measures how many damaged
rewrites they let through and how many harmless ones they refuse.
"""

# ruff: noqa: RUF001 -- the punctuation of other languages is what it looks for

import re
from collections import Counter
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher

from contentworker.editorial.aeo.terms import stemmer
from contentworker.editorial.parsing.language import STOP_WORDS, UNKNOWN, detect_language
from contentworker.editorial.parsing.sentences import sentence_spans, tokenize
from contentworker.editorial.rewriting.result import Refusal
from contentworker.editorial.rewriting.wordlists import (
    CHATTY,
    COMPARISONS,
    NEGATIONS,
    NUMBER_WORDS,
    UNITS,
)

__all__ = ["is_unchanged", "refusals"]

UNCHANGED_SIMILARITY = 0.97
SENTENCE_LENGTH = (0.45, 1.35)
PARAGRAPH_LENGTH = (0.6, 1.5)
MOST_REPEATED = 0.12
REPEATED_WORDS = 4
MOST_NEW_CONTENT = 0.5
LEAST_RECALL = 0.75
SHORTEST_JUDGED_TOKENS = 6
"""Of fewer words no language can be told."""

_LINK = re.compile(r"(?:https?://|www\.)[^\s<>()\"']+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_NUMBER = re.compile(
    r"([$€£¥]?)\s?(?<![\w.,])(\d[\d.,\u00a0\u202f]*\d|\d)\s?(%|°\s?[CF]?|[A-Za-zµ€$£¥/²³]+)?"
)
_QUOTED = re.compile(r"“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|(?<!\w)\"([^\"]+)\"(?!\w)")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_MARKUP = re.compile(r"[*_`#<>\[\]{}|~\\]|https?:|^\s*[-+](?=\s)|^\s*\d+[.)](?=\s)")
_NOT_FROM = re.compile(r"n['’]t\b", re.IGNORECASE)


def is_unchanged(original: str, rewritten: str) -> bool:
    """Whether a model gave back what it got: so similar that it counts as no rewrite."""
    return SequenceMatcher(None, original, rewritten, autojunk=False).ratio() > UNCHANGED_SIMILARITY


def refusals(
    original: str, rewritten: str, language: str, *, is_paragraph: bool = False
) -> tuple[Refusal, ...]:
    """Every rule that a rewrite of a sentence, or of a paragraph, breaks; none: it may stand.

    Args:
        original: As it stood, plain text.
        rewritten: The model's answer, plain text.
        language: ISO 639 code of the article's language, or `und`.
        is_paragraph: More than a sentence: may grow and shrink less, may hold several sentences.
    """
    if not rewritten.strip():
        return (Refusal(rule="empty", detail="the model answered nothing"),)
    found = [*_common(original, rewritten, language)]
    if is_paragraph:
        found += _length(original, rewritten, PARAGRAPH_LENGTH)
    else:
        found += _length(original, rewritten, SENTENCE_LENGTH)
        found += _one_sentence(original, rewritten)
    return tuple(Refusal(rule=rule, detail=detail) for rule, detail in found)


_Found = Iterator[tuple[str, str]]


def _common(original: str, rewritten: str, language: str) -> _Found:
    yield from _same("numbers", _numbers, original, rewritten, language)
    yield from _same("links", _links, original, rewritten, language)
    yield from _same("quotations", _quotations, original, rewritten, language)
    yield from _names(original, rewritten)
    yield from _same("negations", _negations, original, rewritten, language)
    yield from _same("comparisons", _comparisons, original, rewritten, language)
    yield from _repetition(original, rewritten)
    yield from _content(original, rewritten, language)
    yield from _chatty(original, rewritten)
    yield from _markup(original, rewritten)
    yield from _language(original, rewritten, language)


_Facts = Callable[[str, str], Counter[str]]


def _same(rule: str, facts: _Facts, original: str, rewritten: str, language: str) -> _Found:
    before, after = facts(original, language), facts(rewritten, language)
    if before != after:
        gone, new = list((before - after).elements()), list((after - before).elements())
        parts = [f"{word}: {', '.join(items[:3])}" for word, items in (("gone", gone), ("new", new)) if items]
        yield rule, "; ".join(parts)


def _numbers(text: str, language: str) -> Counter[str]:
    """Numbers with their units, as 48 % and $3; in words as well. Of links, none."""
    words = NUMBER_WORDS.get(language, {})
    text = _WORD.sub(lambda match: words.get(match[0].lower(), match[0]), _LINK.sub(" ", text))
    found: Counter[str] = Counter()
    for sign, number, unit in _NUMBER.findall(text):
        value = number.replace("\u00a0", "").replace("\u202f", "").rstrip(".,")
        found[f"{sign}{value}{UNITS.get(_bare(unit), '')}"] += 1
    return found


def _bare(unit: str) -> str:
    return unit.strip().lower().replace("° ", "°")


def _links(text: str, language: str) -> Counter[str]:
    return Counter(match.rstrip(".,;:!?") for match in _LINK.findall(text))


def _quotations(text: str, language: str) -> Counter[str]:
    return Counter(" ".join(next(filter(None, parts)).split()) for parts in _QUOTED.findall(text))


def _names(original: str, rewritten: str) -> _Found:
    """Words with a capital in mid-sentence. One that begins a sentence on the other side counts there."""
    gone = _capitals(original, mid_sentence=True) - _capitals(rewritten, mid_sentence=False)
    new = _capitals(rewritten, mid_sentence=True) - _capitals(original, mid_sentence=False)
    if gone or new:
        parts = [
            f"{word}: {', '.join(sorted(names)[:3])}"
            for word, names in (("gone", gone), ("new", new))
            if names
        ]
        yield "names", "; ".join(parts)


def _capitals(text: str, *, mid_sentence: bool) -> set[str]:
    found: set[str] = set()
    for start, end in sentence_spans(text):
        words = _WORD.findall(text, start, end)
        for word in words[1:] if mid_sentence else words:
            if word[0].isupper() and word not in ("I", "I'm", "I've", "I'll", "I'd"):
                found.add(re.sub(r"['’]s$", "", word))
    return found


def _negations(text: str, language: str) -> Counter[str]:
    words = NEGATIONS.get(language, frozenset())
    count = sum(token in words for token in tokenize(text))
    if language == "en":
        count += len(_NOT_FROM.findall(text))
    return Counter({"negation": count} if count else {})


def _comparisons(text: str, language: str) -> Counter[str]:
    words = COMPARISONS.get(language, {})
    return Counter(words[token] for token in tokenize(text) if token in words)


def _length(original: str, rewritten: str, bounds: tuple[float, float]) -> _Found:
    ratio = len(rewritten) / max(1, len(original))
    if not bounds[0] <= ratio <= bounds[1]:
        yield "length", f"{ratio:.2f} times the original; allowed: {bounds[0]} to {bounds[1]}"


def _one_sentence(original: str, rewritten: str) -> _Found:
    before, after = len(sentence_spans(original)), len(sentence_spans(rewritten))
    if after > before + 1:
        yield "sentences", f"{after} sentences for {before}"


def _repetition(original: str, rewritten: str) -> _Found:
    share = _repeated(tokenize(rewritten))
    if share > max(MOST_REPEATED, _repeated(tokenize(original))):
        yield "repetition", f"{share:.0%} of its runs of {REPEATED_WORDS} words are repeated"


def _repeated(tokens: list[str]) -> float:
    runs = [
        tuple(tokens[index : index + REPEATED_WORDS]) for index in range(len(tokens) - REPEATED_WORDS + 1)
    ]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _content(original: str, rewritten: str, language: str) -> _Found:
    before, after = _content_stems(original, language), _content_stems(rewritten, language)
    if not before or not after:
        return
    new = len(after - before) / len(after)
    if new > MOST_NEW_CONTENT:
        yield "new words", f"{new:.0%} of its content words are new"
    recall = len(before & after) / len(before)
    if recall < LEAST_RECALL:
        yield "recall", f"only {recall:.0%} of the original's content words are left"


def _content_stems(text: str, language: str) -> set[str]:
    """Numbers and units left out, which may be spelled in several ways and are compared by themselves."""
    left_out = {*STOP_WORDS.get(language, ()), *NUMBER_WORDS.get(language, ()), *UNITS}
    stem = stemmer(language)
    tokens = tokenize(_LINK.sub(" ", text))
    return {stem(token) for token in tokens if token not in left_out and not token[0].isdigit()}


def _chatty(original: str, rewritten: str) -> _Found:
    if CHATTY.match(rewritten) and not CHATTY.match(original):
        yield "chatty", "it begins by talking to somebody"


def _markup(original: str, rewritten: str) -> _Found:
    new = set(_MARKUP.findall(rewritten)) - set(_MARKUP.findall(original))
    if new:
        yield "markup", f"new: {' '.join(sorted(new))}"


def _language(original: str, rewritten: str, language: str) -> _Found:
    tokens = tokenize(rewritten)
    known = language if language != UNKNOWN else detect_language(original, tokenize(original))
    found = detect_language(rewritten, tokens) if len(tokens) >= SHORTEST_JUDGED_TOKENS else UNKNOWN
    if UNKNOWN not in (known, found) and found != known:
        yield "language", f"{found}, not {known}"
