"""Metadata of a page: title, author, dates, site, description, robots, structured data."""

# ruff: noqa: RUF001 -- signs that separate the parts of a title

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

from contentworker.editorial.parsing.blocks import Block, Extract, Span, domain_of
from contentworker.editorial.parsing.language import any_of
from contentworker.editorial.parsing.tree import HINTS

__all__ = ["DateFound", "Metadata", "Value", "read_date", "read_metadata"]


class Value(NamedTuple):
    """A value, its place in the source, and where it was found: `json-ld`, `text`, or the name of a key."""

    text: str
    start: int
    end: int
    origin: str


class DateFound(NamedTuple):
    """A publication or modification date and its place; `name` says where it was found."""

    value: date
    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the page says: None or an empty tuple where it says nothing.

    `present` is False if the format has no place for metadata. `title` lacks the site's name. Several authors
    are separated by commas. `dates` are all dates that machines and readers are given.

    `json_ld_types` are the types of all valid blocks in order of appearance; `json_ld_errors` say what is
    wrong with the others, with their places.
    """

    present: bool
    title: Value | None
    author: Value | None
    published: DateFound | None
    modified: DateFound | None
    dates: tuple[DateFound, ...]
    site: Value | None
    description: Span | None
    canonical: Span | None
    robots: tuple[Span, ...]
    json_ld_types: tuple[str, ...]
    json_ld_errors: tuple[Span, ...]


_TABLE = tomllib.loads(Path(__file__).with_name("metadata.toml").read_text("utf-8"))
_KEYS: dict[str, list[str]] = {name: text.split() for name, text in _TABLE.items() if name != "months"}
_MONTHS = {
    name: number for number, names in enumerate(_TABLE["months"].splitlines(), 1) for name in names.split()
}
_ISO_DATE = re.compile(r"(?<!\d)([12]\d{3})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")
_COMPACT_DATE = re.compile(r"\A\s*([12]\d{3})([01]\d)([0-3]\d)(?!\d{3})")
_CJK_DATE = re.compile(r"([12]\d{3})\s*[年년]\s*(\d{1,2})\s*[月월]\s*(\d{1,2})")
_DOTTED_DATE = re.compile(r"(?<![\d.])(\d{1,2})\.\s?(\d{1,2})\.\s?([12]\d{3})(?!\d)")
_SLASHED_DATE = re.compile(r"(?<![\d/])(\d{1,2})/(\d{1,2})/([12]\d{3})(?!\d)")
_DAY_FIRST = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|\.|er|º)?[\s-]+(?:of\s+|de\s+)?([^\W\d_]{3,10})\.?,?[\s-]+(?:de\s+)?([12]\d{3})(?!\d)"
)
_MONTH_FIRST = re.compile(r"([^\W\d_]{3,10})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+([12]\d{3})(?!\d)")
_LABEL = re.compile(r"\A[^\W\d_]{2,14}:\s+")
_AROUND_NAME = " .,;:-\u2013*\u201c\u201d\"'"
_BETWEEN_NAMES = re.compile(r"\s?(?:[,;|]|\s&\s|\band\b|\bund\b|\bet\b)\s?")
# What follows a name in a byline: a desk, an agency, a job.
_ROLES = (
    r"\b(?:(?:staff|senior|chief|sports|national|political|security|auto|business|news|tech|science|health)\s+)*"
    r"(?:writers?|reporters?|editors?|correspondents?|contributors?|columnists?|producers?|analysts?|staff|press"
    r"|media|news|agenc(?:y|ies)|services?|bureau|today|international|redakt(?:eur(?:in)?|ion)|korrespondent(?:in)?"
    r"|m\.?d|ph\.?d|rdn?|ms|cnn|ap|afp|dpa|reuters)\b"
)
_ROLE = re.compile(_ROLES, re.IGNORECASE)
_ROLE_AFTER = re.compile(
    r"(?P<name>\S+\s+\S+.*?)\s+(?:associated\s+press|usa\s+today|(?:staff\s+|senior\s+|news\s+)?"
    r"(?:writer|reporter|editor|correspondent|columnist|redakteur(?:in)?)\b).*",
    re.IGNORECASE,
)
_DATE_IN_ADDRESS = re.compile(r"/((?:19|20)\d\d)[/-](\d{1,2})[/-](\d{1,2})(?=[/-]|\.|\Z)")
_VISIBLE_DATE = re.compile(
    rf"\b(?:{any_of('dated')})\b[^\d\n]{{0,20}}?(?=\d|[A-Z][a-z]{{2,9}}\.?\s+\d)(.{{6,40}})", re.IGNORECASE
)
_NAME = r"(?:[^\W\d_a-z][\w.'\u2019-]*\s+){1,3}[^\W\d_a-z][\w.'\u2019-]*"
_BYLINE = re.compile(
    r"^\s*(?i:(?:written |reviewed |text |story |posted |published |words )?by|author|autor(?:in)?|von|par"
    r"|por|di)\s*:?\s+"
    rf"({_NAME}(?:\s*(?:,|&|and|und|et|y)\s+{_NAME})*)"
)
_BY = re.compile(
    r"^(?:(?:written|posted|published|reviewed|story|text|words|opinion|article)\s+)?"
    r"(?:by|von|par|por|author|autor(?:in)?)\b\s*:?\s*",
    re.IGNORECASE,
)
_AFTER_NAME = re.compile(
    r"\s?(?:[|•·\u2013\u2014@(\[/]|\s-\s|\d|https?:|\b(?:for|is|published|publiziert|updated|on|am"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b).*",
    re.DOTALL | re.IGNORECASE,
)
_ADDRESS = re.compile(r"https?:|www\.|@\w|\w@|\.(?:com|org|net|de|html?|php)\b|[<>{}=]", re.IGNORECASE)
_JSON_DATE = re.compile(r"\"datePublished\"\s{0,9}:\s{0,9}\"([^\"\n]{8,40})\"")
_TAGS = re.compile(r"<[^<>]{0,500}>")
_DIGIT = re.compile(r"\d")
_SEPARATORS = re.compile(r"\s+[|\u2013\u2014\u2015·•»›:/~-]+\s+|\s*[|»›]\s*|:\s+(?=[A-Z])")
_LONGEST_BYLINE_BLOCK = 160
_LONGEST_DATE_LINE = 80
_LONGEST_NAME_CHARACTERS = 80
_SHORTEST_NAME = 3
_LONGEST_TITLE = 1_000
_MONTHS_OF_A_YEAR = 12
_MOST_NAME_WORDS = 6
_EDGE_BLOCKS = 6
_META_HINT = 1 << list(HINTS).index("meta")
_FIRST_YEAR = 1990
_MOST_AUTHORS = 8


class _Candidate(NamedTuple):
    key: str
    span: Span


def read_metadata(extract: Extract, visible: list[Block], nearby: list[Block]) -> Metadata:
    """Join what the head, the front matter, the structured data and the visible text say.

    Args:
        extract: What the reader found.
        visible: The blocks of the article.
        nearby: The blocks that may hold its byline and date, though they are not the article's text.
    """
    types: list[str] = []
    errors: list[Span] = []
    structured = _Structured()
    for script in extract.json_ld:
        try:
            data = json.loads(_bare_json(script.text), strict=False)
            problem = structured.add(data, script, types)
        except (ValueError, RecursionError) as error:
            problem = _json_error(error)
            structured.salvage(script)
        if problem:
            errors.append(Span(problem, script.start, script.end))
    structured.finish()
    properties = [
        _Candidate(key, Span(unescape(span.text), span.start, span.end)) for key, span in extract.properties
    ]
    canonical = _first(properties, [key for key in _KEYS["canonical"] if key != "og:url"]) or _first(
        properties, ["og:url"]
    )
    edges = [block for block in nearby if _length(block) <= _LONGEST_BYLINE_BLOCK] + _edge_blocks(visible)
    site = _site(properties, structured, canonical)
    title = _title(extract, properties, structured, visible, site)
    names = _not_authors(site, canonical)
    published = [*_published(properties, structured, edges, canonical)]
    modified = [*_modified(properties, structured)]
    return Metadata(
        present=extract.has_metadata,
        title=title,
        author=_author(extract, properties, structured, edges, names),
        published=_as_shown(published or structured.salvaged, visible),
        modified=next(iter(modified), None),
        dates=tuple(dict.fromkeys([*modified, *published])),
        site=site,
        description=next(
            filter(None, (_first(properties, [key]) for key in _KEYS["description"])), structured.description
        ),
        canonical=canonical,
        robots=tuple(span for key, span in properties if key in _KEYS["robots"]),
        json_ld_types=tuple(types),
        json_ld_errors=tuple(errors),
    )


def _first(properties: list[_Candidate], keys: list[str]) -> Span | None:
    return next((span for key, span in properties if key in keys), None)


_WRAPPING = re.compile(r"\A\s*(?://\s*)?(?:<!\[CDATA\[|<!--)|(?://\s*)?(?:\]\]>|-->)\s*\Z")


def _bare_json(text: str) -> str:
    return _WRAPPING.sub("", text).strip().removesuffix(";")


def _json_error(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno} of the block"
    return "nested too deeply" if isinstance(error, RecursionError) else "a number too large to read"


class _Structured:
    """What the JSON-LD of a page says about its article: the first node that is one."""

    def __init__(self) -> None:
        self.nodes: list[tuple[int, dict[str, Any], Span]] = []
        self.by_id: dict[str, dict[str, Any]] = {}
        self.authors: list[Span] = []
        self.published: list[Span] = []
        self.modified: list[Span] = []
        self.salvaged: list[DateFound] = []
        self.headline: Span | None = None
        self.description: Span | None = None
        self.site: Span | None = None

    def add(self, data: Any, script: Span, types: list[str]) -> str | None:
        """Note the nodes of one block; return what is wrong with it."""
        nodes = list(_nodes(data))
        own: list[str] = []
        for node in nodes:
            names = [name for name in _as_list(node.get("@type")) if isinstance(name, str)]
            own += names
            identity = node.get("@id")
            if isinstance(identity, str):
                self.by_id.setdefault(identity, node)
            if any(name.endswith(("Article", "Posting")) for name in names):
                rank = 0
            elif not names or any(name in _KEYS["articles"] for name in names):
                rank = 1
            else:
                rank = 2
            if "WebSite" in names and self.site is None:
                self.site = _string(node.get("name"), script)
            self.nodes.append((rank, node, script))
        types += own
        return None if own else "no @type in the block"

    def finish(self) -> None:
        for rank, node, script in sorted(self.nodes, key=lambda each: each[0]):
            if rank > 1:
                break
            if not self.authors:
                self.authors = [
                    Span(text, script.start, script.end)
                    for each in (_as_list(node.get("author")) or _as_list(node.get("creator")))[
                        :_MOST_AUTHORS
                    ]
                    for text in self._names(each)
                ]
            self.published += filter(None, [_string(node.get("datePublished"), script)])
            self.modified += filter(None, [_string(node.get("dateModified"), script)])
            self.headline = self.headline or _string(node.get("headline"), script)
            self.description = self.description or _string(node.get("description"), script)
            publisher = node.get("publisher")
            for each in _as_list(publisher):
                if isinstance(each, dict) and self.site is None:
                    self.site = _string(self._resolved(each).get("name"), script)

    def salvage(self, script: Span) -> None:
        """Note the dates of publication in a block that is no valid JSON, perhaps for a comma too many."""
        dates = (Span(text, script.start, script.end) for text in _JSON_DATE.findall(script.text))
        self.salvaged += _dates(("broken JSON-LD", span) for span in dates)

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        identity = node.get("@id")
        return self.by_id.get(identity, node) if isinstance(identity, str) and "name" not in node else node

    def _names(self, author: Any) -> Iterator[str]:
        if isinstance(author, dict):
            author = self._resolved(author).get("name")
        for each in _as_list(author):
            if isinstance(each, str) and each.strip():
                yield each


def _string(value: Any, place: Span) -> Span | None:
    if isinstance(value, list):
        value = next(iter(value), None)
    if not isinstance(value, str) or not value.strip():
        return None
    return Span(" ".join(_decoded(value).split()), place.start, place.end)


def _nodes(data: Any) -> Iterator[dict[str, Any]]:
    """The objects of a block, through lists, @graph and mainEntity, in order."""
    waiting = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += reversed(item)
        elif isinstance(item, dict):
            yield item
            for key in ("mainEntityOfPage", "mainEntity", "@graph"):
                below = item.get(key)
                waiting += (
                    [
                        each
                        for each in reversed(_as_list(below))
                        if isinstance(each, dict | list) and "@type" in each
                    ]
                    if key != "@graph"
                    else reversed(_as_list(below))
                )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _decoded(text: str) -> str:
    """Without entities (some systems escape twice) and tags."""
    return _TAGS.sub("", unescape(unescape(text)))


def _edge_blocks(blocks: list[Block]) -> list[Block]:
    """The first and last short blocks of an article, which may hold bylines and dates."""
    edges = blocks if len(blocks) <= 2 * _EDGE_BLOCKS else blocks[:_EDGE_BLOCKS] + blocks[-_EDGE_BLOCKS:]
    return [block for block in edges if _length(block) <= _LONGEST_BYLINE_BLOCK]


def _length(block: Block) -> int:
    return len(" ".join(block.text.split()))


def _key(text: str) -> str:
    """A name to compare by: letters and digits only."""
    return "".join(filter(str.isalnum, text.lower()))


def _site(properties: list[_Candidate], structured: _Structured, canonical: Span | None) -> Value | None:
    for key in _KEYS["site"]:
        if (span := _first(properties, [key])) and not _ADDRESS.match(span.text) and _is_name(span.text):
            return Value(_decoded(span.text), span.start, span.end, key)
    if structured.site and _is_name(structured.site.text):
        return Value(*structured.site, "json-ld")
    if canonical and (domain := domain_of(canonical.text)):
        return Value(domain, canonical.start, canonical.end, "canonical")
    return None


def _is_name(text: str) -> bool:
    return _key(text) not in _NO_NAMES and any(map(str.isalpha, text))


_NO_NAMES = frozenset(_key(word) for word in _KEYS["no_names"]) | {""}


def _title(
    extract: Extract,
    properties: list[_Candidate],
    structured: _Structured,
    visible: list[Block],
    site: Value | None,
) -> Value | None:
    """The title without the site's name: as a heading of the article shows it, else as the head gives it."""
    page = extract.title
    meta = next(filter(None, (_first(properties, [key]) for key in _KEYS["title"])), None)
    given = [
        Value(" ".join(_decoded(span.text).split()), span.start, span.end, origin)
        for span, origin in ((meta, "og:title"), (structured.headline, "json-ld"), (page, "title"))
        if span
    ]
    keys = [_key(each.text) for each in given]
    name = _key(site.text) if site else ""
    headings = {}
    for block in visible[:_EDGE_BLOCKS] + [block for block in visible if block.level == 1][:1]:
        text = " ".join(block.text.split())
        own = _key(text)
        if block.level and len(own) > _SHORTEST_NAME and own != name and any(own in key for key in keys):
            # A title begins with what the page is about; the site's name follows, as a heading, too.
            headings[any(key.startswith(own) for key in keys), len(own)] = block, text
    if headings:
        block, text = headings[max(headings)]
        start = len(block.text) - len(block.text.lstrip())
        return Value(text, *block.source_span(start, len(block.text.rstrip())), "heading")
    if not given:
        return None
    best = given[0]
    text = _without_site(best.text, site, [each.text for each in given[1:]])
    if (
        page
        and best.origin == "title"
        and text != page.text
        and (place := extract.title_source.find(text)) >= 0
    ):
        return Value(text, page.start + place, page.start + place + len(text), "title")
    return best._replace(text=text)


def _without_site(title: str, site: Value | None, others: list[str]) -> str:
    """Cut the site's name, or what another title lacks, off the beginning or the end."""
    parts = [*_SEPARATORS.finditer(title)]
    if not parts or len(title) > _LONGEST_TITLE:
        return title
    name = (
        _key(site.text.partition(".")[0] if site and site.origin == "canonical" else site.text)
        if site
        else ""
    )
    first, last = parts[0], parts[-1]
    changed = True
    start, end = 0, len(title)
    while changed and parts:
        changed = False
        last, first = parts[-1], parts[0]
        tail, head = _key(title[last.end() : end]), _key(title[start : first.start()])
        if _same(tail, name):
            end, changed = last.start(), True
            parts.pop()
        elif _same(head, name):
            start, changed = first.end(), True
            parts.pop(0)
    for separator in parts:
        before = title[start : separator.start()]
        if any(_key(before) == _key(other) for other in others):
            return before
    return title[start:end]


def _same(part: str, name: str) -> bool:
    """Whether two names, as `_key` makes them, are of one site: "guardian" and "theguardian"."""
    shorter, longer = sorted((part, name), key=len)
    if len(shorter) < _SHORTEST_NAME:
        return False
    return shorter == longer or (shorter in longer and 2 * len(shorter) >= len(longer))


def _not_authors(site: Value | None, canonical: Span | None) -> set[str]:
    names = {_key(site.text)} if site else set()
    if canonical and (domain := domain_of(canonical.text)):
        names |= {_key(domain), _key(domain.rpartition(".")[0])}
    return names - {""}


def _author(
    extract: Extract,
    properties: list[_Candidate],
    structured: _Structured,
    edges: list[Block],
    sites: set[str],
) -> Value | None:
    sources: list[tuple[str, list[Span]]] = [("json-ld", structured.authors)]
    sources += [(key, [span for found, span in properties if found == key]) for key in _KEYS["author"]]
    sources += [(origin, [span]) for origin, span in extract.bylines]
    sites_name = None
    for origin, spans in sources:
        names: dict[str, Span] = {}
        for span in spans:
            for name in _people(span.text):
                names.setdefault(name, span)
        people = [name for name in names if _key(name) not in sites]
        if people:
            span = names[people[0]]
            return Value(", ".join(people[:_MOST_AUTHORS]), span.start, span.end, origin)
        sites_name = sites_name or next(
            (Value(name, span.start, span.end, origin) for name, span in names.items()), None
        )
    return _byline(edges) or sites_name


def _people(text: str) -> Iterator[str]:
    """The names in a byline, which may join several; nothing that is an address or no name."""
    text = " ".join(_decoded(text).split())
    if re.match(r"https?:|www\.|/", text):
        return
    text = _BY.sub("", _LABEL.sub("", text))
    parts = [_AFTER_NAME.sub("", part).strip(_AROUND_NAME) for part in _BETWEEN_NAMES.split(text)]
    parts = [named["name"] if (named := _ROLE_AFTER.fullmatch(part)) else part for part in parts]
    persons = [part for part in parts if not _ROLE.search(part) and part.lower() not in _MONTHS]
    for part in persons or parts:
        name = _BY.sub("", part)
        if (
            _SHORTEST_NAME <= len(name) <= _LONGEST_NAME_CHARACTERS
            and len(name.split()) <= _MOST_NAME_WORDS
            and _is_name(name)
            and not _ADDRESS.search(name)
        ):
            yield name


def _byline(blocks: list[Block]) -> Value | None:
    for block in blocks:
        match = _BYLINE.match(block.text)
        if match and not block.level:
            return Value(" ".join(match[1].split()), *block.source_span(match.start(1), match.end(1)), "text")
    return None


def _published(
    properties: list[_Candidate], structured: _Structured, edges: list[Block], canonical: Span | None
) -> Iterator[DateFound]:
    yield from _dates(("datePublished", span) for span in structured.published)
    for key in _KEYS["published"]:
        yield from _dates((key, span) for found, span in properties if found == key)
    if canonical and (match := _DATE_IN_ADDRESS.search(canonical.text)) and (value := _date(*match.groups())):
        yield DateFound(value, "canonical", canonical.start, canonical.end)
    yield from _dates(("time", span) for key, span in properties if key == "time")
    yield from _visible_dates(edges)


def _as_shown(dates: list[DateFound], visible: list[Block]) -> DateFound | None:
    """The first date; or the day before, if the page shows that above its text.

    Systems write UTC, in which an evening in America is the next day.
    """
    if not dates:
        return None
    until = visible[min(2, len(visible) - 1)].sources[-1][1] if visible else 0
    shown = [each for each in dates if each.name == "text" and each.start < until]
    is_day_before = {(dates[0].value - each.value).days for each in shown} == {1}
    return shown[0] if is_day_before else dates[0]


def _modified(properties: list[_Candidate], structured: _Structured) -> Iterator[DateFound]:
    yield from _dates(("dateModified", span) for span in structured.modified)
    for key in _KEYS["modified"]:
        yield from _dates((key, span) for found, span in properties if found == key)


def _dates(found: Iterable[tuple[str, Span]]) -> Iterator[DateFound]:
    for key, span in found:
        if value := read_date(span.text):
            yield DateFound(value, key, span.start, span.end)


def _visible_dates(blocks: list[Block]) -> Iterator[DateFound]:
    """Dates after a word such as "updated", then those that stand in a short line."""
    others = []
    # Looking for a digit first is much faster than the list of words.
    for block in (block for block in blocks if _DIGIT.search(block.text)):
        dated = False
        for match in _VISIBLE_DATE.finditer(block.text):
            if value := read_date(match[1]):
                dated = True
                yield DateFound(value, "text", *block.source_span(match.start(), match.end()))
        if not dated and _length(block) <= _LONGEST_DATE_LINE:
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
    number = _MONTHS.get(month.lower()) or (int(month) if month.isdecimal() else 0)
    try:
        if number > _MONTHS_OF_A_YEAR:  # 25/12/2026: the day comes first
            return date(int(year), int(day), number)
        return date(int(year), number, int(day))
    except ValueError:  # no such day or month
        return None
