"""Files of NumPy arrays with a SHA-256 beside them, which loading cannot make execute anything.

`sha256sum --check FILE.sha256` checks one.
"""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from contentworker.errors import ConfigError

__all__ = ["read_arrays", "write_checksum"]

T = TypeVar("T")


def read_arrays(path: Path, name: str, kind: str, unpack: Callable[[dict[str, Any]], T]) -> tuple[str, T]:
    """The SHA-256 of an `.npz` file, and what `unpack` makes of its members.

    Args:
        path: The file.
        name: What it is here, for errors: "the detector's model".
        kind: What any such file is: "a model of the detector".
        unpack: Takes the members by their names. A KeyError or ValueError of it says that it is none.

    Raises:
        ConfigError: the file is missing, damaged, or of another kind; says which and what helps.
    """
    try:
        content, expected = path.read_bytes(), _checksum_file(path).read_text("ascii")
    except OSError as error:
        raise ConfigError(
            f"{path.name}: {name} cannot be read: {error.strerror} ({error.filename})"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    # Checked before anything is parsed: NumPy raises errors of many kinds for a damaged file.
    if digest != expected.partition(" ")[0]:
        raise ConfigError(f"{path.name}: {name} is damaged, its checksum differs ({path}); restore the file")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return digest, unpack(dict(file))
    except (ValueError, KeyError, EOFError):
        raise ConfigError(f"{path.name}: not {kind} ({path}); take the one of this checkout") from None


def write_checksum(path: Path) -> None:
    """Write the SHA-256 of a file beside it."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    _checksum_file(path).write_text(f"{digest}  {path.name}\n", "ascii")


def _checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
