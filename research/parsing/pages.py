"""The public sets of saved pages with their articles, and the measure: F1 of 4-word shingles.

DIR holds clones of article-extraction-benchmark ("aeb": scrapinghub, MIT), readability (mozilla, Apache 2.0)
and trafilatura (adbar, Apache 2.0). The pages in them belong to their publishers: none is kept here.
"""

import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from html import unescape
from operator import itemgetter
from pathlib import Path
from statistics import mean
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from contentworker.editorial.document import Document
from contentworker.editorial.parsing.encoding import decode

__all__ = [
    "Page",
    "Scores",
    "aeb",
    "article_text",
    "marked",
    "readability",
    "scores",
    "shingle_match",
    "shown",
    "tokens",
]

_TOKEN = re.compile(r"\w+")
_WORDS = 4


class Page(NamedTuple):
    """A saved page and the text of its article, as people marked it."""

    name: str
    source: bytes
    article: str


class Scores(NamedTuple):
    """Means over pages, as the benchmark's `evaluate.py` takes them."""

    f1: float
    precision: float
    recall: float


def aeb(folder: Path) -> Iterator[Page]:
    """The 181 pages of scrapinghub's article-extraction-benchmark."""
    root = folder / "article-extraction-benchmark"
    for name, truth in sorted(json.loads((root / "ground-truth.json").read_text("utf-8")).items()):
        yield Page(
            name, gzip.decompress((root / "html" / f"{name}.html.gz").read_bytes()), truth["articleBody"]
        )


def readability(folder: Path) -> Iterator[Page]:
    """The test pages of mozilla/readability, with the text of what it is expected to find."""
    from lxml import html

    for root in sorted((folder / "readability" / "test" / "test-pages").iterdir()):
        expected = html.fromstring((root / "expected.html").read_bytes().decode("utf-8"))
        for unread in expected.xpath("//script|//style"):
            unread.drop_tree()
        text = " ".join(expected.itertext())
        yield Page(root.name, (root / "source.html").read_bytes(), text)


def marked(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The pages of trafilatura's evaluation by file name, with the values that people marked."""
    root = folder / "trafilatura" / "tests"
    pages = json.loads((root / "evaldata.json").read_text("utf-8")).values()
    for marks in sorted(pages, key=itemgetter("file")):
        path = next(filter(Path.is_file, (root / part / marks["file"] for part in ("cache", "eval"))), None)
        author = marks.get("author")
        author = ", ".join(author) if isinstance(author, list) else author
        given = {"author": author, "date": marks.get("date"), "title": marks.get("title")}
        if path:
            yield decode(path.read_bytes()).text, {name: value for name, value in given.items() if value}


def article_text(document: Document, *, headings: bool = True, figures: bool = False) -> str:
    """The text of a parsed article in its order, without the heading that is its title.

    With `figures`, also the captions and the code between its first and its last sentence: they are left out
    because they are no prose to judge, and some sets count them.
    """
    title = document.title.start if document.title else -1
    parts: list[tuple[int, str]] = [(sentence.start, sentence.text) for sentence in document.sentences]
    if headings:
        parts += [(heading.start, heading.text) for heading in document.headings if heading.start != title]
    if figures and document.sentences:
        first, last = document.sentences[0].start, document.sentences[-1].end
        parts += [
            (part.start, shown(document.source[part.start : part.end]))
            for part in document.excluded
            if part.reason in ("caption", "code") and first < part.start < last
        ]
    return "\n".join(text for _, text in sorted(parts))


def shown(source: str) -> str:
    """What a reader sees of a piece of HTML."""
    return unescape(re.sub(r"<[^>]*>", " ", source))


def tokens(text: str) -> list[str]:
    """The words of a text, as the benchmark cuts them."""
    return _TOKEN.findall(text)


def _shingles(text: str) -> Counter[tuple[str, ...]]:
    words = tokens(text)
    if not words:
        return Counter()
    return Counter(tuple(words[start : start + _WORDS]) for start in range(max(1, len(words) - _WORDS + 1)))


def shingle_match(expected: str, found: str) -> tuple[float, float, float]:
    """Shares of the shingles of both texts: in both, only in what was found, only in what was expected."""
    first, second = _shingles(expected), _shingles(found)
    both = (first & second).total()
    only_found, only_expected = second.total() - both, first.total() - both
    total = both + only_found + only_expected
    return (both / total, only_found / total, only_expected / total) if total else (0.0, 0.0, 0.0)


def scores(matches: Iterable[tuple[float, float, float]]) -> Scores:
    """F1 of the mean precision and the mean recall."""
    matches = list(matches)
    precision = mean(
        both / (both + found) if both + found else 1.0 for both, found, missed in matches if both + found > 0
    )
    recall = mean(both / (both + missed) for both, found, missed in matches if both + missed > 0)
    return Scores(2 * precision * recall / (precision + recall), precision, recall)
