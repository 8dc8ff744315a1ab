"""From scores to probabilities and verdicts, by texts that nothing was fitted to."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from contentworker.editorial.detector import model as model_file
from contentworker.editorial.detector import ngrams
from contentworker.editorial.detector.scoring import (
    FEWEST_WORDS,
    PRIOR_LOG_ODDS,
    features_of,
    score,
    to_probability,
    trust_in,
)
from contentworker.editorial.detector.style import FEATURES
from research.detector.data import Text

__all__ = ["calibrate"]

FALSE_POSITIVES = 0.01
"""Of the human texts that set the threshold, this share gets `ai`."""
SHORTEST_WORDS = 25
TEXTS_AT_ONCE = 250
NAMES = (*ngrams.VIEWS, "style")
Floats = NDArray[np.float64]


class Measured(NamedTuple):
    """Texts as the uncalibrated model sees them."""

    machine: NDArray[np.bool_]
    parts: Floats
    style: Floats
    words: Floats


def calibrate(
    header: dict[str, Any], arrays: dict[str, NDArray[Any]], whole: list[Text], more: list[Text]
) -> dict[str, Any]:
    """Scales of the parts, calibration and thresholds; adds the typical style to the arrays.

    The calibration sees all texts, pieces of them among them, human and machine ones of the same weight.
    The thresholds come from the whole texts that are long enough to be judged.
    """
    raw = _uncalibrated(header, arrays)
    long = [text for text in whole if len(text.text.split()) >= FEWEST_WORDS]
    judged = _measure(long, raw)
    short = [text for text in whole if len(text.text.split()) < FEWEST_WORDS]
    rest = _measure([text for text in short + more if len(text.text.split()) >= SHORTEST_WORDS], raw)
    parts = np.concatenate([judged.parts, rest.parts])
    machine = np.concatenate([judged.machine, rest.machine])
    words = np.concatenate([judged.words, rest.words])
    human, model = judged.parts[~judged.machine], judged.parts[judged.machine]
    centres = np.round((human.mean(axis=0) + model.mean(axis=0)) / 2, 6)
    scales = np.round((human.std(axis=0) + model.std(axis=0)) / 2, 6)
    calibration = _fit(((parts - centres) / scales).mean(axis=1), np.log(words), machine)
    found = _probabilities(
        calibration, ((judged.parts - centres) / scales).mean(axis=1), np.log(judged.words)
    )
    medians = [np.median(judged.style[kind], axis=0) for kind in (~judged.machine, judged.machine)]
    arrays["typical"] = np.stack(medians, axis=1).astype(np.float32)
    return {
        "centres": dict(zip(NAMES, centres.tolist(), strict=True)),
        "scales": dict(zip(NAMES, scales.tolist(), strict=True)),
        "calibration": calibration,
        "ai_from": round(float(np.quantile(found[~judged.machine], 1 - FALSE_POSITIVES)), 4),
    }


def _uncalibrated(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> model_file.Model:
    neutral = {
        "version": "",
        "centres": dict.fromkeys(NAMES, 0.0),
        "scales": dict.fromkeys(NAMES, 1.0),
        "calibration": [0.0, 1.0, 0.0, 0.0],
        "ai_from": 1.0,
    }
    typical = np.zeros((len(FEATURES), 2), dtype=np.float32)
    return model_file.build({**header, **neutral}, {**arrays, "typical": typical})


def _measure(texts: list[Text], model: model_file.Model) -> Measured:
    parts, style, words = [], [], []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        features = features_of([text.text for text in texts[start : start + TEXTS_AT_ONCE]], model)
        parts.append(score(features, model).parts)
        style.append(features.style)
        words.append(features.words)
    machine = np.array([text.machine for text in texts], dtype=bool)
    return Measured(machine, np.concatenate(parts), np.concatenate(style), np.concatenate(words))


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
