"""The shared questions: each asks for one of a few pages, and says which is right.

README.md says where they come from. A page becomes HTML with its title as title and h1.
"""

import datetime
import gzip
import hashlib
import html
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contentworker.editorial.aeo.analysis import Analysis
from contentworker.editorial.document import parse
from contentworker.editorial.settings import ContentSettings

NQ = "nq_hard10.json.gz"
XQUAD = "xquad6_1q.json.gz"
_SETTINGS = ContentSettings()
_ANY_DAY = datetime.date(2026, 1, 1)


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    text: str
    language: str
    analysis: Analysis


@dataclass(frozen=True, slots=True)
class Choice:
    """One question and the pages to choose from; `right` is the index of the one that answers it."""

    question: str
    pages: tuple[Page, ...]
    right: int


def is_fitted(question: str) -> bool:
    """Whether a question is in the half that weights are fitted to; the other half is only reported."""
    return hashlib.sha256(question.encode()).digest()[0] % 2 == 0


def page(title: str, text: str, language: str) -> Page:
    name, body = html.escape(title), html.escape(text)
    source = (
        f'<html lang="{language}"><head><title>{name}</title></head>'
        f"<body><main><h1>{name}</h1><p>{body}</p></main></body></html>"
    )
    document = parse(source, media_type="html", settings=_SETTINGS)
    return Page(title, text, language, Analysis(document, url=None, today=_ANY_DAY, settings=_SETTINGS))


def read(path: Path) -> Any:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)


def natural_questions(data: dict[str, Any]) -> list[Choice]:
    """Each question with its passage and up to nine that BM25 takes for it."""
    pages = [page(passage["title"], passage["text"], "en") for passage in data["passages"]]
    return [
        Choice(asked["q"], tuple(pages[index] for index in asked["cands"]), asked["gold"])
        for asked in data["questions"]
    ]


def xquad(data: dict[str, Any]) -> Iterator[tuple[str, list[Choice]]]:
    """For each language the questions, each with the five paragraphs of its article."""
    for language, articles in data.items():
        choices = []
        for article in articles:
            title = article["title"].replace("_", " ")
            pages = tuple(page(title, text, language) for text in article["paras"])
            choices += [Choice(question, pages, right) for right, question, _ in article["qs"]]
        yield language, choices
