"""What the detector is trained on, what is kept aside, and the card that the figures write."""

import gzip
import json
from datetime import date
from pathlib import Path

import pytest

from contentworker.editorial.detector import expiry
from research.detector import card, data
from tests.support import ROOT

ARTICLES = [row["text"] for row in json.loads((ROOT / "tests" / "data" / "detector.json").read_text("utf-8"))]
MODELS = ARTICLES[:3]


def test_a_folder_of_new_texts_is_read(tmp_path: Path) -> None:
    """One folder a generator, named by the month; each text knows both."""
    for place, text in enumerate(MODELS):
        path = tmp_path / "gpt-7_2027-03" / f"{place}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# A heading\n\n{text}", "utf-8")
    texts, months = data.new_texts(tmp_path, [])
    assert [(text.generator, text.machine, text.kind) for text in texts] == [("gpt-7", True, "new:gpt-7")] * 3
    assert months == {"new:gpt-7": "2027-03"}
    assert data.known_months(texts, months) == {"gpt-7": "2027-03"}


def test_every_fault_of_a_folder_is_named_at_once(tmp_path: Path) -> None:
    """Empty, short, repeated, mislabelled, unreadable and misplaced files: nothing is trained with them."""
    person = data.Text(MODELS[2], machine=False, source="essays", generator="human", domain="a", group="b")
    place = tmp_path / "gpt-7_2027-03"
    place.mkdir()
    for name, content in {
        "a.txt": MODELS[0].encode(),
        "b.txt": b"",
        "c.txt": MODELS[0].encode(),
        "d.txt": MODELS[2].encode(),
        "e.txt": b"\xff\xfe\x00",
        "f.docx": b"x",
        "g.txt": b"Too short to say anything.",
    }.items():
        (place / name).write_bytes(content)
    (tmp_path / "gpt-7_march").mkdir()
    (tmp_path / "loose.txt").write_text(MODELS[1], "utf-8")
    with pytest.raises(data.NewTextsError, match=r"b\.txt") as caught:
        data.new_texts(tmp_path, [person])
    assert str(caught.value).splitlines() == [
        "gpt-7_2027-03/b.txt: expected at least 75 words, found 0",
        "gpt-7_2027-03/c.txt: repeats gpt-7_2027-03/a.txt",
        "gpt-7_2027-03/d.txt: repeats a person's text of essays",
        "gpt-7_2027-03/e.txt: expected UTF-8 text",
        "gpt-7_2027-03/f.docx: expected a file that ends in .txt or .md",
        "gpt-7_2027-03/g.txt: expected at least 75 words, found 5",
        "gpt-7_march: expected a folder named GENERATOR_YYYY-MM, for example gpt-7_2027-03",
        "loose.txt: expected a folder named GENERATOR_YYYY-MM, for example gpt-7_2027-03",
    ]


def test_an_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(data.NewTextsError, match="expected folders named GENERATOR_YYYY-MM"):
            data.new_texts(folder, [])


def test_our_own_articles_are_as_their_page_says() -> None:
    """Long enough, no two share text, every kind of prompt is there, and one writer's are kept aside."""
    with gzip.open(data.OWN, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert len(rows) >= 600
    assert {row["licence"] for row in rows} == {"CC0-1.0"}
    page = (data.OWN.parent / "README.md").read_text("utf-8")
    assert all(f"| {kind} |" in page for kind in {row["domain"] for row in rows})
    seen: set[int] = set()
    for row in rows:
        assert len(row["text"].split()) >= 75
        found = set(data.grams(row["text"]))
        assert len(seen & found) < 2, row["group"]
        seen |= found
    aside = [text for text in data.read(data.OWN) if data.is_aside(text)]
    assert {text.group.rpartition("-")[0] for text in aside} == {data.ASIDE_WRITER}
    assert len(aside) >= 100


def test_what_is_left_out_together_is_of_one_source() -> None:
    """Two sources never share a unit, and a person's text is never in the unit of a generator's fiction."""
    person = data.Text("t", machine=False, source="masc", generator="human", domain="fiction", group="1")
    model = data.Text("t", machine=True, source="eq-longform", generator="gpt-5", domain="fiction", group="1")
    assert person.unit == "masc: fiction"
    assert model.unit == "eq-longform: gpt-5"
    assert (person.kind, model.kind) == ("people", "fiction")


def test_the_card_is_what_the_results_say() -> None:
    """The tables of docs/detector.md and results.md are written from results.json, of the shipped model."""
    results = json.loads(card.RESULTS.read_text("utf-8"))
    header = expiry.read_header()
    assert results["model"]["version"] == header["version"]
    assert card.RESULTS.with_name("results.md").read_text("utf-8") == card.every_table(results)
    assert card.tables(results) in card.CARD.read_text("utf-8")
    assert header["knows_until"] in card.tables(results)


@pytest.mark.parametrize(
    ("today", "is_old"), [("2026-12-01", False), ("2027-12-31", False), ("2028-01-01", True)]
)
def test_a_model_is_old_after_a_year(today: str, is_old: bool) -> None:
    """Its newest generator is then more than twelve months old."""
    found = expiry.warning("2026-12", date.fromisoformat(today))
    assert bool(found) is is_old
    assert (
        not is_old or found == "the detector knows no generator after 2026-12, 13 months ago: it misses most"
    )
