"""How well pages are ranked for a question: by our criteria, and by BM25."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

from contentworker.editorial.aeo.matching import match
from contentworker.editorial.aeo.questions import heading_match, question_relevance
from contentworker.editorial.aeo.rubric import RUBRIC
from contentworker.editorial.aeo.terms import question_tokens, stemmer
from contentworker.editorial.parsing.sentences import tokenize
from research.aeo.data import Choice

Ranker = Callable[[Choice], list[float]]
_WEIGHTS = {row.name: row.weight for row in RUBRIC}
_K1, _B = 1.2, 0.75


def relevance(choice: Choice) -> list[float]:
    """Criterion 1, of each page."""
    return [
        question_relevance(page.analysis, match(page.analysis, choice.question)).score or 0.0
        for page in choice.pages
    ]


def relevance_and_heading(choice: Choice) -> list[float]:
    """Criteria 1 and 2 with their weights in the rubric, of each page."""
    points = []
    for page in choice.pages:
        found = match(page.analysis, choice.question)
        by_passage = question_relevance(page.analysis, found).score or 0.0
        by_heading = heading_match(page.analysis, found).score or 0.0
        points.append(_WEIGHTS["question_relevance"] * by_passage + _WEIGHTS["heading_match"] * by_heading)
    return points


def bm25(choice: Choice) -> list[float]:
    """BM25 over the text alone, with IDF from the pages to choose from."""
    return _bm25(choice, [page.text for page in choice.pages])


def bm25_with_headings(choice: Choice) -> list[float]:
    """BM25 over title and text."""
    return _bm25(choice, [f"{page.title}\n{page.text}" for page in choice.pages])


def bm25_with_headings_and_background(choice: Choice) -> list[float]:
    """BM25 over title and text with our IDF of English at large."""
    vocabulary = choice.pages[0].analysis.vocabulary
    return _bm25(choice, [f"{page.title}\n{page.text}" for page in choice.pages], vocabulary.idf)


def _bm25(choice: Choice, texts: Sequence[str], idf: Callable[[str], float] | None = None) -> list[float]:
    """Words are cut and stemmed as ours are, so that only the way of scoring differs."""
    language = choice.pages[0].language
    stem = stemmer(language)
    counts = [Counter(map(stem, tokenize(text))) for text in texts]
    mean = sum(count.total() for count in counts) / len(counts)
    terms = {stem(token) for token in question_tokens(tokenize(choice.question), language)}

    def of_these(term: str) -> float:
        holding = sum(term in count for count in counts)
        return math.log(1 + (len(counts) - holding + 0.5) / (holding + 0.5))

    weights = {term: (idf or of_these)(term) for term in terms}
    return [
        math.fsum(
            weight * count[term] * (_K1 + 1) / (count[term] + _K1 * (1 - _B + _B * count.total() / mean))
            for term, weight in weights.items()
        )
        for count in counts
    ]


def hit(scores: Sequence[float], right: int) -> float:
    """1 if the right page is first, 0 if not; if it shares the first place with others, its share of it."""
    rounded = [round(score, 9) for score in scores]
    best = max(rounded)
    return (rounded[right] == best) / rounded.count(best)
