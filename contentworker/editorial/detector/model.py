"""The model file: numbers in a container of our own, which loading cannot make execute anything.

    CWDETECT | SHA-256 of all that follows | length of the header | header (JSON) | the arrays, one by one

The header names each array with its type and shape, and holds the calibration and the thresholds.
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contentworker.editorial.detector.ngrams import BUCKETS, VIEWS
from contentworker.editorial.detector.style import FEATURES
from contentworker.errors import ConfigError

__all__ = ["FEATURES_VERSION", "SHIPPED", "Model", "build", "load", "pack", "shipped"]

SHIPPED = Path(__file__).with_name("model.bin")
FEATURES_VERSION = 1
"""Of cleaning, tokens, n-grams and style: raised when one of them changes what a model was trained on."""
_MAGIC = b"CWDETECT"
_CHECKSUM_BYTES = 32
_TYPES = {
    "float16": np.float16,
    "float32": np.float32,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint64": np.uint64,
}


@dataclass(frozen=True, slots=True)
class Model:
    """What was learnt. `version` is the start of the file's checksum."""

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
    """With which the parts are made comparable."""
    calibration: tuple[float, float, float, float]
    """Log odds = a + b x mean of the parts + c x log words + d x their product."""
    human_below: float
    ai_from: float
    typical: NDArray[np.float32]
    """Of each style feature, its median in human and in machine text of the calibration."""


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
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path.name}: the detector's model cannot be read: {error.strerror} ({path})"
        ) from None
    if not content.startswith(_MAGIC):
        raise ConfigError(f"{path.name}: is no model of the detector ({path}); take the one of this checkout")
    start = len(_MAGIC) + _CHECKSUM_BYTES
    checksum, body = content[len(_MAGIC) : start], content[start:]
    if hashlib.sha256(body).digest() != checksum:
        raise ConfigError(
            f"{path.name}: the detector's model is damaged, its checksum differs ({path}); restore the file"
        )
    (size,) = struct.unpack_from("<I", body)
    header = json.loads(body[4 : 4 + size])
    if header["features"] != FEATURES_VERSION:
        raise ConfigError(
            f"{path.name}: the detector's model is made for features of version {header['features']}, this "
            f"code has version {FEATURES_VERSION} ({path}); code and model belong to one checkout"
        )
    return build(checksum.hex()[:12], header, _unpack(header, body[4 + size :], path))


def _unpack(header: dict[str, Any], data: bytes, path: Path) -> dict[str, NDArray[Any]]:
    arrays, position = {}, 0
    for name, kind, shape in header["arrays"]:
        count = int(np.prod(shape))
        array = np.frombuffer(
            data, dtype=np.dtype(_TYPES[kind]).newbyteorder("<"), count=count, offset=position
        )
        arrays[name] = array.reshape(shape)
        position += array.nbytes
    fits = all(arrays[view].shape == (BUCKETS,) for view in VIEWS)
    if not fits or arrays["typical"].shape != (len(FEATURES), 2):
        raise ConfigError(f"{path.name}: the detector's model does not fit this code ({path})")
    return arrays


def build(version: str, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Model:
    """A model from a header and its arrays, whose shapes are not looked at again."""
    return Model(
        version=version,
        views={view: arrays[view].astype(np.float32) for view in VIEWS},
        vocabulary=arrays["vocabulary"].astype(np.uint64),
        ranks=arrays["ranks"].astype(np.int64),
        tree_root=arrays["tree_root"].astype(np.int64),
        tree_feature=arrays["tree_feature"].astype(np.int64),
        tree_threshold=arrays["tree_threshold"].astype(np.float32),
        tree_left=arrays["tree_left"].astype(np.int64),
        tree_right=arrays["tree_right"].astype(np.int64),
        tree_value=arrays["tree_value"].astype(np.float64),
        tree_depth=header["tree_depth"],
        offsets=header["offsets"],
        centres=header["centres"],
        scales=header["scales"],
        calibration=tuple(header["calibration"]),
        human_below=header["human_below"],
        ai_from=header["ai_from"],
        typical=arrays["typical"].astype(np.float32),
    )


def pack(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    """The content of a model file: the same for the same values."""
    described = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    head = json.dumps({"features": FEATURES_VERSION, "arrays": described, **header}, sort_keys=True).encode()
    data = b"".join(array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays.values())
    body = struct.pack("<I", len(head)) + head + data
    return _MAGIC + hashlib.sha256(body).digest() + body
