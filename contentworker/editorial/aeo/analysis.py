"""What the criteria share: the article with its vocabulary, and how they report what they find."""

from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple, Protocol

from contentworker.editorial.aeo.result import Evidence
from contentworker.editorial.aeo.terms import Vocabulary
from contentworker.editorial.document import Document, Heading
from contentworker.editorial.parsing.metadata import domain_of
from contentworker.editorial.settings import ContentSettings

__all__ = ["Advice", "Analysis", "Finding", "Place", "quote"]

WHOLE_ARTICLE = "whole article"


class Place(Protocol):
    """Anything with a range in the source."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class Advice(NamedTuple):
    """What to do about a low sub-score, and where; no place means the whole article."""

    text: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What one criterion found. `score` is 0 to 1, or None if the criterion does not apply."""

    score: float | None
    evidence: list[Evidence] = field(default_factory=list)
    advice: Advice | None = None


class Analysis:
    """One article ready to be judged on one day; made once, read by every criterion."""

    def __init__(
        self, document: Document, *, url: str | None, today: date, settings: ContentSettings
    ) -> None:
        self.document = document
        self.today = today
        self.settings = settings
        self.most_evidence = settings.max_evidence_per_criterion
        self.vocabulary = Vocabulary(document)
        canonical = document.metadata.canonical
        self.own_domain = domain_of(url) or domain_of(canonical.text if canonical else None)

    def evidence(self, text: str, place: Place | None = None, note: str = "") -> Evidence:
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


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, cut at a word where there is one near the end."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    return cut[: max(cut.rfind(" "), limit // 2)].rstrip() + "…"


def quote(text: str, limit: int = 60) -> str:
    """A short excerpt in quotation marks, for use inside a sentence."""
    return f"“{clip(text, limit)}”"
