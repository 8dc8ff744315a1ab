"""When an article was published and changed, as its page says."""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import NamedTuple

from contentworker.editorial.parsing.blocks import Block, Span
from contentworker.editorial.parsing.language import any_of
from contentworker.editorial.parsing.names import KEYS, MONTHS, Candidate, length

__all__ = [
    "DateFound",
    "as_shown",
    "dates_in",
    "modified_dates",
    "published_dates",
    "read_date",
    "visible_dates",
]

_ISO_DATE = re.compile(r"(?<!\d)([12]\d{3})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")
_COMPACT_DATE = re.compile(r"\A\s*([12]\d{3})([01]\d)([0-3]\d)(?!\d{3})")
_CJK_DATE = re.compile(r"([12]\d{3})\s*[年년]\s*(\d{1,2})\s*[月월]\s*(\d{1,2})")
_DOTTED_DATE = re.compile(r"(?<![\d.])(\d{1,2})\.\s?(\d{1,2})\.\s?([12]\d{3})(?!\d)")
_SLASHED_DATE = re.compile(r"(?<![\d/])(\d{1,2})/(\d{1,2})/([12]\d{3})(?!\d)")
_DAY_FIRST = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|\.|er|º)?[\s-]+(?:of\s+|de\s+)?([^\W\d_]{3,10})\.?,?[\s-]+(?:de\s+)?([12]\d{3})(?!\d)"
)
_MONTH_FIRST = re.compile(r"([^\W\d_]{3,10})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+([12]\d{3})(?!\d)")
_DATE_IN_ADDRESS = re.compile(r"/((?:19|20)\d\d)[/-](\d{1,2})[/-](\d{1,2})(?=[/-]|\.|\Z)")
_VISIBLE_DATE = re.compile(
    rf"\b(?:{any_of('dated')})\b[^\d\n]{{0,20}}?(?=\d|[A-Z][a-z]{{2,9}}\.?\s+\d)(.{{6,40}})", re.IGNORECASE
)
_DIGIT = re.compile(r"\d")
_LONGEST_DATE_LINE = 80
_MONTHS_OF_A_YEAR = 12


class DateFound(NamedTuple):
    """A publication or modification date and its place; `name` says where it was found."""

    value: date
    name: str
    start: int
    end: int


def published_dates(
    structured: list[Span],
    properties: list[Candidate],
    edges: list[Block],
    canonical: Span | None,
    around: tuple[int, int],
) -> Iterator[DateFound]:
    """The dates of publication, the most trusted first.

    `structured` are those of JSON-LD, `edges` short blocks beside the article, and `around` is the part of
    the source in which it stands: a `time` elsewhere is another story's.
    """
    yield from dates_in(("datePublished", span) for span in structured)
    for key in KEYS["published"]:
        yield from dates_in((key, span) for found, span in properties if found == key)
    if canonical and (match := _DATE_IN_ADDRESS.search(canonical.text)) and (value := _date(*match.groups())):
        yield DateFound(value, "canonical", canonical.start, canonical.end)
    times = [span for key, span in properties if key == "time"]
    near = [span for span in times if around[0] <= span.start <= around[1]]
    yield from dates_in(("time", span) for span in near)
    yield from visible_dates(edges)
    yield from dates_in(("time", span) for span in times if span not in near)


def as_shown(dates: list[DateFound], visible: list[Block]) -> DateFound | None:
    """The first date; or the day before, if the page shows that above its text.

    Systems write UTC, in which an evening in America is the next day.
    """
    if not dates:
        return None
    until = visible[min(2, len(visible) - 1)].sources[-1][1] if visible else 0
    shown = [each for each in dates if each.name == "text" and each.start < until]
    is_day_before = {(dates[0].value - each.value).days for each in shown} == {1}
    return shown[0] if is_day_before else dates[0]


def modified_dates(structured: list[Span], properties: list[Candidate]) -> Iterator[DateFound]:
    """The dates of changes; JSON-LD's (`structured`) first."""
    yield from dates_in(("dateModified", span) for span in structured)
    for key in KEYS["modified"]:
        yield from dates_in((key, span) for found, span in properties if found == key)


def dates_in(found: Iterable[tuple[str, Span]]) -> Iterator[DateFound]:
    """The dates in texts that have a name; texts without one are passed over."""
    for key, span in found:
        if value := read_date(span.text):
            yield DateFound(value, key, span.start, span.end)


def visible_dates(blocks: list[Block]) -> Iterator[DateFound]:
    """Dates after a word such as "updated", then those that stand in a short line."""
    others = []
    # Looking for a digit first is much faster than the list of words.
    for block in (block for block in blocks if _DIGIT.search(block.text)):
        dated = False
        for match in _VISIBLE_DATE.finditer(block.text):
            if value := read_date(match[1]):
                dated = True
                yield DateFound(value, "text", *block.source_span(match.start(), match.end()))
        if not dated and length(block) <= _LONGEST_DATE_LINE:
            others.append(block)
    for block in others:
        if value := read_date(block.text):
            start = len(block.text) - len(block.text.lstrip())
            yield DateFound(value, "text", *block.source_span(start, len(block.text.rstrip())))


_FORMS: tuple[tuple[re.Pattern[str], tuple[int, int, int]], ...] = (
    (_ISO_DATE, (1, 2, 3)),
    (_COMPACT_DATE, (1, 2, 3)),
    (_DAY_FIRST, (3, 2, 1)),
    (_MONTH_FIRST, (3, 1, 2)),
    (_CJK_DATE, (1, 2, 3)),
    (_DOTTED_DATE, (3, 2, 1)),
    (_SLASHED_DATE, (3, 1, 2)),
)


def read_date(text: str) -> date | None:
    """The first day written in the text, as 2026-05-03, 3 May 2026, May 3, 2026 or 3.5.2026; else None."""
    if not _DIGIT.search(text):
        return None
    for form, (year, month, day) in _FORMS:
        for match in form.finditer(text):
            if value := _date(match[year], match[month], match[day]):
                return value
    return None


def _date(year: str, month: str, day: str) -> date | None:
    number = MONTHS.get(month.lower()) or (int(month) if month.isdecimal() else 0)
    try:
        if number > _MONTHS_OF_A_YEAR:  # 25/12/2026: the day comes first
            return date(int(year), int(day), number)
        return date(int(year), number, int(day))
    except ValueError:  # no such day or month
        return None
