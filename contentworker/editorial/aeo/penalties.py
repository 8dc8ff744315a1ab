"""Penalties, which take points off, and caps on the total."""

from collections import Counter
from collections.abc import Sequence

from contentworker.editorial.aeo.analysis import Advice, Analysis, Finding, quote
from contentworker.editorial.aeo.result import Cap, Evidence
from contentworker.editorial.aeo.rubric import NOINDEX_CAP, STUB_CAP, ramp
from contentworker.editorial.aeo.terms import QuestionTerms
from contentworker.editorial.aeo.wordlists import PROMOTIONAL, phrase_at
from contentworker.editorial.document import Document, Sentence
from contentworker.editorial.parsing.language import STOP_WORDS
from contentworker.editorial.settings import ContentSettings

__all__ = ["caps", "promotional", "stuffing"]

_FEWEST_REPEATS = 6


def stuffing(analysis: Analysis, asked: Sequence[QuestionTerms]) -> Finding:
    """The larger of two shares of all words, each from six occurrences on.

    One term: ramp .05-.11. All terms of one question together: ramp .14-.24 (of the passages that answer
    Natural Questions one in twenty exceeds .14). None without a list of function words for the language.
    """
    document, vocabulary = analysis.document, analysis.vocabulary
    stop_words = STOP_WORDS.get(document.language)
    if not stop_words or not document.words:
        return Finding(None)
    counts: Counter[str] = Counter()
    for token in vocabulary.counts.keys() - stop_words:
        if not token.isdigit():
            counts[vocabulary.stems[token]] += vocabulary.counts[token]
    groups = [({term}, 0.05, 0.11) for term in counts]
    groups += [(counts.keys() & question.words.keys(), 0.14, 0.24) for question in asked]
    shares = [
        (ramp(count / document.words, low, high), terms)
        for terms, low, high in groups
        if (count := sum(map(counts.__getitem__, terms))) >= _FEWEST_REPEATS
    ]
    worst, terms = max(shares, key=lambda item: (item[0], sorted(item[1])), default=(0.0, set[str]()))
    return Finding(worst, *_stuffed(analysis, terms)) if worst else Finding(0.0)


def _stuffed(analysis: Analysis, terms: set[str]) -> tuple[list[Evidence], Advice]:
    document, stems = analysis.document, analysis.vocabulary.stems
    place = max(document.sentences, key=lambda s: sum(stems[token] in terms for token in s.tokens))
    words = ", ".join(dict.fromkeys(token for token in place.tokens if stems[token] in terms))
    count = sum(number for token, number in analysis.vocabulary.counts.items() if stems[token] in terms)
    note = f"{quote(words)}: {count / document.words:.1%} of all words"
    advice = Advice(f"Say {quote(words)} less often ({count} in {document.words} words), here first.", place)
    return [analysis.evidence(place.text, place, note)], advice


def promotional(analysis: Analysis) -> Finding:
    """Promotional phrases and runs of exclamation marks per 100 words, ramp .5-3.

    None without a list of phrases for the language.
    """
    document = analysis.document
    phrases = PROMOTIONAL.get(document.language)
    if phrases is None or not document.words:
        return Finding(None)
    words = analysis.vocabulary.counts.keys()
    firsts = {first for first in phrases.keys() & words if any(words >= set(rest) for rest in phrases[first])}
    hits: list[tuple[Sentence, str]] = []
    for sentence in document.sentences:
        if firsts and not firsts.isdisjoint(sentence.tokens):
            starts = [index for index, token in enumerate(sentence.tokens) if token in firsts]
            phrases_at = (phrase_at(sentence.tokens, index, phrases) for index in starts)
            hits += [(sentence, " ".join(hit)) for hit in phrases_at if hit]
        if "!!" in sentence.text:
            hits.append((sentence, "!!"))
    if not hits:
        return Finding(0.0)
    sentence, phrase = hits[0]
    shown = hits[: analysis.most_evidence]
    evidence = [analysis.evidence(sentence.text, sentence, phrase) for sentence, phrase in shown]
    advice = Advice(f"Replace {quote(phrase)} by a fact.", sentence)
    return Finding(ramp(100 * len(hits) / document.words, 0.5, 3), evidence, advice)


def caps(document: Document, settings: ContentSettings) -> list[Cap]:
    """The limits on the total that hold for this article."""
    robots = ",".join(span.text for span in document.metadata.robots).lower()
    directives = {directive.strip() for directive in robots.split(",")}
    limits = []
    if directives & {"noindex", "none"}:
        limits.append(("noindex", NOINDEX_CAP, "The page asks engines to leave it out of their index."))
    if {directive.replace(" ", "") for directive in directives} & {"nosnippet", "max-snippet:0"}:
        limits.append(("nosnippet", NOINDEX_CAP, "The page forbids engines to show any of its text."))
    if not document.words:
        limits.append(("empty", 0.0, "There is no text."))
    elif document.words < settings.stub_words:
        reason = f"{document.words} words are fewer than {settings.stub_words}: there is too little to quote."
        limits.append(("stub", STUB_CAP, reason))
    return [Cap(name=name, limit=limit, reason=reason) for name, limit, reason in limits]
