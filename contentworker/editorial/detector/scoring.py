"""From cleaned texts to log odds, for many texts at once, and the shares of what drove them."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from contentworker.editorial.detector import ngrams, style
from contentworker.editorial.detector.model import PARTS, Model
from contentworker.editorial.detector.tokens import Tokens, tokenize

__all__ = ["Features", "Parts", "feature_shares", "features_of", "probabilities", "score", "sentence_shares"]

Floats = NDArray[np.float64]
_TEXTS_AT_ONCE = 64
FEWEST_WORDS = 75
"""Below this the detector abstains: too few verdicts are right (by length, in research/detector/results/)."""
FULL_TRUST_WORDS = 100
PRIOR = 0.6
"""The share of machine-written articles in the stream that the probability is calibrated for."""
PRIOR_LOG_ODDS = float(np.log(PRIOR / (1 - PRIOR)))


@dataclass(frozen=True, slots=True)
class Features:
    """What the model looks at in several texts."""

    tokens: Tokens
    words: NDArray[np.int64]
    ordered: ngrams.Ordered
    letters: ngrams.Counts
    style: Floats


class Vocabulary(Protocol):
    """The part of a model that its features need: the hashes of the common words, sorted, and their ranks."""

    @property
    def vocabulary(self) -> NDArray[np.uint64]: ...
    @property
    def ranks(self) -> NDArray[np.int64]: ...


class Parts(NamedTuple):
    """The parts of the model, comparable with each other (rows: texts), and the log odds made of them."""

    parts: Floats
    log_odds: Floats
    slope: Floats
    """How much the log odds rise with the mean of the parts, which depends on a text's length."""


def features_of(texts: list[str], model: Vocabulary) -> Features:
    """Measure cleaned texts. Training does it with the same function."""
    tokens = tokenize(texts)
    ordered = ngrams.read(tokens)
    letters = ngrams.count(ordered, tokens.texts)
    words = np.bincount(tokens.text[tokens.is_word], minlength=tokens.texts)
    return Features(tokens, words, ordered, letters, style.measure(tokens, model.vocabulary, model.ranks))


def probabilities(texts: list[str], model: Model) -> Floats:
    """How probably a model wrote each of these cleaned texts, if PRIOR of all texts were written by one."""
    log_odds = [
        score(features_of(texts[start : start + _TEXTS_AT_ONCE], model), model).log_odds
        for start in range(0, len(texts), _TEXTS_AT_ONCE)
    ]
    return to_probability(np.concatenate(log_odds)) if log_odds else np.zeros(0)


def to_probability(log_odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))


def trust_in(words: NDArray[np.int64] | Floats) -> Floats:
    """The share of the log odds that counts: less for texts below `FULL_TRUST_WORDS`.

    Short texts tell less than the calibration suggests, which knows its own domains only.
    """
    return np.minimum(words / FULL_TRUST_WORDS, 1.0)


def score(features: Features, model: Model) -> Parts:
    """Put the two parts together."""
    counts = features.letters
    weights = model.letters[counts.bucket] * counts.weight
    raw = {
        "letters": np.bincount(counts.text, weights=weights, minlength=features.tokens.texts),
        "style": _climb(features.style, model)[1],
    }
    comparable = [
        (raw[name] + model.offsets[name] - model.centres[name]) / model.scales[name] for name in PARTS
    ]
    parts = np.stack(comparable, axis=1)
    start, slope, per_word, slope_per_word = model.calibration
    log_words = np.log(np.maximum(features.words, 1))
    trust = trust_in(features.words)
    slopes = (slope + slope_per_word * log_words) * trust
    log_odds = slopes * parts.mean(axis=1) + (start + per_word * log_words) * trust + PRIOR_LOG_ODDS
    return Parts(parts, log_odds, slopes)


def _climb(rows: Floats, model: Model) -> tuple[NDArray[np.int64], Floats]:
    """The leaf that each text reaches in each tree, and the sum of their values."""
    values = rows.astype(np.float32)
    node = np.tile(model.tree_root, (len(rows), 1))
    text = np.arange(len(rows))[:, None]
    for _ in range(model.tree_depth):
        goes_left = values[text, model.tree_feature[node]] <= model.tree_threshold[node]
        node = np.where(goes_left, model.tree_left[node], model.tree_right[node])
    return node, model.tree_value[node].sum(axis=1)


def feature_shares(row: Floats, model: Model) -> Floats:
    """How much each style feature of one text adds to its score: what changes at each branch it decides."""
    values = row.astype(np.float32)
    shares = np.zeros(row.size)
    node = model.tree_root.copy()
    for _ in range(model.tree_depth):
        feature = model.tree_feature[node]
        goes_left = values[feature] <= model.tree_threshold[node]
        following = np.where(goes_left, model.tree_left[node], model.tree_right[node])
        change = model.tree_value[following] - model.tree_value[node]
        shares += np.bincount(feature, weights=change, minlength=row.size)
        node = following
    return shares / model.scales["style"]


def sentence_shares(sentences: list[str], cleaned: str, features: Features, model: Model) -> Floats:
    """How much the n-grams of each sentence add to the score of the one text they make once cleaned."""
    text = " ".join(sentences)
    tokens, ordered = features.tokens, features.ordered
    if text != cleaned:
        tokens = tokenize([text])
        ordered = ngrams.read(tokens)
    sizes = [len(sentence.encode()) + 1 for sentence in sentences]
    sizes[-1] += tokens.data.size - sum(sizes)
    of_byte = np.repeat(np.arange(len(sentences)), sizes)
    # An n-gram that occurs once has the smallest weight there is: 1 / the norm of the text.
    once = features.letters.weight.min(initial=1.0)
    owner = of_byte[ordered.position]
    sums = np.bincount(owner, weights=model.letters[ordered.bucket], minlength=len(sentences))
    return np.asarray(sums * once / model.scales["letters"], dtype=np.float64)
