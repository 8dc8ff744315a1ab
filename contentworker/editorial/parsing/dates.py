"""When an article was published and changed, as its page says."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import NamedTuple

from contentworker.editorial.parsing.blocks import Block, Span
from contentworker.editorial.parsing.language import any_of
from contentworker.editorial.parsing.names import KEYS, MONTHS, Candidate, length

__all__ = [
    "DateFound",
    "as_shown",
    "dates_in",
    "is_day_first",
    "modified_dates",
    "published_dates",
    "read_date",
    "visible_dates",
]

_ISO_DATE = re.compile(r"(?<!\d)([12]\d{3})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")
_COMPACT_DATE = re.compile(r"\A\s*([12]\d{3})([01]\d)([0-3]\d)(?!\d{3})")
# As programs in C and Java print it: "Mon Aug 03 12:45:00 EDT 2015".
_PRINTED_DATE = re.compile(
    r"([A-Z][a-z]{2})\s+(\d{1,2})\s+\d\d:\d\d:\d\d\s+(?:[A-Z]{2,5}\s+)?([12]\d{3})(?!\d)"
)
_CJK_DATE = re.compile(r"([12]\d{3})\s*[年년]\s*(\d{1,2})\s*[月월]\s*(\d{1,2})")
_DOTTED_DATE = re.compile(r"(?<![\d.])(\d{1,2})\.\s?(\d{1,2})\.\s?([12]\d{3})(?!\d)")
# "02.12.19", where the day is always first.
_SHORT_DATE = re.compile(r"(?<![\d.])(\d{1,2})\.\s?(\d{1,2})\.\s?(\d\d)(?![\d.])")
_SLASHED_DATE = re.compile(r"(?<![\d/])(\d{1,2})/(\d{1,2})/([12]\d{3})(?!\d)")
_DAY_FIRST = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|\.|er|º)?[\s-]*(?:of\s+|de\s+)?([^\W\d_]{3,12})\.?,?[\s-]*(?:de\s+)?([12]\d{3})(?!\d)"
)
_MONTH_FIRST = re.compile(r"([^\W\d_]{3,10})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+([12]\d{3})(?!\d)")
_DATE_IN_ADDRESS = re.compile(
    r"/((?:19|20)\d\d)(?:([/-])(\d{1,2})\2(\d{1,2})|(?=[01]\d[0-3]\d/)(\d\d)(\d\d))(?=[/-]|\.|\Z)"
)
_VISIBLE_DATE = re.compile(
    rf"\b(?:{any_of('dated')})\b[^\d\n]{{0,20}}?(?=\d|[A-Z][a-z]{{2,9}}\.?\s+\d)(?=(.{{6,40}}))",
    re.IGNORECASE,
)
_CHANGED = re.compile(r"updat|modif|review|aktualis|geänd|stand|actualiz|revis|mis ", re.IGNORECASE)
# Seconds or milliseconds since 1970.
_EPOCH = re.compile(r"\s*(1\d{9})(?:\d{3})?\s*")
_DIGIT = re.compile(r"\d")
_LONGEST_DATE_LINE = 80
_LONGEST_DATE = 12
_PARTS_OF_A_DATE = 3
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
    addresses: list[Span],
    around: tuple[int, int],
    *,
    day_first: bool = False,
) -> Iterator[DateFound]:
    """The dates of publication, the most trusted first.

    `structured` are those of JSON-LD, `edges` short blocks beside the article, `addresses` those of the page
    itself, the canonical one first, and `around` is the part of
    the source in which it stands: a `time` elsewhere is another story's. `day_first` says that 3/4/2026 is in
    April.
    """
    yield from dates_in(("datePublished", span) for span in structured)
    for key in KEYS["published"]:
        yield from dates_in(((key, span) for found, span in properties if found == key), day_first=day_first)
    labelled, others = visible_dates(edges, day_first=day_first)
    yield from labelled
    times = [span for key, span in properties if key == "time"]
    near = [span for span in times if around[0] <= span.start <= around[1]]
    far = [span for span in times if not around[0] <= span.start <= around[1]]
    yield from dates_in((("time", span) for span in near), day_first=day_first)
    yield from others
    for address in addresses:
        match = _DATE_IN_ADDRESS.search(address.text)
        if match and (value := _date(match[1], match[3] or match[5], match[4] or match[6])):
            yield DateFound(value, "canonical", address.start, address.end)
            break
    yield from dates_in((("time", span) for span in far), day_first=day_first)


def as_shown(dates: list[DateFound], visible: list[Block]) -> DateFound | None:
    """The first date; or the day before, if the page shows that above its text or has it in its address.

    Systems write UTC, in which an evening in America is the next day.
    """
    if not dates:
        return None
    until = visible[min(2, len(visible) - 1)].sources[-1][1] if visible else 0
    shown = [each for each in dates if each.name == "text" and each.start < until]
    days = {each.value for each in shown}
    for local in [*shown, *(each for each in dates if each.name == "canonical")]:
        nearest = max(shown, key=lambda each: each.start, default=local)
        if (dates[0].value - local.value).days == 1 and (
            dates[0].value not in days or nearest.value == local.value
        ):
            return local
    return dates[0]


def modified_dates(structured: list[Span], properties: list[Candidate]) -> Iterator[DateFound]:
    """The dates of changes; JSON-LD's (`structured`) first."""
    yield from dates_in(("dateModified", span) for span in structured)
    for key in KEYS["modified"]:
        yield from dates_in((key, span) for found, span in properties if found == key)


def dates_in(found: Iterable[tuple[str, Span]], *, day_first: bool = False) -> Iterator[DateFound]:
    """The dates in texts that have a name; texts without one are passed over."""
    for key, span in found:
        if value := read_date(span.text, day_first=day_first):
            yield DateFound(value, key, span.start, span.end)


def visible_dates(blocks: list[Block], *, day_first: bool = False) -> tuple[list[DateFound], list[DateFound]]:
    """Dates after a word such as "published"; and those after "updated", then those in a short line."""
    lines: list[DateFound] = []
    published: list[DateFound] = []
    changed: list[DateFound] = []
    # Looking for a digit first is much faster than the list of words.
    for block, joined in zip(blocks, _joined(blocks), strict=True):
        if not _DIGIT.search(joined):
            continue
        dated = False
        for match in _VISIBLE_DATE.finditer(block.text):
            if value := read_date(match[1], day_first=day_first):
                dated = True
                place = block.source_span(match.start(), match.end(1))
                (changed if _CHANGED.match(match[0]) else published).append(DateFound(value, "text", *place))
        text = block.text.strip()
        if dated or (length(block) > _LONGEST_DATE_LINE and not text[0].isdigit()):
            continue
        if length(block) > _LONGEST_DATE_LINE:
            text = text[:_LONGEST_DATE]
        if value := read_date(text, day_first=day_first) or _short_date(text) or read_date(joined):
            start = len(block.text) - len(block.text.lstrip())
            lines.append(DateFound(value, "text", *block.source_span(start, start + len(text))))
    return published, changed + lines


def _joined(blocks: list[Block]) -> Iterator[str]:
    """The text of each block, with the next two if all are tiny: day, month and year in a box."""
    texts = [block.text.strip() for block in blocks]
    for index, text in enumerate(texts):
        three = texts[index : index + _PARTS_OF_A_DATE]
        yield " ".join(three) if all(len(each) <= _LONGEST_DATE for each in three) else text


def _short_date(text: str) -> date | None:
    """A date whose year has two digits."""
    match = _SHORT_DATE.search(text)
    return _date(f"20{match[3]}", match[2], match[1]) if match else None


_FORMS: tuple[tuple[re.Pattern[str], tuple[int, int, int]], ...] = (
    (_ISO_DATE, (1, 2, 3)),
    (_COMPACT_DATE, (1, 2, 3)),
    (_DAY_FIRST, (3, 2, 1)),
    (_MONTH_FIRST, (3, 1, 2)),
    (_PRINTED_DATE, (3, 1, 2)),
    (_CJK_DATE, (1, 2, 3)),
    (_DOTTED_DATE, (3, 2, 1)),
    (_SLASHED_DATE, (3, 1, 2)),
)


_DAY_FIRST_FORMS = (*_FORMS[:-1], (_SLASHED_DATE, (3, 2, 1)))


def is_day_first(language: str | None) -> bool:
    """Whether people write the day before the month, given a page's language tag: all but Americans."""
    return bool(language) and not re.match(r"en(?:[-_]us)?\Z", language or "", re.IGNORECASE)


def read_date(text: str, *, day_first: bool = False) -> date | None:
    """The first day written in the text, as 2026-05-03, 3 May 2026, May 3, 2026 or 3.5.2026; else None.

    5/3/2026 is in May, or with `day_first` in March.
    """
    if not _DIGIT.search(text):
        return None
    if epoch := _EPOCH.fullmatch(text):
        return datetime.fromtimestamp(int(epoch[1]), UTC).date()
    for form, (year, month, day) in _DAY_FIRST_FORMS if day_first else _FORMS:
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
