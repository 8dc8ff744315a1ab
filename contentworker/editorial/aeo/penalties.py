"""What takes points off, and what caps the total."""

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
    terms: dict[str, int] = {}
    counts, stems = vocabulary.counts, vocabulary.stems
    for token in counts.keys() - stop_words:
        if not token.isdigit():
            term = stems[token]
            terms[term] = terms.get(term, 0) + counts[token]
    groups = [({term}, count, 0.05, 0.11) for term, count in terms.items() if count >= _FEWEST_REPEATS]
    for question in asked:
        found = {term for term in question.words if term in terms}
        groups.append((found, sum(terms[term] for term in found), 0.14, 0.24))
    worst = max(
        (
            (ramp(count / document.words, low, high), found)
            for found, count, low, high in groups
            if count >= _FEWEST_REPEATS
        ),
        key=lambda item: (item[0], sorted(item[1])),
        default=(0.0, set[str]()),
    )
    if not worst[0]:
        return Finding(0.0)
    return Finding(worst[0], *_stuffed(analysis, worst[1]))


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
    found: list[tuple[Sentence, str]] = []
    for sentence in document.sentences:
        if firsts and not firsts.isdisjoint(sentence.tokens):
            starts = [index for index, token in enumerate(sentence.tokens) if token in firsts]
            hits = (phrase_at(sentence.tokens, index, phrases) for index in starts)
            found += [(sentence, " ".join(hit)) for hit in hits if hit]
        if "!!" in sentence.text:
            found.append((sentence, "!!"))
    if not found:
        return Finding(0.0)
    sentence, phrase = found[0]
    shown = found[: analysis.most_evidence]
    evidence = [analysis.evidence(sentence.text, sentence, phrase) for sentence, phrase in shown]
    advice = Advice(f"Replace {quote(phrase)} by a fact.", sentence)
    return Finding(ramp(100 * len(found) / document.words, 0.5, 3), evidence, advice)


def caps(document: Document, settings: ContentSettings) -> list[Cap]:
    """The limits on the total that hold for this article."""
    found = []
    directives = [part.strip().lower() for span in document.metadata.robots for part in span.text.split(",")]
    if any(directive in ("noindex", "none") for directive in directives):
        found.append(
            Cap(
                name="noindex",
                limit=NOINDEX_CAP,
                reason="The page asks engines to leave it out of their index.",
            )
        )
    if any(directive.replace(" ", "") in ("nosnippet", "max-snippet:0") for directive in directives):
        found.append(
            Cap(
                name="nosnippet",
                limit=NOINDEX_CAP,
                reason="The page forbids engines to show any of its text.",
            )
        )
    if not document.words:
        found.append(Cap(name="empty", limit=0, reason="There is no text."))
    elif document.words < settings.stub_words:
        reason = f"{document.words} words are fewer than {settings.stub_words}: there is too little to quote."
        found.append(Cap(name="stub", limit=STUB_CAP, reason=reason))
    return found
