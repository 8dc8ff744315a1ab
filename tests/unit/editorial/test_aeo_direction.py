"""Edits that imitate the methods of GEO (KDD 2024) move the score the right way.

The pages are our own short articles, each with a question, the sentence that answers it at the very end,
a figure and a source. Every edit is tried on every page as Markdown, HTML and text where it makes sense.
"""

import datetime
import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import pytest

from contentworker.editorial import MediaType
from contentworker.editorial.aeo.scoring import score
from contentworker.editorial.aeo.terms import question_tokens
from contentworker.editorial.document import parse
from contentworker.editorial.parsing.sentences import tokenize
from contentworker.editorial.settings import ContentSettings

SETTINGS = ContentSettings()
TODAY = datetime.date(2026, 6, 1)
PAGES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "direction_pages.json").read_text("utf-8"))
# A page as the edits see it: blocks of (kind, text), where kind is "h1", "h2" or "p".
Blocks = list[tuple[str, str]]
Edit = Callable[[dict[str, Any], Blocks], Blocks]


def original(page: dict[str, Any]) -> Blocks:
    """The page, made longer by the paragraphs of the next two, with its answer at the very end."""
    position = PAGES.index(page)
    others = [PAGES[(position + step) % len(PAGES)]["paragraphs"] for step in (1, 2)]
    paragraphs = [text for texts in (page["paragraphs"], *others) for text in texts]
    return [("h1", page["title"]), *(("p", text) for text in paragraphs), ("p", page["answer"])]


def answer_first(page: dict[str, Any], blocks: Blocks) -> Blocks:
    return [blocks[0], blocks[-1], *blocks[1:-1]]


def cite_source(page: dict[str, Any], blocks: Blocks) -> Blocks:
    return [*blocks[:-1], ("p", f"{blocks[-1][1]} See [the source]({page['source']}).")]


def add_statistics(page: dict[str, Any], blocks: Blocks) -> Blocks:
    return [*blocks[:-1], ("p", f"{blocks[-1][1]} {page['figure']}")]


def add_headings(page: dict[str, Any], blocks: Blocks) -> Blocks:
    return [*blocks[:-1], ("h2", page["question"]), blocks[-1]]


def add_quotation(page: dict[str, Any], blocks: Blocks) -> Blocks:
    # The words are a stand-in: whether a quotation is true is not for this score to know.
    return [*blocks, ("p", "An expert wrote: “This is what the measurements have shown so far.”")]


def make_disfluent(page: dict[str, Any], blocks: Blocks) -> Blocks:
    """The reverse of GEO's fluency: sentences are tied together by long-winded phrases."""
    tie = ", notwithstanding which consideration it should furthermore be mentioned in this connection that "
    return [(kind, text.replace(". ", tie, 2) if kind == "p" else text) for kind, text in blocks]


def stuff_question(page: dict[str, Any], blocks: Blocks) -> Blocks:
    extra = page["question"].rstrip("?")
    return [
        (kind, text.replace(". ", f". {extra}. ") + f" {extra}." if kind == "p" else text)
        for kind, text in blocks
    ]


def stuff_keywords(page: dict[str, Any], blocks: Blocks) -> Blocks:
    extra = " ".join(question_tokens(tokenize(page["question"]), "en"))
    return [
        (kind, text.replace(". ", f" {extra}. ") + f" {extra}." if kind == "p" else text)
        for kind, text in blocks
    ]


def as_markdown(blocks: Blocks) -> str:
    marks = {"h1": "# ", "h2": "## ", "p": ""}
    return "\n\n".join(marks[kind] + text for kind, text in blocks)


def as_html(blocks: Blocks) -> str:
    body = "".join(f"<{kind}>{escape(text, quote=False)}</{kind}>" for kind, text in blocks)
    body = (
        body.replace("[the source](", '<a href="').replace(").</p>", '">the source</a>.</p>')
        if "[the source]" in body
        else body
    )
    return f"<html><head><title>{escape(blocks[0][1])}</title></head><body><main>{body}</main></body></html>"


FORMS: dict[MediaType, Callable[[Blocks], str]] = {"markdown": as_markdown, "html": as_html}


def changes(edit: Edit) -> list[float]:
    """By how many points the edit moves each page in each form."""
    moved = []
    for page in PAGES:
        for media_type, write in FORMS.items():
            points = []
            for blocks in (original(page), edit(page, original(page))):
                document = parse(write(blocks), media_type=media_type, settings=SETTINGS)
                points.append(
                    score(document, questions=[page["question"]], today=TODAY, settings=SETTINGS).score
                )
            moved.append(points[1] - points[0])
    return moved


@pytest.mark.parametrize("edit", [answer_first, cite_source, add_statistics, add_headings, add_quotation])
def test_what_helped_in_geo_raises_the_score(edit: Edit) -> None:
    """Answer first, sources, statistics, headings and quotations raise at least 95 % of the pages."""
    moved = changes(edit)
    assert sum(change > 0 for change in moved) >= 0.95 * len(moved), moved


@pytest.mark.parametrize("edit", [make_disfluent, stuff_question, stuff_keywords])
def test_what_harmed_in_geo_lowers_the_score(edit: Edit) -> None:
    """Long-winded sentences and stuffed keywords lower at least 85 % of the pages."""
    moved = changes(edit)
    assert sum(change < 0 for change in moved) >= 0.85 * len(moved), moved
