"""From scores to probabilities and verdicts, by texts of sources that the scoring model had not seen."""

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from contentworker.editorial.detector.model import PARTS
from contentworker.editorial.detector.scoring import PRIOR_LOG_ODDS, to_probability, trust_in
from research.detector.data import Text

__all__ = ["Pieces", "Scored", "calibrate"]

MOST_PEOPLE = 0.005
"""At most this share of people's texts gets `ai`, all groups together..."""
MOST_OF_A_GROUP = 0.025
"""...and of no group more than this: below the 3 % that are promised, as other groups follow."""
MOST_WITH_PASSAGES = 0.01
"""At most this share of people's longer texts may have a passage that reads like a model's."""
SMALLEST_GROUP = 50
ARTICLES = ("articles", "new:")
"""What the kinds of articles of today begin with."""
LEFT_OUT = ("fiction", "essays")
"""Kinds whose generators are left out whole, each in one fold."""
Floats = NDArray[np.float64]


class Scored(NamedTuple):
    """Texts, and their two scores by models that had not seen their source."""

    texts: list[Text]
    raw: Floats


class Pieces(NamedTuple):
    """Passages of people's texts: the place of each text, two scores as above, words."""

    owners: NDArray[np.int64]
    raw: Floats
    words: NDArray[np.int64]


def calibrate(trained: Scored, watched: Scored, pieces: Pieces, articles: Scored) -> dict[str, Any]:
    """Scales of the parts, calibration, threshold and its rates.

    The calibration gives people's and models' texts the same weight. The threshold follows the group of
    people that needs the highest one. `articles` are scored by a model that was trained on none.
    """
    texts = trained.texts + watched.texts
    raw = np.concatenate([trained.raw, watched.raw])
    machine = np.array([text.machine for text in texts], dtype=bool)
    log_words = np.log([text.words for text in texts])
    people, models = raw[~machine], raw[machine]
    centres = np.round((people.mean(axis=0) + models.mean(axis=0)) / 2, 6)
    scales = np.round((people.std(axis=0) + models.std(axis=0)) / 2, 6)
    mean = ((raw - centres) / scales).mean(axis=1)
    calibration = _fit(mean, log_words, machine)
    found = _probabilities(calibration, mean, log_words)
    ai_from = _threshold(texts, found)
    mean_pieces = ((pieces.raw - centres) / scales).mean(axis=1)
    highest = np.zeros(len(trained.texts))
    np.maximum.at(highest, pieces.owners, _probabilities(calibration, mean_pieces, np.log(pieces.words)))
    mean_articles = ((articles.raw - centres) / scales).mean(axis=1)
    words = np.log([text.words for text in articles.texts])
    unknown = _probabilities(calibration, mean_articles, words) >= ai_from
    return {
        "centres": dict(zip(PARTS, centres.tolist(), strict=True)),
        "scales": dict(zip(PARTS, scales.tolist(), strict=True)),
        "calibration": calibration,
        "ai_from": ai_from,
        "passage_from": _up(np.quantile(highest[np.unique(pieces.owners)], 1 - MOST_WITH_PASSAGES)),
        "rates": {**_rates(texts, found >= ai_from), "unknown": round(float(unknown.mean()), 4)},
    }


def _groups(texts: list[Text]) -> dict[str, list[int]]:
    """The places of the texts of each group of people that is large enough."""
    groups = defaultdict(list)
    for place, text in enumerate(texts):
        if not text.machine:
            groups[text.people].append(place)
    return {name: places for name, places in groups.items() if len(places) >= SMALLEST_GROUP}


def _threshold(texts: list[Text], found: Floats) -> float:
    people = found[[not text.machine for text in texts]]
    needed = {name: np.quantile(found[at], 1 - MOST_OF_A_GROUP) for name, at in _groups(texts).items()}
    highest = sorted(needed.items(), key=lambda item: -item[1])[:5]
    print("groups that need the highest threshold:", {name: round(float(at), 4) for name, at in highest})
    value = max(*needed.values(), np.quantile(people, 1 - MOST_PEOPLE))
    return _up(value)


def _up(value: Any) -> float:
    """Rounded up, so that a threshold lets no more through than before."""
    return float(np.ceil(value * 1e5) / 1e5)


def _rates(texts: list[Text], called: NDArray[np.bool_]) -> dict[str, float]:
    groups = _groups(texts)
    of = {
        "people": [place for place, text in enumerate(texts) if not text.machine],
        "worst_people": max(groups.values(), key=lambda places: (float(called[places].mean()), places)),
        "known": [place for place, text in enumerate(texts) if text.kind.startswith(ARTICLES)],
        "left_out": [place for place, text in enumerate(texts) if text.kind in LEFT_OUT],
    }
    return {name: round(float(called[places].mean()), 4) for name, places in of.items() if places}


def _fit(mean: Floats, log_words: Floats, machine: NDArray[np.bool_]) -> list[float]:
    """Platt's calibration, with the length of the text in it: a short text says less."""
    balance = np.where(machine, (~machine).sum() / machine.sum(), 1.0)
    columns = np.stack([mean, log_words, mean * log_words], axis=1)
    fitted = LogisticRegression(C=1e6, max_iter=1_000, tol=1e-8).fit(columns, machine, sample_weight=balance)
    slope, per_word, both = fitted.coef_[0]
    return [round(float(value), 6) for value in (fitted.intercept_[0], slope, per_word, both)]


def _probabilities(calibration: list[float], mean: Floats, log_words: Floats) -> Floats:
    start, slope, per_word, both = calibration
    log_odds = start + (slope + both * log_words) * mean + per_word * log_words
    return to_probability(log_odds * trust_in(np.exp(log_words)) + PRIOR_LOG_ODDS)
