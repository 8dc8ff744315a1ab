"""Train the detector and write its model file and checksum: the same bytes from the same data and lock.

    nox -s train-detector -- --data DIR [--new FOLDER] [--output FILE]

`--new` has texts of generators that the model should know: one folder a generator, named GENERATOR_YYYY-MM,
with one text a file. One process, one thread, fixed seeds and sorted inputs; some minutes, 4 GB of memory.
"""

import argparse
import hashlib
import json
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

ROOT = Path(__file__).resolve().parent.parent.parent
# The project is not a distribution: it runs from its folder, and so does this script.
sys.path.insert(0, str(ROOT))

from contentworker.editorial.detector import model as model_file  # noqa: E402 -- needs the path above
from contentworker.editorial.detector import ngrams  # noqa: E402 -- needs the path above
from contentworker.editorial.detector.passages import count_passages  # noqa: E402 -- likewise
from contentworker.editorial.detector.scoring import features_of  # noqa: E402 -- likewise
from contentworker.editorial.detector.style import FEATURES  # noqa: E402 -- likewise
from contentworker.editorial.detector.tokens import tokenize  # noqa: E402 -- needs the path above
from research.detector import data  # noqa: E402 -- needs the path above
from research.detector.calibrate import ARTICLES, Pieces, Scored, calibrate  # noqa: E402 -- needs the path above

SEED = 1
VOCABULARY_WORDS = 3_000
FOLDS = 6
MOST_ROUNDS = 40
TEXTS_AT_ONCE = 250
INVERSE_REGULARISATION = 10
MASSES = {"people": 6_000, "old": 1_000, "fiction": 1_000, "essays": 700}
"""What the texts of a class weigh together, however many there are."""
ARTICLES_MASS = 2_500
"""The same for each set of articles: a new generator adds as much as those before."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Words:
    """The common words of the training: see `scoring.Vocabulary`."""

    vocabulary: NDArray[np.uint64]
    ranks: NDArray[np.int64]


class Features(NamedTuple):
    """What the model sees of texts (rows)."""

    letters: Any
    style: NDArray[np.float32]

    def of(self, rows: NDArray[Any]) -> "Features":
        return Features(self.letters[rows], self.style[rows])


class Fitted(NamedTuple):
    """The two parts of a model, not yet comparable with each other."""

    slopes: Floats
    offset: float
    forest: HistGradientBoostingClassifier

    def scores(self, features: Features) -> Floats:
        """Two columns, letters and style: above 0 for a model."""
        if not len(features.style):
            return np.zeros((0, 2))
        letters = features.letters @ self.slopes + self.offset
        return np.stack([letters, self.forest.decision_function(features.style)], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the detector.")
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder with train.jsonl.gz and the rest"
    )
    parser.add_argument("--new", type=Path, help="a folder of texts by generators that the model should know")
    parser.add_argument("--output", type=Path, default=model_file.SHIPPED, help="the model file to write")
    options = parser.parse_args()
    missing = data.missing(options.data)
    if data.OLD[0] in missing:
        sys.exit(f"Error: --data {options.data}: expected train.jsonl.gz in it (research/detector/README.md)")
    if missing:
        print(f"Without {', '.join(missing)}: this gives another model than the shipped one.", flush=True)
    # The number of rounds is a limit on time; the fit is good enough by then.
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    try:
        header, arrays = train(options.data, options.new)
    except data.NewTextsError as error:
        sys.exit(f"Error: --new {options.new}: nothing was trained\n{error}")
    model_file.save(options.output, header, arrays)
    size = options.output.stat().st_size
    print(f"{options.output}: {size:,} bytes, version {model_file.load(options.output).version}")


def train(folder: Path, new_folder: Path | None) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The header and the arrays of the model file."""
    texts = data.training_texts(folder)
    months: dict[str, str] = {}
    if new_folder:
        held = [text for found in data.aside(folder).values() for text in found]
        new, months = data.new_texts(new_folder, [*texts, *held])
        texts += new
    watched = data.watched_texts(folder)
    print(
        f"{len(texts):,} texts: {dict(Counter(text.kind for text in texts))}; {len(watched)} watched",
        flush=True,
    )
    words = common_words([text.text for text in texts])
    features, seen = (matrices([text.text for text in found], words) for found in (texts, watched))
    owners, pieces = passages(texts)
    fold = folds(texts)
    raw, raw_watched, raw_pieces = out_of_fold(texts, fold, (features, seen, matrices(pieces, words)), owners)
    fitted = fit(texts, features)
    trees, base, depth = as_arrays(fitted.forest)
    arrays: dict[str, NDArray[Any]] = {
        "letters": fitted.slopes.astype(np.float16),
        "vocabulary": words.vocabulary,
        "ranks": words.ranks.astype(np.uint16),
        **trees,
    }
    article = np.array([text.kind.startswith(ARTICLES) for text in texts])
    others = fit([text for text in texts if not text.kind.startswith(ARTICLES)], features.of(~article))
    found = calibrate(
        Scored(texts, raw),
        Scored(watched, raw_watched),
        Pieces(owners, raw_pieces, np.array([len(piece.split()) for piece in pieces])),
        Scored(
            [text for text in texts if text.kind.startswith(ARTICLES)], others.scores(features.of(article))
        ),
    )
    machine = np.array([text.machine for text in texts + watched])
    style = np.concatenate([features.style, seen.style])
    typical = [np.median(style[kind], axis=0) for kind in (~machine, machine)]
    arrays["typical"] = np.stack(typical, axis=1).astype(np.float32)
    generators = data.known_months(texts, months)
    header: dict[str, Any] = {
        "offsets": {"letters": round(fitted.offset, 6), "style": base},
        "tree_depth": depth,
        "generators": generators,
        "knows_until": max(generators.values()),
        **found,
    }
    numbers = b"".join(array.tobytes() for array in arrays.values())
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode() + numbers)
    return {**header, "version": digest.hexdigest()[:12]}, arrays


def passages(texts: list[data.Text]) -> tuple[NDArray[np.int64], list[str]]:
    """The passages of people's longer texts, and the place of the text of each."""
    owners, pieces = [], []
    for place, text in enumerate(texts):
        count = count_passages(text.words)
        if not text.machine and count > 1:
            owners += [place] * count
            pieces += [" ".join(part) for part in np.array_split(text.text.split(), count)]
    return np.array(owners), pieces


def out_of_fold(
    texts: list[data.Text],
    fold: NDArray[np.int64],
    features: tuple[Features, Features, Features],
    owners: NDArray[np.int64],
) -> tuple[Floats, Floats, Floats]:
    """Scores of texts, watched texts and passages, each by models that have seen nothing of its unit.

    The watched texts are in no unit: theirs is the mean over all models.
    """
    whole, watched, pieces = features
    raw, raw_pieces = np.zeros((len(texts), 2)), np.zeros((len(owners), 2))
    others = []
    for number in range(FOLDS):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        fitted = fit([texts[place] for place in inside], whole.of(inside))
        raw[outside] = fitted.scores(whole.of(outside))
        its_pieces = np.flatnonzero(fold[owners] == number)
        raw_pieces[its_pieces] = fitted.scores(pieces.of(its_pieces))
        others.append(fitted.scores(watched))
        print(f"fold {number + 1} of {FOLDS}: done", flush=True)
    return raw, np.mean(others, axis=0), raw_pieces


def folds(texts: list[data.Text]) -> NDArray[np.int64]:
    """The fold of each text: a unit lies in one fold, and the folds are about as large."""
    sizes = Counter(text.unit for text in texts)
    load = [0] * FOLDS
    chosen = {}
    for unit, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        chosen[unit] = load.index(min(load))
        load[chosen[unit]] += size
    return np.array([chosen[text.unit] for text in texts])


def fit(texts: list[data.Text], features: Features) -> Fitted:
    machine = np.array([text.machine for text in texts], dtype=np.int64)
    weights = masses(texts)
    slopes, offset = linear(features.letters, machine, weights)
    return Fitted(slopes, offset, boosted(features.style, machine, weights))


def masses(texts: Sequence[data.Text]) -> Floats:
    """The weight of each text: its class has a fixed mass; in `old`, each of many texts of a domain less."""
    kinds = np.array([text.kind for text in texts])
    domains = Counter((text.source, text.domain) for text in texts)
    weights = np.ones(len(texts))
    for kind in sorted(set(kinds)):
        inside = kinds == kind
        if kind == "old":
            counts = [domains[text.source, text.domain] for text in texts if text.kind == kind]
            weights[inside] = np.array(counts) ** -0.5
        weights[inside] *= MASSES.get(kind, ARTICLES_MASS) / weights[inside].sum()
    return np.asarray(weights * len(texts) / weights.sum())


def matrices(texts: list[str], words: Words) -> Features:
    """The n-grams of the texts as a sparse matrix, and their style as a table."""
    letters = [csr_matrix((0, ngrams.BUCKETS), dtype=np.float32)]
    style = [np.zeros((0, len(FEATURES)), dtype=np.float32)]
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        features = features_of(texts[start : start + TEXTS_AT_ONCE], words)
        counts = features.letters
        place = (counts.text.astype(np.int32), counts.bucket.astype(np.int32))
        shape = (features.tokens.texts, ngrams.BUCKETS)
        letters.append(csr_matrix((counts.weight.astype(np.float32), place), shape=shape))
        style.append(features.style.astype(np.float32))
    return Features(vstack(letters).tocsr(), np.concatenate(style))


def linear(letters: Any, machine: NDArray[np.int64], weights: Floats) -> tuple[Floats, float]:
    """Logistic regression that stresses rare n-grams (inverse document frequency)."""
    texts_with = np.bincount(letters.indices, minlength=letters.shape[1])
    rarity = np.log((1 + letters.shape[0]) / (1 + texts_with)) + 1
    stress = rarity / np.sqrt((rarity**2 * texts_with).sum() / texts_with.sum())
    scaled = letters.copy()
    scaled.data *= stress.astype(np.float32)[scaled.indices]
    fitted = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=MOST_ROUNDS, tol=1e-3)
    fitted.fit(scaled, machine, sample_weight=weights)
    return np.asarray(fitted.coef_[0] * stress), float(fitted.intercept_[0])


def common_words(texts: list[str]) -> Words:
    """The words that occur in most texts."""
    counts: Counter[int] = Counter()
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        tokens = tokenize(texts[start : start + TEXTS_AT_ONCE])
        pairs = np.stack([tokens.text[tokens.is_word].astype(np.uint64), tokens.hashes[tokens.is_word]])
        found, times = np.unique(np.unique(pairs, axis=1)[1], return_counts=True)
        counts.update(dict(zip(found.tolist(), times.tolist(), strict=True)))
    most = sorted(counts, key=lambda word: (-counts[word], word))[:VOCABULARY_WORDS]
    hashes = np.array(most, dtype=np.uint64)
    order = np.argsort(hashes)
    return Words(hashes[order], order)


def boosted(
    style: NDArray[np.float32], machine: NDArray[np.int64], weights: Floats
) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=250,
        learning_rate=0.08,
        max_leaf_nodes=20,
        max_depth=6,
        min_samples_leaf=40,
        l2_regularization=5,
        max_features=0.3,
        early_stopping=False,
        random_state=SEED,
    ).fit(style, machine, sample_weight=weights)


def as_arrays(forest: HistGradientBoostingClassifier) -> tuple[dict[str, NDArray[Any]], float, int]:
    """Boosted trees as arrays: all nodes in one row, each leaf its own child, so that climbing may go on."""
    columns: dict[str, list[NDArray[Any]]] = {
        name: [] for name in ("feature", "threshold", "left", "right", "value")
    }
    roots, start = [], 0
    for (tree,) in forest._predictors:  # noqa: SLF001 (scikit-learn has no public way to its trees)
        nodes = tree.nodes
        leaf, own = nodes["is_leaf"].astype(bool), np.arange(len(nodes))
        roots.append(start)
        columns["feature"].append(np.where(leaf, 0, nodes["feature_idx"]).astype(np.uint16))
        columns["threshold"].append(np.where(leaf, 0, nodes["num_threshold"]).astype(np.float32))
        columns["left"].append((np.where(leaf, own, nodes["left"]) + start).astype(np.uint16))
        columns["right"].append((np.where(leaf, own, nodes["right"]) + start).astype(np.uint16))
        columns["value"].append(node_values(nodes).astype(np.float32))
        start += len(nodes)
    arrays = {f"tree_{name}": np.concatenate(parts) for name, parts in columns.items()}
    depth = max(int(tree.nodes["depth"].max()) for (tree,) in forest._predictors)  # noqa: SLF001 (likewise)
    baseline = float(np.asarray(forest._baseline_prediction).ravel()[0])  # noqa: SLF001 (likewise)
    return {"tree_root": np.array(roots, dtype=np.uint16), **arrays}, round(baseline, 6), depth


def node_values(nodes: NDArray[Any]) -> Floats:
    """The value of each leaf, and for a branch the mean of its leaves: the explanation needs both."""
    values: Floats = nodes["value"].astype(np.float64)
    for node in range(len(nodes) - 1, -1, -1):
        if not nodes["is_leaf"][node]:
            children = [nodes["left"][node], nodes["right"][node]]
            values[node] = np.average(values[children], weights=nodes["count"][children])
    return values


if __name__ == "__main__":
    main()
