"""The shared questions: each asks for one of a few pages, and says which is right.

README.md says where they come from. A page becomes HTML with its title as title and h1.
"""

import datetime
import gzip
import hashlib
import html
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contentworker.editorial.aeo.analysis import Analysis
from contentworker.editorial.aeo.encoder import Encoder, Matrix
from contentworker.editorial.aeo.nearness import EncodedPassages
from contentworker.editorial.aeo.terms import question_tokens, stemmer
from contentworker.editorial.document import parse
from contentworker.editorial.parsing.sentences import tokenize
from contentworker.editorial.settings import ContentSettings

NQ = "nq_hard10.json.gz"
ORACLE = "nq-open-oracle.jsonl.gz"
HARD = 9
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


def page(title: str, text: str, language: str, encoder: Encoder | None = None) -> Page:
    name, body = html.escape(title), html.escape(text)
    source = (
        f'<html lang="{language}"><head><title>{name}</title></head>'
        f"<body><main><h1>{name}</h1><p>{body}</p></main></body></html>"
    )
    document = parse(source, media_type="html", settings=_SETTINGS)
    analysis = Analysis(document, url=None, today=_ANY_DAY, settings=_SETTINGS)
    if encoder:
        analysis.encoded = EncodedPassages(document, encoder)
    return Page(title, text, language, analysis)


def read(path: Path) -> Any:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)


def natural_questions(data: dict[str, Any], encoder: Encoder | None = None) -> list[Choice]:
    """Each question with its passage and up to nine that BM25 takes for it."""
    pages = [page(passage["title"], passage["text"], "en", encoder) for passage in data["passages"]]
    return [
        Choice(asked["q"], tuple(pages[index] for index in asked["cands"]), asked["gold"])
        for asked in data["questions"]
    ]


def unseen(path: Path, known: dict[str, Any]) -> dict[str, Any]:
    """The questions of the whole set that are not among the known ones, in the same form.

    The wrong passages are the nine of all 2,600 that BM25 ranks first, by title and text, stemmed and without
    function words. Of those of the known questions, which another program chose, 72 % are the same.
    """
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    places: dict[tuple[str, str], int] = {}
    for row in rows:
        right = row["ctxs"][0]
        places.setdefault((right["title"], right["text"]), len(places))
    passages = [{"title": title, "text": text} for title, text in places]
    rank = _Ranking([f"{title}\n{text}" for title, text in places])
    seen = {asked["q"] for asked in known["questions"]}
    questions = []
    for row in rows:
        if row["question"] not in seen:
            right = places[row["ctxs"][0]["title"], row["ctxs"][0]["text"]]
            wrong = [index for index in rank(row["question"]) if index != right][:HARD]
            # The right one stands where its hash says, so that no order of places can help.
            gold = hashlib.sha256(row["question"].encode()).digest()[1] % (len(wrong) + 1)
            cands = [*wrong[:gold], right, *wrong[gold:]]
            questions.append({"q": row["question"], "cands": cands, "gold": gold})
    return {"passages": passages, "questions": questions}


class _Ranking:
    """BM25 over all passages, with their own IDF."""

    def __init__(self, texts: Sequence[str]) -> None:
        stem = stemmer("en")
        counts = [Counter(map(stem, tokenize(text))) for text in texts]
        mean = sum(count.total() for count in counts) / len(counts)
        self._weights: dict[str, list[tuple[int, float]]] = {}
        for index, count in enumerate(counts):
            for term, times in count.items():
                share = times * 2.2 / (times + 1.2 * (0.25 + 0.75 * count.total() / mean))
                self._weights.setdefault(term, []).append((index, share))
        self._count = len(counts)

    def __call__(self, question: str) -> list[int]:
        stem, scores = stemmer("en"), defaultdict[int, float](float)
        for term in sorted({stem(token) for token in question_tokens(tokenize(question), "en")}):
            holding = self._weights.get(term, [])
            idf = math.log(1 + (self._count - len(holding) + 0.5) / (len(holding) + 0.5))
            for index, share in holding:
                scores[index] += idf * share
        return sorted(scores, key=lambda index: (-scores[index], index))


def xquad(data: dict[str, Any], encoder: Encoder | None = None) -> Iterator[tuple[str, list[Choice]]]:
    """For each language the questions, each with the five paragraphs of its article."""
    for language, articles in data.items():
        choices = []
        for article in articles:
            title = article["title"].replace("_", " ")
            pages = tuple(page(title, text, language, encoder) for text in article["paras"])
            choices += [Choice(question, pages, right) for right, question, _ in article["qs"]]
        yield language, choices


class KeptVectors(Encoder):
    """The encoder with a file of the vectors that it has made, so that a second run takes seconds."""

    def __init__(self, encoder: Encoder, path: Path) -> None:
        self._encoder, self._path = encoder, path
        self._kept: dict[str, Any] = dict(np.load(path)) if path.exists() else {}

    def questions(self, texts: Sequence[str]) -> Matrix:
        return self._of("query", texts, self._encoder.questions)

    def passages(self, texts: Sequence[str]) -> Matrix:
        return self._of("passage", texts, self._encoder.passages)

    def _of(self, kind: str, texts: Sequence[str], make: Callable[[Sequence[str]], Matrix]) -> Matrix:
        names = [hashlib.sha256(f"{kind} {text}".encode()).hexdigest() for text in texts]
        new = {name: text for name, text in zip(names, texts, strict=True) if name not in self._kept}
        self._kept.update(zip(new, make(list(new.values())), strict=True))
        return np.array([self._kept[name] for name in names], np.float32) if names else make([])

    def save(self) -> None:
        np.savez(self._path, **self._kept)
