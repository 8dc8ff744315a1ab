"""The table of word vectors: what it knows of other words for the same, and how it is read and refused."""

import datetime
import hashlib
from pathlib import Path

import numpy as np
import pytest

from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.aeo import vectors as table_file
from contentworker.editorial.aeo.scoring import score
from contentworker.editorial.aeo.vectors import DIMENSIONS, SHIPPED, Table
from contentworker.editorial.document import parse
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ConfigError
from tests.support import ROOT

SETTINGS = ContentSettings()
LARGEST_BYTES = 8_000_000
FILLING = "Some old friends came along and sat down for lunch. "


def judge(source: str, question: str, url: str | None = None) -> AeoScore:
    document = parse(source, media_type="markdown", settings=SETTINGS)
    day = datetime.date(2026, 6, 1)
    return score(document, questions=[question], url=url, today=day, settings=SETTINGS)


@pytest.mark.parametrize(
    ("language", "question", "answer", "other"),
    [
        (
            "en",
            "When do kids begin school?",
            "Children start their education at the age of six.",
            "A ship was lost in the storm off the northern coast.",
        ),
        (
            "de",
            "Welcher Arzt erfand die Impfung?",
            "Edward Jenner war ein Mediziner, der einen Jungen gegen Pocken immunisierte.",
            "Edward Jenner war ein Pfarrer, der im Winter noch ein Dach reparierte.",
        ),
        (
            "es",
            "¿Qué médico inventó la vacuna?",
            "Edward Jenner fue un doctor rural que inmunizó a un niño contra la viruela.",
            "Edward Jenner fue un párroco rural que reparó el techo antes del invierno.",
        ),
    ],
)
def test_an_answer_in_other_words_gets_its_due(language: str, question: str, answer: str, other: str) -> None:
    """A sentence that shares no word with the question but means the same beats one about something else."""
    told, unrelated = (
        judge(f"---\nlang: {language}\n---\n# T\n\n{text}", question) for text in (answer, other)
    )
    assert told.compared_by == "word_vectors"
    relevance, directness = (
        [getattr(each.questions[0], name) for each in (told, unrelated)]
        for name in ("question_relevance", "answer_directness")
    )
    assert relevance[0] > relevance[1] + 0.03
    assert directness[0] > directness[1] + 0.03


def test_the_nearest_sentence_is_evidence_and_answer() -> None:
    """It is found among sentences that share as few words with the question, wherever it stands."""
    answer = "Children start their education at the age of six."
    source = f"# T\n\n{FILLING * 3}{answer} {FILLING * 3}"
    relevance, _, directness, *_ = judge(source, "When do kids begin school?").criteria
    assert [each.text for each in relevance.evidence if each.note.startswith("nearest in meaning")] == [
        answer
    ]
    assert directness.evidence[0].text == answer


def test_an_example_is_answered_in_other_words() -> None:
    """docs/aeo.md shows this question: by words alone, the first sentence that says *calendar* answers."""
    document = parse((ROOT / "examples" / "how-leap-years-work.html").read_bytes(), settings=SETTINGS)
    day, question = datetime.date(2026, 6, 1), "Who introduced the modern calendar?"
    relevance, _, directness, *_ = score(
        document, questions=[question], today=day, settings=SETTINGS
    ).criteria
    for evidence in (relevance.evidence[0], directness.evidence[0]):
        assert evidence.text.startswith("In 46 BC Julius Caesar put the Roman calendar in order")
    assert relevance.evidence[0].note == "nearest in meaning: 41%"


def test_a_language_without_a_table_is_compared_by_words() -> None:
    """And the result says so."""
    source = "---\nlang: fr\n---\n# Le ciel\n\nLe ciel est bleu, car l'air disperse les ondes courtes."
    result = judge(source, "Pourquoi le ciel est-il bleu ?")
    assert result.compared_by == "words"
    assert "There are no word vectors for “fr”: questions are compared by words alone." in result.warnings
    assert result.questions[0].question_relevance is not None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/blog/2026/gnome-kazoo.html", 1),
        ("https://a.example/gnome_kazoo/12345/", 1),
        ("https://a.example/gnome%2Dkazoo?kazoo", 1),
        ("https://a.example/kazoo-player", 0.5),
        ("https://gnome-kazoo.example/", 0),
        ("https://[broken/gnome-kazoo", 0),
        (None, 0),
    ],
)
def test_the_slug_of_the_address_matches_as_a_heading_does(url: str | None, expected: float) -> None:
    """The last part of the path that has letters; never the host or the query."""
    result = judge(f"# Notes\n\n{FILLING}", "Why gnome kazoo?", url=url)
    assert result.questions[0].heading_match == expected


def test_a_text_is_the_sum_of_its_pieces() -> None:
    """A word is its longest pieces from the left; what is no piece is passed over."""
    numbers = np.eye(4, dtype=np.int8)
    table = Table("", ["en"], ["▁tea", "▁ta", "pot", "s"], numbers, np.array([1, 2, 3, 4], np.float32))
    sums = table.sums([["tea"], ["teapots", "tea"], [], ["zzz"], ["tás", "ta"]])
    assert sums.tolist() == [[1, 0, 0, 0], [2, 0, 3, 4], [0] * 4, [0] * 4, [0, 2, 0, 4]]


def test_the_shipped_table_is_small_and_has_its_checksum() -> None:
    """At most 8 MB, with the three languages."""
    assert SHIPPED.stat().st_size <= LARGEST_BYTES
    table = table_file.shipped()
    assert table.languages == {"en", "de", "es"}
    assert hashlib.sha256(SHIPPED.read_bytes()).hexdigest().startswith(table.version)


def write(path: Path, dimensions: int = DIMENSIONS) -> bytes:
    numbers, scales = np.ones((2, dimensions), np.int8), np.ones(2, np.float32)
    table_file.save(path, languages=["en"], pieces=["▁a", "b"], numbers=numbers, scales=scales)
    return path.read_bytes()


def test_the_same_values_make_the_same_file(tmp_path: Path) -> None:
    """So that a table can be made again and compared."""
    assert write(tmp_path / "one.npz") == write(tmp_path / "two.npz")
    assert table_file.load(tmp_path / "one.npz").sums([["ab"]]).sum() == 2 * DIMENSIONS


def test_a_table_that_cannot_be_used_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, damaged, something else, or of another version: the error says which."""
    path = tmp_path / "vectors.npz"

    def said() -> str:
        with pytest.raises(ConfigError) as caught:
            table_file.load(path)
        return str(caught.value)

    assert "cannot be read: No such file" in said()
    content = write(path)
    path.write_bytes(content[:-1])
    assert "is damaged, its checksum differs" in said()
    path.write_bytes(b"no table")
    checksum = hashlib.sha256(b"no table").hexdigest()
    path.with_name("vectors.npz.sha256").write_text(f"{checksum}  vectors.npz\n", "ascii")
    assert "not a table of word vectors" in said()
    write(path, dimensions=3)
    assert "code and table belong to one checkout" in said()
    write(path)
    monkeypatch.setattr(table_file, "TABLE_VERSION", 2)
    assert "has version 1, this code needs version 2" in said()
