"""Shared by the criteria: the article with its vocabulary, and the form of their findings."""

import re
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from contentworker.editorial.aeo.nearness import ArticleVectors, EncodedPassages
from contentworker.editorial.aeo.result import Evidence
from contentworker.editorial.aeo.terms import Vocabulary
from contentworker.editorial.document import Document, Heading
from contentworker.editorial.parsing.blocks import domain_of
from contentworker.editorial.parsing.sentences import tokenize
from contentworker.editorial.ranges import Range
from contentworker.editorial.settings import ContentSettings

__all__ = ["Advice", "Analysis", "Finding", "quote"]

WHOLE_ARTICLE = "whole article"
_ENDING = re.compile(r"\.[a-z]{2,5}$")


class Advice(NamedTuple):
    """What to do about a low sub-score, and where. Without a place it is for the whole article."""

    text: str
    place: Range | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding of one criterion. `score` is 0 to 1, or None if the criterion does not apply."""

    score: float | None
    evidence: list[Evidence] = field(default_factory=list)
    advice: Advice | None = None


class Analysis:
    """One article, prepared once for all criteria, and the day to judge it on."""

    def __init__(
        self, document: Document, *, url: str | None, today: date, settings: ContentSettings
    ) -> None:
        self.document = document
        self.today = today
        self.settings = settings
        self.most_evidence = settings.max_evidence_per_criterion
        self.slug = slug_of(url)
        self.vocabulary = Vocabulary(document, tokenize(self.slug))
        self.vectors = ArticleVectors.of(document)
        self.encoded = EncodedPassages(document) if settings.encoder else None
        canonical = document.metadata.canonical
        self.own_domain = domain_of(url) or domain_of(canonical.text if canonical else None)

    def evidence(self, text: str, place: Range | None = None, note: str = "") -> Evidence:
        """An excerpt of bounded size, with its place in the source."""
        limit = self.settings.max_excerpt_characters
        start, end = (place.start, place.end) if place is not None else (None, None)
        return Evidence(text=clip(text, limit), start=start, end=end, note=clip(note, limit))

    def path_at(self, offset: int) -> str:
        """The headings above a place in the source, outermost first."""
        path: list[Heading] = []
        for heading in self.document.headings:
            if heading.start > offset:
                break
            path = [*(above for above in path if above.level < heading.level), heading]
        if not path:
            return "before the first heading" if self.document.headings else WHOLE_ARTICLE
        return clip(" > ".join(heading.text for heading in path), self.settings.max_excerpt_characters)


def slug_of(url: str | None) -> str:
    """The words of an address: `how leap years work` of `https://a.org/blog/how-leap-years-work.html`."""
    try:
        path = unquote(urlsplit(url or "").path)
    except ValueError:
        return ""
    last = next((part for part in reversed(path.split("/")) if any(map(str.isalpha, part))), "")
    return " ".join(_ENDING.sub("", last).replace("_", "-").split("-"))


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, cut at a word where there is one near the end."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    return cut[: max(cut.rfind(" "), limit // 2)].rstrip() + "…"


def quote(text: str, limit: int = 60) -> str:
    """A short excerpt in quotation marks, for use inside a sentence."""
    return f"“{clip(text, limit)}”"
