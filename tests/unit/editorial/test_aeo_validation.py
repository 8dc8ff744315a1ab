"""The validation of research/aeo on small samples of its questions; `nox -s validate-aeo` takes all of them.

With so few questions the bars are below those of the full sets: they find what breaks, and prove no quality.
"""

import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contentworker.editorial.aeo.encoder import Encoder
from research.aeo.data import NQ, Choice, KeptVectors, is_fitted, natural_questions, unseen, xquad
from research.aeo.fit import fit, row
from research.aeo.intervals import mcnemar, wilson
from research.aeo.ranking import hit, relevance, relevance_and_heading
from research.aeo.validate import HELD_OUT, main, questions_of
from tests.support import ROOT

SAMPLES = Path(__file__).parents[2] / "data" / "aeo"


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def asked() -> list[Choice]:
    return natural_questions(sample("natural_questions.json"))


def test_the_passage_that_answers_comes_first(asked: list[Choice]) -> None:
    """Criteria 1 and 2 mostly put the right one of ten passages first, which BM25 chose for the question."""
    ours = [hit(relevance_and_heading(choice), choice.right) for choice in asked]
    assert len(asked) == 30
    assert math.fsum(ours) / 30 >= 0.7


@pytest.mark.parametrize(
    ("language", "bar"), [("en", 0.85), ("de", 0.8), ("es", 0.85), ("ru", 0.8), ("hi", 0.8), ("zh", 0.85)]
)
def test_the_paragraph_that_answers_comes_first_in_each_language(language: str, bar: float) -> None:
    """Criterion 1 mostly puts the right one of five paragraphs first."""
    choices = dict(xquad({language: sample("xquad.json")[language]}))[language]
    hits = [hit(relevance(choice), choice.right) for choice in choices]
    assert len(hits) == 20
    assert math.fsum(hits) / 20 >= bar


def test_the_page_shows_the_figures_of_the_last_validation() -> None:
    """Each row of its table is one that `nox -s validate-aeo` has written."""
    written = (ROOT / "research" / "aeo" / "results" / "validation.md").read_text("utf-8").splitlines()
    page = (ROOT / "docs" / "aeo.md").read_text("utf-8").splitlines()
    shown = [line for line in page if line.startswith(("| NQ", "| XQuAD"))]
    assert len(shown) == 13
    assert set(shown) <= set(written)


def test_no_question_of_the_sample_was_fitted_to(asked: list[Choice]) -> None:
    """The sample is of the half that is only reported."""
    assert not any(is_fitted(choice.question) for choice in asked)


def test_a_shared_first_place_counts_as_its_share() -> None:
    """First alone is 1, first with another is a half, second is 0."""
    assert hit([0.5, 0.7, 0.1], 1) == 1
    assert hit([0.7, 0.7, 0.1], 1) == 0.5
    assert hit([0.7, 0.5, 0.1], 1) == 0


def test_wilson_interval_is_the_published_one() -> None:
    """81 of 263: .2553 to .3662 (Newcombe 1998, table I)."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_mcnemar_is_a_sign_test_of_what_differs() -> None:
    """One against five: p is twice the chance of one head or none in six tosses."""
    ours = [True] * 5 + [False] + [True] * 10
    theirs = [False] * 5 + [True] + [True] * 10
    assert list(mcnemar(ours, theirs)) == pytest.approx([5, 1, 2 * 7 / 64])
    assert mcnemar([True], [True])[2] == 1


def test_the_fit_finds_that_passage_and_heading_matter(asked: list[Choice]) -> None:
    """Fitted to the sample, the weights of passage and heading are positive, and it converges."""
    weights, errors = fit([row(choice) for choice in asked])
    assert weights[0] > 0
    assert weights[-1] > 0
    assert all(0 < error < 1 for error in errors)


def test_validation_needs_the_data_that_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without the sets is an error of the command, not a result."""
    monkeypatch.setattr("sys.argv", ["validate", "--data", str(tmp_path)])
    with pytest.raises(FileNotFoundError):
        main()


def test_without_unseen_questions_the_bars_are_for_the_held_out_half(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which no weight was fitted to; that the others are missing is said."""
    with gzip.open(tmp_path / NQ, "wt", encoding="utf-8") as file:
        json.dump(sample("natural_questions.json"), file)
    asked = questions_of(tmp_path)
    assert list(asked) == [HELD_OUT]
    questions = asked[HELD_OUT]["questions"]
    assert questions
    assert not any(is_fitted(each["q"]) for each in questions)
    assert "nq-open-oracle.jsonl.gz is not there" in capsys.readouterr().err


def test_unseen_questions_get_the_passages_that_bm25_takes_for_theirs(tmp_path: Path) -> None:
    """A known question is left out, its passage is not, and the right passage is where `gold` says."""
    passages = {
        name: f"{name} tea is grown in {name} by many people." for name in ("Assam", "Ceylon", "Java")
    }
    passages["Ships"] = "A ship was lost in a storm."
    asking = [
        {"question": f"where is {name} tea grown", "ctxs": [{"title": name, "text": text}]}
        for name, text in passages.items()
    ]
    path = tmp_path / "oracle.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in asking)
    found = unseen(path, {"questions": [{"q": asking[0]["question"]}]})
    titles = [passage["title"] for passage in found["passages"]]
    assert titles == list(passages)
    for name, item in zip(titles[1:], found["questions"], strict=True):
        assert item["q"] == f"where is {name} tea grown"
        shown = [titles[index] for index in item["cands"]]
        assert shown[item["gold"]] == name
        assert set(shown) - {shown[item["gold"]]} <= {"Assam", "Ceylon", "Java"}
        assert len(shown) == len(set(shown)) >= 3


def test_kept_vectors_are_made_once(tmp_path: Path) -> None:
    """A second run reads them from the file, and a vector stays that of its kind and text."""

    class Counting(Encoder):
        def __init__(self) -> None:
            self.seen: list[str] = []

        def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
            self.seen += texts
            return np.array([[len(text), 1] for text in texts], np.float32).reshape(-1, 2)

        def questions(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return -self.passages(texts)

    encoder = Counting()
    for texts in (["a", "bb", "a"], ["bb", "ccc"]):
        kept = KeptVectors(encoder, tmp_path / "kept.npz")
        assert kept.passages(texts).tolist() == [[len(text), 1] for text in texts]
        assert kept.questions(["a"]).tolist() == [[-1, -1]]
        assert kept.passages([]).shape == (0, 2)
        kept.save()
    assert encoder.seen == ["a", "bb", "a", "ccc"]
