"""Figures about a detector, each with the interval that its texts allow."""

import numpy as np
from numpy.typing import NDArray

from contentworker.editorial.detector.scoring import PRIOR

__all__ = ["area", "calibration_error", "interval", "rates", "recall_at"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_BINS = 10
RESAMPLES = 300


def area(machine: Bools, scores: Floats) -> float:
    """Area under the ROC curve: how often a model's text scores above a human one."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positives, negatives = machine.sum(), (~machine).sum()
    return float((ranks[machine].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def recall_at(machine: Bools, scores: Floats, false_positives: float = 0.01) -> float:
    """Share of models' texts found when this share of the human texts here is flagged."""
    return float((scores[machine] > np.quantile(scores[~machine], 1 - false_positives)).mean())


def calibration_error(machine: Bools, probabilities: Floats) -> float:
    """Expected calibration error in ten bins of equal width.

    In a stream with the share of models' texts that the probability is made for: the texts are weighed so.
    """
    weights = np.where(machine, PRIOR / machine.mean(), (1 - PRIOR) / (~machine).mean())
    bins = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
    gap = np.bincount(bins, weights=weights * (probabilities - machine), minlength=_BINS)
    return float(np.abs(gap).sum() / weights.sum())


def interval(measure: object, *columns: NDArray[np.generic], seed: int = 1) -> tuple[float, float]:
    """The 95 % interval of the measure over resampled texts, human and machine texts apart if both exist."""
    assert callable(measure)
    chance = np.random.default_rng(seed)
    machine = columns[0].astype(bool)
    groups = [found for found in (np.flatnonzero(machine), np.flatnonzero(~machine)) if found.size]
    values = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([chance.choice(group, group.size) for group in groups])
        values.append(measure(*(column[drawn] for column in columns)))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def rates(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share: right also where nothing was hit."""
    z = 1.96
    middle = (hits + z * z / 2) / (count + z * z)
    half = z / (count + z * z) * (hits * (count - hits) / count + z * z / 4) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
