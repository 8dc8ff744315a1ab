"""Where an article meets a question best: by its words, by word vectors, and by the encoder if it is on."""

from collections import deque
from dataclasses import dataclass
from itertools import repeat

from contentworker.editorial.aeo.analysis import Analysis
from contentworker.editorial.aeo.nearness import EncodedPassages
from contentworker.editorial.aeo.terms import QuestionTerms, question_tokens
from contentworker.editorial.document import Heading, Passage, Sentence
from contentworker.editorial.parsing.sentences import MAX_PASSAGE_WORDS, tokenize

__all__ = ["MOST_ENCODED", "Match", "match"]

MOST_ENCODED = 20
"""Passages of an article that the encoder reads for one question: the nearest by words and word vectors."""


@dataclass(slots=True)
class Match:
    """Where an article meets one question best; each coverage is 0 to 1. Any part may be missing."""

    terms: QuestionTerms
    passage: Passage | None = None
    passage_terms: frozenset[str] = frozenset()
    passage_coverage: float = -1.0
    sentence: Sentence | None = None
    sentence_terms: frozenset[str] = frozenset()
    sentence_coverage: float = -1.0
    joint_coverage: float = -1.0  # by one sentence and the headings above it
    opening_coverage: float = -1.0  # by the first sentence of the article that does not ask
    nearness: float | None = None  # of what is nearest, with its headings; None if only words compare
    nearest: Sentence | Passage | None = None  # a passage if the encoder compared, else a sentence
    is_encoded: bool = False
    heading: Heading | None = None
    heading_share: float = 0.0
    heading_is_slug: bool = False
    answer: Sentence | None = None
    answer_passage: Passage | None = None
    answer_coverage: float = 0.0
    answer_rank: tuple[float, int] = (-1.0, 0)

    def offer_nearness(self, sentence: Sentence, near: float) -> bool:
        """Keep a sentence if it is the nearest so far, and say whether it is."""
        if self.nearness is None or near <= self.nearness:
            return False
        self.nearness, self.nearest = near, sentence
        return True


def match(analysis: Analysis, question: str) -> Match:
    """Look for one question in the whole article, once; ties go to the earliest place."""
    terms = QuestionTerms(question, analysis.vocabulary)
    best = Match(terms)
    vectors = analysis.vectors
    near_all = (
        vectors.nearness(question_tokens(terms.tokens, analysis.vocabulary.language)) if vectors else None
    )
    if near_all is not None:
        best.nearness = 0.0
    nearness = iter(near_all or repeat(0.0))
    in_heading = {heading.start: terms.found_in(heading.tokens) for heading in analysis.document.headings}
    window = _Window(())
    for passage in analysis.document.passages:
        if passage.path is not window.path:
            window = _Window(passage.path)
        above = frozenset[str]().union(*(in_heading[heading.start] for heading in passage.path))
        for sentence in passage.sentences:
            near = next(nearness)
            inside = terms.found_in(sentence.tokens)
            window.add(sentence, inside)
            # A question is not an answer, and neither is the asked question without its mark.
            answers = not sentence.text.endswith("?") and sentence.tokens != terms.tokens
            if answers and best.opening_coverage < 0:
                best.opening_coverage = terms.coverage(inside)
            is_nearest = answers and best.offer_nearness(sentence, near)
            # Without terms of its own a sentence adds only its headings, which the first one has added.
            if inside or len(window.sentences) == 1:
                _match_window(best, window, above)
            elif not is_nearest:
                continue
            if answers:
                _match_sentence(best, passage, sentence, (inside, above), near)
    _match_heading(best, analysis)
    if analysis.encoded and analysis.document.passages:
        _match_encoded(best, analysis.encoded, near_all)
    return best


def _match_encoded(best: Match, encoded: EncodedPassages, near_all: list[float] | None) -> None:
    """Find the nearest passage by the encoder, among those that seem near without it."""
    terms, nearness = best.terms, iter(near_all or repeat(0.0))
    seem = []
    for passage in encoded.passages:
        tokens = [heading.tokens for heading in passage.path]
        tokens += [sentence.tokens for sentence in passage.sentences]
        covered = terms.coverage(frozenset[str]().union(*map(terms.found_in, tokens)))
        seem.append(covered + max(next(nearness) for _ in passage.sentences))
    likely = sorted(range(len(seem)), key=lambda index: (-seem[index], index))[:MOST_ENCODED]
    found = encoded.nearness(terms.question, likely)
    near, index = max(zip(found, likely, strict=True), key=lambda each: (each[0], -each[1]))
    best.nearness, best.nearest, best.is_encoded = near, encoded.passages[index], True


class _Window:
    """The last sentences of one section that make at most 120 words.

    Any such run is a passage an engine could quote. With the passages that the article was cut into, one more
    word in one of them would move the cuts, and with them the score.
    """

    def __init__(self, path: tuple[Heading, ...]) -> None:
        self.path = path
        self.sentences: deque[tuple[Sentence, frozenset[str]]] = deque()
        self.words = 0

    def add(self, sentence: Sentence, inside: frozenset[str]) -> None:
        self.sentences.append((sentence, inside))
        self.words += sentence.words
        while self.words > MAX_PASSAGE_WORDS:
            self.words -= self.sentences.popleft()[0].words

    def terms(self) -> frozenset[str]:
        return frozenset[str]().union(*(inside for _, inside in self.sentences))

    def passage(self) -> Passage:
        """The sentences from the first to the last that hold a term, or all if none does."""
        holding = [index for index, (_, inside) in enumerate(self.sentences) if inside] or [0]
        sentences = tuple(sentence for sentence, _ in self.sentences)[holding[0] : holding[-1] + 1]
        words = sum(sentence.words for sentence in sentences)
        return Passage(self.path, sentences[0].start, sentences[-1].end, sentences, words)


def _match_window(best: Match, window: _Window, above: frozenset[str]) -> None:
    terms = above | window.terms()
    covered = best.terms.coverage(terms)
    if covered > best.passage_coverage:
        best.passage, best.passage_terms, best.passage_coverage = window.passage(), terms, covered


def _match_sentence(
    best: Match,
    passage: Passage,
    sentence: Sentence,
    terms: tuple[frozenset[str], frozenset[str]],
    near: float,
) -> None:
    inside, above = terms
    alone = best.terms.coverage(inside)
    if alone > best.sentence_coverage:
        best.sentence, best.sentence_terms, best.sentence_coverage = sentence, inside, alone
    # Under a heading that asks the whole question every sentence covers it; its own terms then decide.
    together = best.terms.coverage(inside | above)
    best.joint_coverage = max(best.joint_coverage, together)
    # Another word for the same makes up for half of what the words lack.
    covered = together + 0.5 * max(0.0, near - together)
    rank = alone + covered
    if rank < best.answer_rank[0]:
        return
    # "A year is a leap year if ..." rather than a sentence that mentions leap years in passing.
    mentions = min(best.terms.count_in(sentence.tokens), len(best.terms.words) + 1)
    if (rank, mentions) > best.answer_rank:
        best.answer, best.answer_passage = sentence, passage
        best.answer_coverage = covered
        best.answer_rank = (rank, mentions)


def _match_heading(best: Match, analysis: Analysis) -> None:
    """Find the heading, the title (no heading) or the address with the largest share of the terms."""
    document, terms = analysis.document, best.terms
    count = max(1, len(terms.words))
    title = tokenize(document.title.text) if document.title else ()
    best.heading_share = len(terms.found_in(title)) / count
    for heading in document.headings:
        here = len(terms.found_in(heading.tokens)) / count
        if here > best.heading_share or (best.heading is None and here == best.heading_share > 0):
            best.heading, best.heading_share = heading, here
    in_slug = len(terms.found_in(tokenize(analysis.slug))) / count
    if in_slug > best.heading_share:
        best.heading, best.heading_share, best.heading_is_slug = None, in_slug, True
