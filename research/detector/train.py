"""Train the detector and write its model file and checksum: the same bytes from the same data and lock.

    nox -s train-detector -- --data DIR [--output FILE]

One process, one thread, fixed seeds and sorted inputs. It takes some minutes and 4 GB of memory.
"""

import argparse
import hashlib
import json
import random
import sys
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
from contentworker.editorial.detector.scoring import features_of  # noqa: E402 -- likewise
from contentworker.editorial.detector.tokens import tokenize  # noqa: E402 -- needs the path above
from research.detector import data  # noqa: E402 -- needs the path above
from research.detector.calibrate import calibrate  # noqa: E402 -- needs the path above

SEED = 1
VOCABULARY_WORDS = 3_000
RATIO_SMOOTHING = 4e-7
"""Added to how often each kind of text has an n-gram, as a share of all n-grams of the models' texts."""
RATIO_FLOOR = 0.25
MOST_ROUNDS = 60
TEXTS_AT_ONCE = 250
SHORT_CROP_WORDS, LONG_CROP_WORDS = (30, 200), (75, 250)
CROP_WEIGHT = 0.8
HUMAN_ONLY_WEIGHT = 0.8
MACHINE_ONLY_WEIGHT = 0.2
INVERSE_REGULARISATION = {"words": 20, "letters": 10, "masked": 20}
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Words:
    """The common words of the training: see `scoring.Vocabulary`."""

    vocabulary: NDArray[np.uint64]
    ranks: NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the detector.")
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder with train.jsonl.gz and the rest"
    )
    parser.add_argument("--output", type=Path, default=model_file.SHIPPED, help="the model file to write")
    options = parser.parse_args()
    # The number of rounds is a limit on time; the fit is good enough by then.
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    header, arrays = train(options.data)
    model_file.save(options.output, header, arrays)
    size = options.output.stat().st_size
    print(f"{options.output}: {size:,} bytes, version {model_file.load(options.output).version}")


def train(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The header and the arrays of the model file."""
    calibration = data.read(folder / "calib.jsonl.gz")
    held = [text for path in data.holdout_files(folder) for text in data.read(path)]
    seen = {gram for text in [*calibration, *held] for gram in data.grams(text.text)}
    formal = data.formal_parts(folder, seen)
    texts = data.training_texts(folder, formal["train"])
    print(f"{len(texts):,} texts, {sum(not text.machine for text in texts):,} of them human", flush=True)
    words = common_words([text.text for text in texts])
    human = [text for text in texts if not text.machine]
    samples, weights = list(texts), domain_weights(texts)
    parts = [weights]
    is_human = np.array([not text.machine for text in texts])
    # Of human texts, which are few, there are two pieces of each length, and both weigh as much as one.
    halved = weights * CROP_WEIGHT * np.where(is_human, 0.5, 1)
    for number, sizes in enumerate((SHORT_CROP_WORDS, LONG_CROP_WORDS)):
        samples += cropped(texts, SEED + 2 * number, sizes) + cropped(human, SEED + 2 * number + 1, sizes)
        parts += [halved, halved[is_human]]
    weights = np.concatenate(parts)
    machine = np.array([text.machine for text in samples], dtype=np.int64)
    views, style = matrices([text.text for text in samples], words)
    arrays: dict[str, NDArray[Any]] = {}
    offsets: dict[str, float] = {}
    for name in ngrams.VIEWS:
        slopes, offset = linear(views.pop(name), machine, weights, INVERSE_REGULARISATION[name])
        arrays[name] = slopes.astype(np.float16)
        offsets[name] = round(offset, 6)
        print(f"{name}: done", flush=True)
    trees, offsets["style"], depth = boosted(style, machine, weights)
    arrays |= {"vocabulary": words.vocabulary, "ranks": words.ranks.astype(np.uint16), **trees}
    header: dict[str, Any] = {"offsets": offsets, "tree_depth": depth}
    calibrating = cropped(calibration + formal["calibrate"])
    header |= calibrate(header, arrays, calibration, formal["calibrate"] + calibrating)
    numbers = b"".join(array.tobytes() for array in arrays.values())
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode() + numbers)
    return {**header, "version": digest.hexdigest()[:12]}, arrays


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


def cropped(
    texts: list[data.Text], seed: int = SEED, words: tuple[int, int] = SHORT_CROP_WORDS
) -> list[data.Text]:
    """A piece of each text, of so many words: most articles are short, and so is what is quoted of them."""
    chance = random.Random(seed)
    low, high = np.log(words)
    pieces = []
    for text in texts:
        split = text.text.split()
        size = min(len(split), round(np.exp(chance.uniform(low, high))))
        start = chance.randrange(len(split) - size + 1)
        pieces.append(replace(text, text=" ".join(split[start : start + size])))
    return pieces


def domain_weights(texts: list[data.Text]) -> Floats:
    """Human and machine texts weigh the same within each domain, so that no domain tells them apart."""
    counts = Counter((text.domain, text.machine) for text in texts)
    weights = []
    for text in texts:
        human, machine = counts[text.domain, False], counts[text.domain, True]
        if human and machine:
            weights.append(human / machine if text.machine else 1.0)
        else:
            weights.append(MACHINE_ONLY_WEIGHT if text.machine else HUMAN_ONLY_WEIGHT)
    return np.array(weights)


def matrices(texts: list[str], words: Words) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """The n-grams of the texts as sparse matrices, and their style as a table."""
    views: dict[str, list[Any]] = {name: [] for name in ngrams.VIEWS}
    style = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        features = features_of(texts[start : start + TEXTS_AT_ONCE], words)
        shape = (features.tokens.texts, ngrams.BUCKETS)
        for name, counts in features.views.items():
            place = (counts.text.astype(np.int32), counts.bucket.astype(np.int32))
            views[name].append(csr_matrix((counts.weight.astype(np.float32), place), shape=shape))
        style.append(features.style.astype(np.float32))
    return {name: vstack(parts).tocsr() for name, parts in views.items()}, np.concatenate(style)


def linear(
    view: Any, machine: NDArray[np.int64], weights: Floats, inverse_regularisation: float
) -> tuple[Floats, float]:
    """The mean of two logistic regressions, which stress different n-grams.

    One stresses the rare ones (inverse document frequency), the other those that are rarer in one kind of
    text (the ratio of NB-SVM, Wang and Manning 2012).

    Both are linear in the same counts, and so is their mean: using it costs no more than using one.
    """
    texts_with = np.bincount(view.indices, minlength=view.shape[1])
    rarity = np.log((1 + view.shape[0]) / (1 + texts_with)) + 1
    sums = [view.T @ (weights * (machine == kind)) for kind in (1, 0)]
    smoothing = RATIO_SMOOTHING * sums[0].sum()
    shares = [(total + smoothing) / (total + smoothing).sum() for total in sums]
    ratio = RATIO_FLOOR + np.abs(np.log(shares[0] / shares[1]))
    slopes, offsets = [], []
    for base in (rarity, ratio):
        stress = base / np.sqrt((base**2 * texts_with).sum() / texts_with.sum())
        scaled = view.copy()
        scaled.data *= stress.astype(np.float32)[scaled.indices]
        fitted = LogisticRegression(C=inverse_regularisation, max_iter=MOST_ROUNDS, tol=1e-4)
        fitted.fit(scaled, machine, sample_weight=weights)
        slopes.append(fitted.coef_[0] * stress)
        offsets.append(float(fitted.intercept_[0]))
    return np.mean(slopes, axis=0), float(np.mean(offsets))


def boosted(
    style: NDArray[np.float32], machine: NDArray[np.int64], weights: Floats
) -> tuple[dict[str, NDArray[Any]], float, int]:
    """Boosted trees as arrays: all nodes in one row, each leaf its own child, so that climbing may go on."""
    forest = HistGradientBoostingClassifier(
        max_iter=800,
        learning_rate=0.06,
        max_leaf_nodes=20,
        max_depth=6,
        min_samples_leaf=40,
        l2_regularization=5,
        max_features=0.3,
        early_stopping=False,
        random_state=SEED,
    ).fit(style, machine, sample_weight=weights)
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
