"""The model file: an `.npz` of numbers, which loading cannot make execute anything, beside its SHA-256.

`sha256sum --check model.npz.sha256` checks the file. Its array `header` is JSON: the calibration, the
thresholds, the model's version and that of the features it was trained on.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contentworker.editorial.detector.ngrams import BUCKETS, VIEWS
from contentworker.editorial.detector.style import FEATURES
from contentworker.errors import ConfigError

__all__ = ["FEATURES_VERSION", "SHIPPED", "Model", "build", "load", "save", "shipped"]

SHIPPED = Path(__file__).with_name("model.npz")
FEATURES_VERSION = 1
"""Version of cleaning, tokens, n-grams and style: raise it when a change of them needs a new model."""


@dataclass(frozen=True, slots=True)
class Model:
    """What was learnt. `version` is the start of a checksum of the trained numbers."""

    version: str
    views: dict[str, NDArray[np.float32]]
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
    try:
        content, expected = path.read_bytes(), _checksum_file(path).read_text("ascii")
    except OSError as error:
        raise ConfigError(
            f"{path.name}: the detector's model cannot be read: {error.strerror} ({error.filename})"
        ) from None
    # Checked before anything is parsed: NumPy raises errors of many kinds for a damaged file.
    if hashlib.sha256(content).hexdigest() != expected.partition(" ")[0]:
        raise ConfigError(
            f"{path.name}: the detector's model is damaged, its checksum differs ({path}); restore the file"
        )
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = dict(file)
        header = json.loads(str(arrays.pop("header")))
    except (ValueError, KeyError, EOFError):
        raise ConfigError(
            f"{path.name}: not a model of the detector ({path}); take the one of this checkout"
        ) from None
    if header["features"] != FEATURES_VERSION:
        raise ConfigError(
            f"{path.name}: the detector's model is made for features of version {header['features']}, this "
            f"code has version {FEATURES_VERSION} ({path}); code and model belong to one checkout"
        )
    if {arrays[view].shape for view in VIEWS} != {(BUCKETS,)} or arrays["typical"].shape != (
        len(FEATURES),
        2,
    ):
        raise ConfigError(f"{path.name}: the detector's model does not fit this code ({path})")
    return build(header, arrays)


def build(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Model:
    """A model from a header and its arrays, whose shapes are not looked at again."""
    kinds: dict[str, Any] = {
        "vocabulary": np.uint64,
        "tree_threshold": np.float32,
        "tree_value": np.float64,
        "typical": np.float32,
    }
    numbers: dict[str, Any] = {
        name: array.astype(kinds.get(name, np.int64)) for name, array in arrays.items() if name not in VIEWS
    }
    names = ("version", "tree_depth", "offsets", "centres", "scales", "ai_from")
    return Model(
        views={view: arrays[view].astype(np.float32) for view in VIEWS},
        calibration=tuple(header["calibration"]),
        **{name: header[name] for name in names},
        **numbers,
    )


def save(path: Path, header: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Write a model file and its checksum: the same bytes for the same values."""
    text = json.dumps({"features": FEATURES_VERSION, **header}, sort_keys=True)
    every: dict[str, Any] = {"header": np.array(text), **arrays}
    np.savez(path, **every)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    _checksum_file(path).write_text(f"{digest}  {path.name}\n", "ascii")


def _checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
