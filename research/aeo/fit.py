"""Fit criteria 1 and 2 to the fitted half of Natural Questions, and print what to ship.

    python -m research.aeo.fit --data DIR

The model is a conditional logit: the chance of a page among those to choose from is the softmax of a weighted
sum of five coverages of the question and its nearness by word vectors. Only the ratios of the weights matter
to which page is first. The other half and XQuAD are never looked at here; `nox -s validate-aeo` reports them.
Nothing is random.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from operator import mul
from pathlib import Path

from contentworker.editorial.aeo.matching import match
from contentworker.editorial.aeo.rubric import (
    JOINT_SHARE,
    NEARNESS_SHARE,
    OPENING_SHARE,
    PASSAGE_SHARE,
    RUBRIC,
    SENTENCE_SHARE,
)
from research.aeo.data import NQ, Choice, is_fitted, natural_questions, read
from research.aeo.ranking import hit

NAMES = (
    "passage with headings",
    "sentence with headings",
    "sentence",
    "opening sentence",
    "nearness by word vectors",
    "title or heading",
)
FOLDS = 10
# A normal prior with standard deviation 1 on each weight.
PENALTY = 1.0
STEPS = 30
Vector = list[float]
# The coverages of each page, and which page is right.
Row = tuple[list[Vector], int]

_RELEVANCE, _HEADING = (row.weight for row in RUBRIC[:2])
_SHARES = (PASSAGE_SHARE, JOINT_SHARE, SENTENCE_SHARE, OPENING_SHARE)
# As rubric 3 had them, by words alone, and those in use.
BY_WORDS = [*(26 * share for share in _SHARES), 0.0, 16.0]
SHIPPED = [
    *(_RELEVANCE * (1 - NEARNESS_SHARE) * share for share in _SHARES),
    _RELEVANCE * NEARNESS_SHARE,
    _HEADING,
]


def row(choice: Choice) -> Row:
    coverages = []
    for page in choice.pages:
        found = match(page.analysis, choice.question)
        relevance = (found.passage_coverage, found.joint_coverage, found.sentence_coverage)
        by_part = (*relevance, found.opening_coverage, found.nearness or 0.0, found.heading_share)
        coverages.append([max(0.0, value) for value in by_part])
    return coverages, choice.right


def points(weights: Vector, coverages: Sequence[Vector]) -> Vector:
    return [math.fsum(map(mul, weights, values)) for values in coverages]


def slope_and_curvature(rows: Sequence[Row], weights: Vector) -> tuple[Vector, list[Vector]]:
    """Slope of the penalised log-likelihood, and its curvature with the sign changed: it is positive."""
    size = range(len(weights))
    slope = [-PENALTY * weight for weight in weights]
    curvature = [[PENALTY * (i == j) for j in size] for i in size]
    for coverages, right in rows:
        scores = points(weights, coverages)
        top = max(scores)
        chances = [math.exp(score - top) for score in scores]
        total = math.fsum(chances)
        chances = [chance / total for chance in chances]
        mean = [math.fsum(p * x[i] for p, x in zip(chances, coverages, strict=True)) for i in size]
        for i in size:
            slope[i] += coverages[right][i] - mean[i]
            for j in size:
                both = math.fsum(p * x[i] * x[j] for p, x in zip(chances, coverages, strict=True))
                curvature[i][j] += both - mean[i] * mean[j]
    return slope, curvature


def solved(matrix: list[Vector], right: Vector) -> Vector:
    """x of matrix x = right, by elimination; the matrix is positive definite, so no rows are swapped."""
    lines = [[*line, value] for line, value in zip(matrix, right, strict=True)]
    size = len(lines)
    for pivot in range(size):
        lines[pivot] = [value / lines[pivot][pivot] for value in lines[pivot]]
        for other in range(size):
            if other != pivot:
                factor = lines[other][pivot]
                pairs = zip(lines[other], lines[pivot], strict=True)
                lines[other] = [value - factor * own for value, own in pairs]
    return [line[size] for line in lines]


def fit(rows: Sequence[Row]) -> tuple[Vector, Vector]:
    """The weights and their standard errors, by Newton's method."""
    weights = [0.0] * len(NAMES)
    for _ in range(STEPS):
        slope, curvature = slope_and_curvature(rows, weights)
        step = solved(curvature, slope)
        weights = [weight + change for weight, change in zip(weights, step, strict=True)]
        if max(map(abs, step)) < 1e-6:
            break
    units = ([float(i == j) for j in range(len(weights))] for i in range(len(weights)))
    return weights, [math.sqrt(solved(curvature, unit)[i]) for i, unit in enumerate(units)]


def mean_hit(rows: Sequence[Row], weights_of: Callable[[int], Vector]) -> float:
    return math.fsum(hit(points(weights_of(i), x), right) for i, (x, right) in enumerate(rows)) / len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help=f"the folder with {NQ}")
    choices = natural_questions(read(parser.parse_args().data / NQ))
    rows = [row(choice) for choice in choices if is_fitted(choice.question)]
    weights, errors = fit(rows)
    scale = (_RELEVANCE + _HEADING) / sum(weights)
    print(
        f"{len(rows)} of {len(choices)} questions. Points out of {_RELEVANCE + _HEADING}, ± standard error:"
    )
    for name, weight, error, shipped in zip(NAMES, weights, errors, SHIPPED, strict=True):
        print(f"  {name:24}{scale * weight:6.1f} ± {scale * error:.1f}   shipped {shipped:.1f}")
    relevance = sum(weights[:-1])
    print("Shares within criterion 1: " + ", ".join(f"{weight / relevance:.2f}" for weight in weights[:-1]))
    folds = [fit([line for i, line in enumerate(rows) if i % FOLDS != fold])[0] for fold in range(FOLDS)]
    print(f"hit@1 on this half: {mean_hit(rows, lambda _: BY_WORDS):.4f} as in rubric 3, ", end="")
    print(f"{mean_hit(rows, lambda _: SHIPPED):.4f} as shipped, ", end="")
    print(f"{mean_hit(rows, lambda i: folds[i % FOLDS]):.4f} fitted ({FOLDS} folds)")


if __name__ == "__main__":
    main()
