"""Criteria 4 to 8: what the text itself is like, whatever is asked of it."""

import math
import re
from collections.abc import Iterator
from itertools import pairwise

from contentworker.editorial.aeo.analysis import Advice, Analysis, Finding, Place, quote
from contentworker.editorial.aeo.rubric import ramp
from contentworker.editorial.aeo.wordlists import PRONOUNS, REFERENCE, REFERENCE_WORDS, STATISTIC
from contentworker.editorial.document import Document, Heading, Link, Sentence

__all__ = ["readability", "self_containment", "sources", "statistics", "structure"]

_SECTION_WORDS = (200, 600)
_PASSAGE_WORDS = (25, 180)
# LIX (Björnsson 1968) counts words of more than six letters as long.
_LONG_WORD_LETTERS = 7
_LONG_SENTENCE_WORDS = 30
_DIGIT = re.compile("[0-9]")
_SHORTEST_SENTENCE_WORDS = 4


def structure(analysis: Analysis) -> Finding:
    """.4 x headings per words + .2 x one h1 + .2 x no skipped level + .2 x a list or table.

    A heading per 200-600 words is best; closer headings cost at most half of that part, and wider ones
    all of it at 1,200 words.
    """
    document = analysis.document
    if not document.headings:
        score = 0.2 * bool(document.lists or document.tables)
        return Finding(score, [], Advice("Add a heading for the whole and one for every 200-600 words."))
    levels = [heading.level for heading in document.headings]
    sections = sum(level > 1 for level in levels)
    density = _heading_density(document.words / max(1, sections))
    pairs = pairwise(document.headings)
    skipped = [later for earlier, later in pairs if later.level > earlier.level + 1]
    has_list = bool(document.lists or document.tables)
    long = [(heading, words) for heading, words in section_words(document) if words > _SECTION_WORDS[1]]
    evidence = [
        analysis.evidence(heading.text, heading, f"section of {words} words") for heading, words in long
    ]
    evidence += [analysis.evidence(h.text, h, f"level {h.level} skips a level") for h in skipped]
    shape = f"{levels.count(1)} h1, {sections} below it, {document.words} words"
    evidence.append(analysis.evidence("", None, shape))
    losses = [
        (0.4 * (1 - density), _density_advice(document, sections, long)),
        (0.2 * (levels.count(1) != 1), Advice("Give the article exactly one heading of level 1.")),
        (0.2 * bool(skipped), _level_advice(skipped)),
        (0.2 * (not has_list), Advice("Put steps or comparable facts into a list or a table.")),
    ]
    lost = math.fsum(loss for loss, _ in losses)
    return Finding(1 - lost, evidence, max(losses, key=lambda item: item[0])[1] if lost else None)


def _heading_density(words_per_heading: float) -> float:
    low, high = _SECTION_WORDS
    if words_per_heading > high:
        return 1 - ramp(words_per_heading, high, 2 * high)
    return 0.5 + 0.5 * ramp(words_per_heading, 50, low)


def _density_advice(document: Document, sections: int, long: list[tuple[Heading, int]]) -> Advice:
    if long:
        heading, words = max(long, key=lambda section: section[1])
        return Advice(f"Split {quote(heading.text)} ({words} words): a heading per 200-600 words.", heading)
    if document.words > _SECTION_WORDS[1] * max(1, sections):
        return Advice("Add a heading for every 200-600 words.")
    return Advice(
        f"Merge short sections: {sections} headings for {document.words} words, 200-600 each is best."
    )


def _level_advice(skipped: list[Heading]) -> Advice:
    if not skipped:
        return Advice("")
    return Advice(f"Raise {quote(skipped[0].text)} to the level below the heading above it.", skipped[0])


def section_words(document: Document) -> Iterator[tuple[Heading, int]]:
    """Each heading with the words up to the next one, in order."""
    ends = [heading.words_before for heading in document.headings[1:]] + [document.words]
    for heading, end in zip(document.headings, ends, strict=True):
        yield heading, end - heading.words_before


def self_containment(analysis: Analysis) -> Finding:
    """.6 x share of passages not opening with a pronoun + .4 x share of passages of 25-180 words.

    Without a list of pronouns for the language the second part is the whole.
    """
    passages = analysis.document.passages
    if not passages:
        return Finding(None)
    low, high = _PASSAGE_WORDS
    fitting = sum(low <= passage.words <= high for passage in passages) / len(passages)
    pronouns = PRONOUNS.get(analysis.document.language)
    if pronouns is None:
        return Finding(fitting, [], None if fitting == 1 else _length_advice(analysis))
    openings = [passage.sentences[0] for passage in passages]
    leaning = [opening for opening in openings if opening.tokens and opening.tokens[0] in pronouns]
    score = 0.6 * (1 - len(leaning) / len(passages)) + 0.4 * fitting
    evidence = [
        analysis.evidence(opening.text, opening, "opens with a pronoun")
        for opening in leaning[: analysis.most_evidence]
    ]
    if leaning:
        word = leaning[0].text.split()[0].strip("\"'\u201c\u201d\u2018\u2019.,")
        advice: Advice | None = Advice(
            f"Replace “{word}” by its noun: the passage has to make sense alone.", leaning[0]
        )
    else:
        advice = None if score == 1 else _length_advice(analysis)
    return Finding(score, evidence, advice)


def _length_advice(analysis: Analysis) -> Advice:
    low, high = _PASSAGE_WORDS
    short = next(passage for passage in analysis.document.passages if not low <= passage.words <= high)
    return Advice(
        f"Extend this passage of {short.words} words, or join it with the next: 25-180 words stand alone.",
        short,
    )


def statistics(analysis: Analysis) -> Finding:
    """Numbers with a unit per 100 words, ramp 0-1.5. None without a list of units for the language."""
    document = analysis.document
    pattern = STATISTIC.get(document.language)
    if pattern is None or not document.words:
        return Finding(None)
    count, found = 0, []
    # Every digit stands in such a word, and most sentences have none.
    with_digits = {token for token in analysis.vocabulary.counts if not token.isalpha()}
    for sentence in document.sentences:
        if with_digits.isdisjoint(sentence.tokens):
            continue
        figures = [figure[0].strip() for figure in pattern.finditer(sentence.text)]
        count += len(figures)
        if figures:
            found.append((sentence, figures))
    score = ramp(100 * count / document.words, 0, 1.5)
    shown = [
        analysis.evidence(s.text, s, ", ".join(figures)) for s, figures in found[: analysis.most_evidence]
    ]
    if score == 1:
        return Finding(score, shown)
    place = _first_without(document, {sentence.start for sentence, _ in found})
    return Finding(
        score, shown, Advice("Add a real figure with its unit and its source, one you can verify.", place)
    )


def _first_without(document: Document, starts: set[int]) -> Place | None:
    """The first passage of any length that has none of these sentences."""
    for passage in document.passages:
        if passage.words >= _PASSAGE_WORDS[0] and not any(
            sentence.start in starts for sentence in passage.sentences
        ):
            return passage
    return None


def sources(analysis: Analysis) -> Finding:
    """.25 x linked external domains (at most 3) + .15 x references (2) + .25 x attributed quotations (2).

    At most 1 in all.
    """
    document = analysis.document
    domains: dict[str, Link] = {}
    for link in document.links:
        if link.domain and not is_own(link.domain, analysis.own_domain):
            domains.setdefault(link.domain, link)
    references = [sentence for sentence in document.sentences if has_reference(sentence)]
    quotations = [quotation for quotation in document.quotations if quotation.attributed]
    score = 0.25 * min(len(domains), 3) + 0.15 * min(len(references), 2) + 0.25 * min(len(quotations), 2)
    shown: list[tuple[str, Place, str]] = [
        *((link.target, link, f"links to {domain}") for domain, link in domains.items()),
        *((quotation.text, quotation, "attributed quotation") for quotation in quotations),
        *((sentence.text, sentence, "reference") for sentence in references),
    ]
    evidence = [analysis.evidence(*found) for found in shown[: analysis.most_evidence]]
    advice = None
    if score < 1:
        claim = _claim(document)
        what = quote(claim.text) if claim else "the main claim"
        advice = Advice(f"Cite a primary source you have read for {what}.", claim)
    return Finding(min(1.0, score), evidence, advice)


def is_own(domain: str, own: str) -> bool:
    """Whether a domain is the article's own or one below it."""
    return bool(own) and (domain == own or domain.endswith("." + own))


def has_reference(sentence: Sentence) -> bool:
    """Whether a sentence names a source: a citation mark, a DOI or the like, or "according to" someone."""
    text = sentence.text
    possible = "(" in text or "[" in text or not REFERENCE_WORDS.isdisjoint(sentence.tokens)
    return possible and REFERENCE.search(text) is not None


def _claim(document: Document) -> Sentence | None:
    """The first sentence with a figure that neither links nor refers to anything, else the first of all."""
    linked = [(link.start, link.end) for link in document.links if link.domain]
    prose = [sentence for sentence in document.sentences if sentence.kind == "paragraph"]
    for sentence in prose:
        bare = not any(start < sentence.end and sentence.start < end for start, end in linked)
        if bare and _has_digit(sentence.text) and not has_reference(sentence):
            return sentence
    return next(iter(prose), None)


def _has_digit(text: str) -> bool:
    return bool(_DIGIT.search(text)) if text.isascii() else any(map(str.isdigit, text))


def readability(analysis: Analysis) -> Finding:
    """.7 x (1 - ramp(mean words per sentence, 20, 35)) + .3 x (1 - ramp(share of long words, .3, .5)).

    Long words have more than six letters. Only for English: other languages need ramps of their own.
    """
    document = analysis.document
    prose = [s for s in document.sentences if s.kind != "cell" and s.words >= _SHORTEST_SENTENCE_WORDS]
    if document.language != "en" or not prose:
        return Finding(None)
    words = sum([sentence.words for sentence in prose])
    mean = words / len(prose)
    counts = analysis.vocabulary.counts
    long_words = (
        sum([count for token, count in counts.items() if len(token) >= _LONG_WORD_LETTERS]) / counts.total()
    )
    score = 0.7 * (1 - ramp(mean, 20, 35)) + 0.3 * (1 - ramp(long_words, 0.3, 0.5))
    longest = sorted(prose, key=lambda sentence: (-sentence.words, sentence.start))
    evidence = [analysis.evidence("", None, f"{mean:.1f} words/sentence, {long_words:.0%} long words")]
    evidence += [
        analysis.evidence(s.text, s, f"{s.words} words")
        for s in longest[: analysis.most_evidence]
        if s.words > _LONG_SENTENCE_WORDS
    ]
    if score == 1:
        return Finding(score, evidence)
    if mean > 20:
        return Finding(
            score, evidence, Advice(f"Split this sentence ({longest[0].words} words).", longest[0])
        )
    return Finding(score, evidence, Advice("Use shorter words where they say the same."))
