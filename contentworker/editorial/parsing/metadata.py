"""What a page says about itself: author, dates, description, robots, structured data."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from contentworker.editorial.parsing.blocks import Block, Extract, Span

__all__ = ["DateFound", "Link", "Metadata", "domain_of", "read_links", "read_metadata"]


class Link(NamedTuple):
    """A hyperlink of the content. `domain` is the host without `www.`, empty for a relative link."""

    target: str
    domain: str
    start: int
    end: int


class DateFound(NamedTuple):
    """A publication or modification date and where it stands."""

    value: date
    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """What was found; a None or an empty tuple is "not given". `present` is False where none can be given.

    `json_ld_types` are the types of all valid blocks in order of appearance, `json_ld_errors` what is
    wrong with the others, each with the place of its block.
    """

    present: bool
    author: Span | None
    dates: tuple[DateFound, ...]
    description: Span | None
    canonical: Span | None
    robots: tuple[Span, ...]
    json_ld_types: tuple[str, ...]
    json_ld_errors: tuple[Span, ...]
    declared_language: str | None


_AUTHOR_KEYS = frozenset(
    {"author", "article:author", "authors", "byline", "byl", "dc.creator", "parsely-author"}
)
_DATE_KEYS = frozenset(
    {"article:modified_time", "article:published_time", "og:updated_time", "datemodified", "datepublished",
     "last-modified", "lastmod", "last_modified", "updated", "modified", "date", "pubdate", "published",
     "dc.date",     "dcterms.modified", "time"}
)  # fmt: skip
_DESCRIPTION_KEYS = ("description", "og:description", "summary")
_ROBOTS_KEYS = frozenset({"robots", "googlebot", "bingbot"})

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("january jan januar enero janvier", "february feb februar febrero février",
         "march mar märz marzo mars",
         "april apr abril avril", "may mai mayo", "june jun juni junio juin", "july jul juli julio juillet",
         "august aug agosto août", "september sep sept septiembre septembre",
         "october oct oktober okt octubre octobre",
         "november nov noviembre novembre", "december dec dezember dez diciembre décembre"),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_ISO_DATE = re.compile(r"(?<!\d)([12]\d{3})[-/](\d{1,2})[-/](\d{1,2})(?!\d)")
_DAY_FIRST = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|\.)?\s+(?:de\s+)?([^\W\d_]{3,10})\.?,?\s+(?:de\s+)?([12]\d{3})(?!\d)"
)
_MONTH_FIRST = re.compile(r"([^\W\d_]{3,10})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+([12]\d{3})(?!\d)")
_VISIBLE_DATE = re.compile(
    r"\b(?:updated|modified|reviewed|published|posted|aktualisiert|geändert|veröffentlicht|stand|actualizado"
    r"|publicado|revisado|publié|mis à jour)\b[^\d\n]{0,20}?(?=\d|[A-Z][a-z]{2,9}\.?\s+\d)(.{6,40})",
    re.IGNORECASE,
)
_BYLINE = re.compile(
    r"^\s*(?i:(?:written |reviewed |text )?by|author:|von|autor(?:in)?:|por|par)\s+"
    r"((?:[^\W\d_a-z][\w.'\u2019-]*\s+){1,3}[^\W\d_a-z][\w.'\u2019-]*)"
)
# What urlsplit would read the same way, several times as slowly.
_PLAIN_URL = re.compile(r"https?://([a-zA-Z0-9-]++(?:\.[a-zA-Z0-9-]++)++)(?:[/?#]|\Z)")
_DIGIT = re.compile(r"\d")
_LONGEST_BYLINE_BLOCK = 160
_EDGE_BLOCKS = 6


def domain_of(url: str | None) -> str:
    """The host of an http(s) URL in lower case and without `www.`; empty for anything else."""
    url = (url or "").strip()
    if plain := _PLAIN_URL.match(url):
        return plain[1].lower().removeprefix("www.")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    return host.removeprefix("www.") if parts.scheme in ("http", "https", "") and "." in host else ""


def read_links(extract: Extract) -> tuple[Link, ...]:
    """The links of the content in order."""
    return tuple(Link(link.target, domain_of(link.target), link.start, link.end) for link in extract.links)


def read_metadata(extract: Extract) -> Metadata:
    """Join what the head, the front matter, the structured data and the visible text say."""
    types: list[str] = []
    errors: list[Span] = []
    properties = list(extract.properties)
    for script in extract.json_ld:
        try:
            data = json.loads(script.text)
        except (ValueError, RecursionError) as error:
            errors.append(Span(_json_error(error), script.start, script.end))
            continue
        problem = _read_json_ld(data, script, types, properties)
        if problem:
            errors.append(Span(problem, script.start, script.end))
    edges = _edge_blocks(extract.blocks)
    author = _first(properties, _AUTHOR_KEYS) or _byline(edges)
    description = next((found for key in _DESCRIPTION_KEYS if (found := _first(properties, {key}))), None)
    return Metadata(
        present=extract.has_metadata,
        author=author,
        dates=tuple(_dates(properties, edges)),
        description=description,
        canonical=_first(properties, {"canonical", "canonical_url"}),
        robots=tuple(span for key, span in properties if key in _ROBOTS_KEYS),
        json_ld_types=tuple(types),
        json_ld_errors=tuple(errors),
        declared_language=extract.language,
    )


def _first(properties: list[tuple[str, Span]], keys: frozenset[str] | set[str]) -> Span | None:
    return next((span for key, span in properties if key in keys), None)


def _json_error(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno} of the block"
    return "nested too deeply" if isinstance(error, RecursionError) else "a number too large to read"


def _read_json_ld(
    data: Any, script: Span, types: list[str], properties: list[tuple[str, Span]]
) -> str | None:
    """Collect types, author and dates of one block; return what is wrong with it."""
    nodes = list(_nodes(data))
    found = [str(name) for node in nodes for name in _as_list(node.get("@type")) if isinstance(name, str)]
    types += found
    for node in nodes:
        for key in ("dateModified", "datePublished", "description"):
            value = node.get(key)
            if isinstance(value, str) and value.strip():
                properties.append((key.lower(), Span(value.strip(), script.start, script.end)))
        for author in _as_list(node.get("author")):
            name = author.get("name") if isinstance(author, dict) else author
            if isinstance(name, str) and name.strip():
                properties.append(("author", Span(name.strip(), script.start, script.end)))
    return None if found else "no @type in the block"


def _nodes(data: Any) -> Iterator[dict[str, Any]]:
    """The top-level objects, through lists and @graph, in order."""
    waiting = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += reversed(item)
        elif isinstance(item, dict):
            yield item
            waiting += reversed(_as_list(item.get("@graph")))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _edge_blocks(blocks: list[Block]) -> list[Block]:
    """Bylines and dates stand at the beginning or the end of an article."""
    edges = blocks if len(blocks) <= 2 * _EDGE_BLOCKS else blocks[:_EDGE_BLOCKS] + blocks[-_EDGE_BLOCKS:]
    return [block for block in edges if len(block.text) <= _LONGEST_BYLINE_BLOCK]


def _byline(blocks: list[Block]) -> Span | None:
    for block in blocks:
        match = _BYLINE.match(block.text)
        if match and block.kind != "heading":
            return Span(" ".join(match[1].split()), *block.source_span(match.start(1), match.end(1)))
    return None


def _dates(properties: list[tuple[str, Span]], blocks: list[Block]) -> Iterator[DateFound]:
    for key, span in properties:
        if key in _DATE_KEYS and (value := read_date(span.text)):
            yield DateFound(value, key, span.start, span.end)
    for block in blocks:
        # Looking for a digit first is much faster than looking for a list of words.
        for match in _VISIBLE_DATE.finditer(block.text) if _DIGIT.search(block.text) else ():
            if value := read_date(match[1]):
                yield DateFound(value, "text", *block.source_span(match.start(), match.end()))


def read_date(text: str) -> date | None:
    """The first day written in the text, as 2026-05-03, 3 May 2026 or May 3, 2026; None if there is none."""
    if match := _ISO_DATE.search(text):
        return _date(match[1], match[2], match[3])
    if match := _DAY_FIRST.search(text):
        return _date(match[3], str(_MONTHS.get(match[2].lower(), 0)), match[1])
    if match := _MONTH_FIRST.search(text):
        return _date(match[3], str(_MONTHS.get(match[1].lower(), 0)), match[2])
    return None


def _date(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None
