"""Criteria 4 to 8: what the text itself is like, whatever the question."""

import math
from itertools import islice, pairwise

from contentworker.editorial.aeo.analysis import Advice, Analysis, Finding, quote
from contentworker.editorial.aeo.rubric import ramp
from contentworker.editorial.aeo.wordlists import PRONOUNS, REFERENCE, REFERENCE_WORDS, STATISTIC
from contentworker.editorial.document import Document, Heading, Link, Sentence
from contentworker.editorial.ranges import Range, Ranges

__all__ = ["readability", "self_containment", "sources", "statistics", "structure"]

_SECTION_WORDS = (200, 600)
_PASSAGE_WORDS = (25, 180)
# LIX (Björnsson 1968) counts words of more than six letters as long.
_LONG_WORD_LETTERS = 7
_LONG_SENTENCE_WORDS = 30
_LONG_ON_AVERAGE_WORDS = 20
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
    skipped = [later for above, later in pairwise(document.headings) if later.level > above.level + 1]
    has_list = bool(document.lists or document.tables)
    ends = [heading.words_before for heading in document.headings[1:]] + [document.words]
    sizes = [end - heading.words_before for heading, end in zip(document.headings, ends, strict=True)]
    sections_of = zip(document.headings, sizes, strict=True)
    long = [(heading, words) for heading, words in sections_of if words > _SECTION_WORDS[1]]
    evidence = [analysis.evidence(h.text, h, f"section of {words} words") for h, words in long]
    evidence += [analysis.evidence(h.text, h, f"level {h.level} skips a level") for h in skipped]
    shape = f"{levels.count(1)} h1, {sections} below it, {document.words} words"
    evidence.append(analysis.evidence("", None, shape))
    losses: list[tuple[float, Advice | None]] = [
        (0.4 * (1 - density), _density_advice(document, sections, long)),
        (0.2 * (levels.count(1) != 1), Advice("Give the article exactly one heading of level 1.")),
        (0.2 * bool(skipped), _level_advice(skipped) if skipped else None),
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
    return Advice(f"Raise {quote(skipped[0].text)} to the level below the heading above it.", skipped[0])


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
    if not leaning:
        return Finding(score, [], None if score == 1 else _length_advice(analysis))
    shown = leaning[: analysis.most_evidence]
    word = leaning[0].text.split()[0].strip("\"'\u201c\u201d\u2018\u2019.,")
    advice = Advice(f"Replace “{word}” by its noun: the passage has to make sense alone.", leaning[0])
    return Finding(score, [analysis.evidence(s.text, s, "opens with a pronoun") for s in shown], advice)


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
    # Most sentences have no digit, and looking up their tokens is much faster than the regular expression.
    with_digits = {token for token in analysis.vocabulary.counts if not token.isalpha()}
    figures = {
        sentence: [figure[0].strip() for figure in pattern.finditer(sentence.text)]
        for sentence in document.sentences
        if not with_digits.isdisjoint(sentence.tokens)
    }
    stating = {sentence: texts for sentence, texts in figures.items() if texts}
    score = ramp(100 * sum(map(len, stating.values())) / document.words, 0, 1.5)
    shown = [
        analysis.evidence(sentence.text, sentence, ", ".join(texts))
        for sentence, texts in islice(stating.items(), analysis.most_evidence)
    ]
    if score == 1:
        return Finding(score, shown)
    without = (
        passage
        for passage in document.passages
        if passage.words >= _PASSAGE_WORDS[0] and stating.keys().isdisjoint(passage.sentences)
    )
    advice = Advice(
        "Add a real figure with its unit and its source, one you can verify.", next(without, None)
    )
    return Finding(score, shown, advice)


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
    shown: list[tuple[str, Range, str]] = [
        *((link.target, link, f"links to {domain}") for domain, link in domains.items()),
        *((quotation.text, quotation, "attributed quotation") for quotation in quotations),
        *((sentence.text, sentence, "reference") for sentence in references),
    ]
    evidence = [analysis.evidence(*each) for each in shown[: analysis.most_evidence]]
    if score >= 1:
        return Finding(1.0, evidence)
    claim = _claim(document)
    what = quote(claim.text) if claim else "the main claim"
    return Finding(score, evidence, Advice(f"Cite a primary source you have read for {what}.", claim))


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
    linked = Ranges(link for link in document.links if link.domain)
    prose = [sentence for sentence in document.sentences if sentence.kind == "paragraph"]
    for sentence in prose:
        if (
            any(map(str.isdigit, sentence.text))
            and not linked.meet(sentence.start, sentence.end)
            and not has_reference(sentence)
        ):
            return sentence
    return next(iter(prose), None)


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
    long = sum([count for token, count in counts.items() if len(token) >= _LONG_WORD_LETTERS])
    long_words = long / counts.total()
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
    advice = Advice("Use shorter words where they say the same.")
    if mean > _LONG_ON_AVERAGE_WORDS:
        advice = Advice(f"Split this sentence ({longest[0].words} words).", longest[0])
    return Finding(score, evidence, advice)
