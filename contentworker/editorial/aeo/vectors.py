"""The table of word vectors: what the words of a text are about, as 128 numbers; no model runs.

`vectors.npz` holds a row for each piece of a word, in int8, and loading it cannot execute anything.
`sha256sum --check vectors.npz.sha256` checks it. research/aeo/vectors.py writes both.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contentworker.editorial.checked_arrays import read_arrays, write_checksum
from contentworker.errors import ConfigError

__all__ = ["DIMENSIONS", "SHIPPED", "TABLE_VERSION", "Table", "Vectors", "load", "save", "shipped"]

SHIPPED = Path(__file__).with_name("vectors.npz")
TABLE_VERSION = 1
"""Version of how words are cut into pieces and summed: raise it when a change of them needs a new table."""
DIMENSIONS = 128

Vectors = NDArray[np.float32]

_WORD_START = "▁"
_LONGEST_PIECE = 16
_LONGEST_WORD = 40
_MOST_WORDS_KEPT = 50_000


class Table:
    """Vectors of pieces of words. A word is its longest known pieces from the left, a text their sum."""

    def __init__(
        self,
        version: str,
        languages: Iterable[str],
        pieces: Sequence[str],
        numbers: NDArray[Any],
        scales: Vectors,
    ) -> None:
        self.version = version
        """The start of the table's checksum."""
        self.languages = frozenset(languages)
        self._row = {piece: row for row, piece in enumerate(pieces)}
        self._numbers = numbers
        self._scales = scales
        self._rows_of: dict[str, tuple[int, ...]] = {}

    def sums(self, texts: Sequence[Sequence[str]]) -> Vectors:
        """The sum of the vectors of each text's tokens: (texts, dimensions). 0 without a known piece."""
        rows = [list(chain.from_iterable(map(self._rows, tokens))) for tokens in texts]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        sums = np.zeros((len(rows), self._numbers.shape[1]), np.float32)
        if lengths.any():
            every = np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum()))
            vectors = self._numbers[every].astype(np.float32) * self._scales[every, None]
            starts = np.cumsum(lengths) - lengths
            sums[lengths > 0] = np.add.reduceat(vectors, starts[lengths > 0])
        return sums

    def _rows(self, token: str) -> tuple[int, ...]:
        known = self._rows_of.get(token)
        if known is None:
            if len(self._rows_of) >= _MOST_WORDS_KEPT:
                self._rows_of.clear()
            known = self._rows_of[token] = tuple(self._cut(_WORD_START + token[:_LONGEST_WORD]))
        return known

    def _cut(self, word: str) -> Iterable[int]:
        start = 0
        while start < len(word):
            for end in range(min(len(word), start + _LONGEST_PIECE + 1), start, -1):
                row = self._row.get(word[start:end])
                if row is not None:
                    yield row
                    start = end
                    break
            else:
                start += 1


@cache
def shipped() -> Table:
    """The table that comes with the code, read once in a process.

    Raises:
        ConfigError: the file is missing, damaged, or of another version.
    """
    return load(SHIPPED)


def load(path: Path) -> Table:
    """Read and check a table.

    Raises:
        ConfigError: the file is missing, damaged, or of another version; says which and what helps.
    """
    digest, (header, pieces, numbers, scales) = read_arrays(
        path, "the table of word vectors", "a table of word vectors", _unpack
    )
    if header["version"] != TABLE_VERSION or numbers.shape != (len(pieces), DIMENSIONS):
        raise ConfigError(
            f"{path.name}: the table of word vectors has version {header['version']}, this code needs "
            f"version {TABLE_VERSION} ({path}); code and table belong to one checkout"
        )
    return Table(digest[:12], header["languages"], pieces, numbers, scales)


def _unpack(members: dict[str, Any]) -> tuple[dict[str, Any], list[str], NDArray[Any], Vectors]:
    pieces = members["pieces"].tobytes().decode("utf-8").split("\n")
    return json.loads(str(members["header"])), pieces, members["numbers"], members["scales"]


def save(
    path: Path, *, languages: Sequence[str], pieces: Sequence[str], numbers: NDArray[np.int8], scales: Vectors
) -> None:
    """Write a table and its checksum: the same bytes for the same values."""
    header = json.dumps({"languages": list(languages), "version": TABLE_VERSION}, sort_keys=True)
    text = np.frombuffer("\n".join(pieces).encode(), np.uint8)
    np.savez(path, header=np.array(header), pieces=text, numbers=numbers, scales=scales.astype(np.float32))
    write_checksum(path)
