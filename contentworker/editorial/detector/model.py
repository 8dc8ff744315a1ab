"""The model file: an `.npz` of numbers, which loading cannot make execute anything, beside its SHA-256.

`sha256sum --check model.npz.sha256` checks the file. Its member `header.json` has the calibration, the
threshold and its rates, the generators known, the model's version and that of the features.
"""

import json
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contentworker.editorial.checked_arrays import read_arrays, write_checksum
from contentworker.editorial.detector.expiry import HEADER, SHIPPED
from contentworker.editorial.detector.ngrams import BUCKETS
from contentworker.editorial.detector.style import FEATURES
from contentworker.errors import ConfigError

__all__ = ["FEATURES_VERSION", "PARTS", "SHIPPED", "Model", "build", "load", "save", "shipped"]

PARTS = ("letters", "style")
"""The parts of a score, in order."""

FEATURES_VERSION = 2
"""Version of cleaning, tokens, n-grams and style: raise it when a change of them needs a new model."""


@dataclass(frozen=True, slots=True)
class Model:
    """What was learnt. `version` is the start of a checksum of the trained numbers."""

    version: str
    letters: NDArray[np.float32]
    vocabulary: NDArray[np.uint64]
    ranks: NDArray[np.int64]
    tree_root: NDArray[np.int64]
    tree_feature: NDArray[np.int64]
    tree_threshold: NDArray[np.float32]
    tree_left: NDArray[np.int64]
    tree_right: NDArray[np.int64]
    tree_value: NDArray[np.float64]
    tree_depth: int
    offsets: dict[str, float]
    """Intercept of each part."""
    centres: dict[str, float]
    scales: dict[str, float]
    """These two make the parts comparable."""
    calibration: tuple[float, float, float, float]
    """Log odds = a + b x mean of the parts + c x log words + d x their product."""
    ai_from: float
    passage_from: float
    """Probability from which a passage reads like a model's: one person's article in a hundred has one."""
    knows_until: str
    """The month (ISO 8601, `2026-12`) of the newest generator among the training texts."""
    rates: dict[str, float]
    """Share of texts that got `ai` when the threshold was set, by models that had not seen their source.

    `people`; `worst_people`, the group with most; `known`, articles by generators of the training;
    `left_out`, fiction and essays by generators that were left out; `unknown`, articles where no article by
    any generator of today was in the training.
    """
    typical: NDArray[np.float32]
    """Median of each style feature in the human and in the machine texts of the calibration."""


@cache
def shipped() -> Model:
    """The model that comes with the code, read once in a process.

    Raises:
        ConfigError: the file is missing, damaged, or of another version.
    """
    return load(SHIPPED)


def load(path: Path) -> Model:
    """Read and check a model file.

    Raises:
        ConfigError: the file is missing, damaged, or of another version; says which and what helps.
    """
    _, (header, arrays) = read_arrays(path, "the detector's model", "a model of the detector", _unpack)
    if header["features"] != FEATURES_VERSION:
        raise ConfigError(
            f"{path.name}: the detector's model is made for features of version {header['features']}, this "
            f"code has version {FEATURES_VERSION} ({path}); code and model belong to one checkout"
        )
    if arrays["letters"].shape != (BUCKETS,) or arrays["typical"].shape != (len(FEATURES), 2):
        raise ConfigError(f"{path.name}: the detector's model does not fit this code ({path})")
    return build(header, arrays)


def _unpack(members: dict[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    return json.loads(members.pop(HEADER)), members


def build(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Model:
    """A model from a header and its arrays, whose shapes are not looked at again."""
    kinds: dict[str, Any] = {
        "vocabulary": np.uint64,
        "tree_threshold": np.float32,
        "tree_value": np.float64,
        "letters": np.float32,
        "typical": np.float32,
    }
    numbers: dict[str, Any] = {
        name: array.astype(kinds.get(name, np.int64)) for name, array in arrays.items()
    }
    names = (
        "version",
        "tree_depth",
        "offsets",
        "centres",
        "scales",
        "ai_from",
        "passage_from",
        "knows_until",
        "rates",
    )
    return Model(
        calibration=tuple(header["calibration"]),
        **{name: header[name] for name in names},
        **numbers,
    )


def save(path: Path, header: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Write a model file and its checksum: the same bytes for the same values."""
    text = json.dumps({"features": FEATURES_VERSION, **header}, sort_keys=True)
    np.savez(path, **arrays)
    with zipfile.ZipFile(path, "a") as file:
        # Of a fixed date, so that the same values are the same bytes.
        file.writestr(zipfile.ZipInfo(HEADER), text)
    write_checksum(path)
