"""The terminal report: what it shows, at a hundred columns and without colour."""

import datetime
import io
import json
from pathlib import Path

from rich.console import Console

from contentworker.editorial.aeo.scoring import score
from contentworker.editorial.detector.judging import judge
from contentworker.editorial.detector.model import shipped
from contentworker.editorial.document import parse
from contentworker.editorial.report import render, render_detection
from contentworker.editorial.settings import ContentSettings
from tests.support import ROOT

SETTINGS = ContentSettings()
EXAMPLE = Path(__file__).parents[3] / "examples" / "how-leap-years-work.html"


def report(source: str, *questions: str, width: int = 100) -> str:
    """The report as plain text."""
    result = score(
        parse(source, settings=SETTINGS),
        questions=questions,
        today=datetime.date(2026, 6, 1),
        settings=SETTINGS,
    )
    console = Console(file=io.StringIO(), width=width, color_system=None)
    render(result, name="article", source=source, console=console)
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_report_shows_verdict_criteria_and_places() -> None:
    """The verdict is a word, each criterion has a row, and advice says on which line to act."""
    source = EXAMPLE.read_text("utf-8")
    text = report(source, "How are leap years calculated?")
    assert "NEARLY READY" in text
    assert "nearest in meaning: 88%" in text
    for title in ("Question relevance", "Answer directness", "Structured data"):
        assert title in text
    line = 1 + source[: source.index("<h3>The rule")].count("\n")
    assert f"line {line}, Leap years: the calendar & its extra day > The rule for leap years" in text
    assert "not a probability of being cited" in text


def test_report_fits_its_width() -> None:
    """No line is wider than the console, at a hundred columns or eighty."""
    source = EXAMPLE.read_text("utf-8")
    for width in (100, 80):
        assert max(map(len, report(source, width=width).splitlines())) <= width


def test_report_of_nothing_says_why() -> None:
    """An empty article is reported with its cap and its warning."""
    text = report("")
    assert "NOT READY" in text
    assert "at most 0 empty: There is no text." in text
    assert "! The article has no text." in text


def test_markup_in_the_article_is_not_obeyed() -> None:
    """Square brackets in an article are shown as they stand; they are no instructions to the console."""
    assert "[bold red]" in report("# The [bold red] sky\n\nText [/] here.", "Why is the [bold red] sky?")


def test_detection_report_shows_verdict_sentences_and_its_limits() -> None:
    """The verdict is a word, the sentences that drove it stand with their lines, and it is called a hint."""
    model = shipped()
    row = json.loads((ROOT / "tests" / "data" / "detector.json").read_text("utf-8"))[2]
    source = f"# A heading\n\n{row['text']}\n"
    found = judge(parse(source, settings=SETTINGS), model=model, settings=SETTINGS)
    console = Console(file=io.StringIO(), width=100, color_system=None)
    render_detection(found, name="article", source=source, console=console)
    output = console.file
    assert isinstance(output, io.StringIO)
    text = output.getvalue()
    assert found.verdict.upper().replace("_", " ") in text
    assert found.meaning in " ".join(text.replace("│", " ").split())
    assert "line 3" in text
    assert "alone rejects nothing" in text


def test_detection_report_says_why_the_detector_abstains() -> None:
    """Nothing is made of three words."""
    source = "Three short words."
    found = judge(parse(source, settings=SETTINGS), model=shipped(), settings=SETTINGS)
    console = Console(file=io.StringIO(), width=100, color_system=None)
    render_detection(found, name="article", source=source, console=console)
    output = console.file
    assert isinstance(output, io.StringIO)
    assert "too short" in output.getvalue()
