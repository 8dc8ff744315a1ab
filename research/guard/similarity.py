"""Which words people would call similar, predicted from WordNet and PPDB and fitted on SimLex-999.

`synonyms.py` uses it. Seven facts about a pair of words are weighed by logistic regression: PPDB 2.0 and 1.0
list it, the share of synonyms that the two have in common in PPDB 1.0, and WordNet has them as synonyms, as a
word and a broader one, as antonyms, or as an antonym's synonym.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations

import numpy as np

SIMILAR = 6.5
"""Of 10: from here on, people call a pair of SimLex-999 similar."""
MOST_KINDS = 60
"""What has more kinds in WordNet is too broad to say that two of them are alike."""
LEAST_WEIGHT = 1.0
Pair = tuple[str, str]
Words = dict[str, set[str]]


def both_ways(pairs: Iterable[Pair]) -> Words:
    """From each word of the pairs to the others."""
    found: Words = defaultdict(set)
    for one, other in pairs:
        if one != other:
            found[one].add(other)
            found[other].add(one)
    return found


def kinds_of_one(broader: Iterable[tuple[Pair, Iterable[str]]]) -> Words:
    """Words that are two kinds of one thing, from pairs of that and the words for one of its kinds."""
    kinds: dict[Pair, list[set[str]]] = defaultdict(list)
    for sense, narrow in broader:
        kinds[sense].append(set(narrow))
    return both_ways(
        (one, other)
        for groups in kinds.values()
        if len(groups) <= MOST_KINDS
        for first, second in combinations(groups, 2)
        for one in first
        for other in second
    )


class Similarity:
    """The logarithm of the odds that people call two words similar."""

    def __init__(
        self, *, ppdb: Words, ppdb_xl: Words, synonyms: Words, broader: Words, opposites: Words
    ) -> None:
        self.ppdb, self.ppdb_xl, self.synonyms, self.broader, self.opposites = (
            ppdb,
            ppdb_xl,
            synonyms,
            broader,
            opposites,
        )
        self.weights: list[float] = []

    def candidates(self) -> Iterator[Pair]:
        """Every pair for which something speaks, in the order of the alphabet."""
        for known in (self.ppdb, self.ppdb_xl, self.synonyms, self.broader):
            for one, others in known.items():
                yield from ((one, other) for other in others if one < other)

    def facts(self, one: str, other: str) -> list[float]:
        first, second = self.ppdb_xl.get(one, set()), self.ppdb_xl.get(other, set())
        is_near_opposite = any(
            near in self.opposites.get(that, ())
            for this, that in ((one, other), (other, one))
            for near in self.synonyms.get(this, ())
        )
        return [
            1.0,
            float(other in self.ppdb.get(one, ())),
            float(other in first),
            len(first & second) / max(1, len(first | second)),
            float(other in self.synonyms.get(one, ())),
            float(other in self.broader.get(one, ())),
            float(other in self.opposites.get(one, ())),
            float(is_near_opposite),
        ]

    def fit(self, judged: Iterable[tuple[Pair, float]]) -> None:
        """Newton's method; `judged` are pairs with what people say, from 0 to 10."""
        pairs = [*judged]
        table = np.array([self.facts(*pair) for pair, _ in pairs])
        scale = np.r_[1.0, table[:, 1:].std(axis=0) + 1e-9]
        table = table / scale
        similar = np.array([score >= SIMILAR for _, score in pairs], dtype=float)
        penalty = LEAST_WEIGHT * np.eye(table.shape[1])
        penalty[0, 0] = 1e-6
        weights = np.zeros(table.shape[1])
        for _ in range(50):
            odds = 1 / (1 + np.exp(-table @ weights))
            slope = (table * (odds * (1 - odds))[:, None]).T @ table + penalty
            weights += np.linalg.solve(slope, table.T @ (similar - odds) - penalty @ weights)
        self.weights = (weights / scale).tolist()

    def score(self, one: str, other: str) -> float:
        """Positive if more likely than not."""
        return sum(fact * weight for fact, weight in zip(self.facts(one, other), self.weights, strict=True))
