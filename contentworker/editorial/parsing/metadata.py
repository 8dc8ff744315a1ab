"""Metadata of a page: title, author, dates, site, description, robots, structured data."""

# ruff: noqa: RUF001 -- signs that separate the parts of a title

import json
import re
from dataclasses import dataclass
from html import unescape

from contentworker.editorial.parsing.blocks import Block, Extract, Span, domain_of
from contentworker.editorial.parsing.dates import (
    DateFound,
    as_shown,
    is_day_first,
    modified_dates,
    published_dates,
    visible_dates,
)
from contentworker.editorial.parsing.names import (
    ADDRESS,
    KEYS,
    Candidate,
    Value,
    decoded,
    is_name,
    key_of,
    length,
)
from contentworker.editorial.parsing.people import author_of, not_authors
from contentworker.editorial.parsing.structured import Structured, bare_json, json_error

__all__ = ["Metadata", "read_metadata"]


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


_SEPARATORS = re.compile(r"\s+[|\u2013\u2014\u2015·•»›:/~-]+\s+|\s*[|»›]\s*|:\s+(?=[A-Z])")
_LONGEST_BYLINE_BLOCK = 160
_LONGEST_DATED_BLOCK = 300
_SHORTEST_NAME = 3
_LONGEST_TITLE = 1_000
_EDGE_BLOCKS = 6


def read_metadata(
    extract: Extract, visible: list[Block], nearby: list[Block], farther: list[Block]
) -> Metadata:
    """Join what the head, the front matter, the structured data and the visible text say.

    Args:
        extract: What the reader found.
        visible: The blocks of the article.
        nearby: The blocks that may hold its byline and date, though they are not the article's text.
        farther: Those whose dates count if there is no other.
    """
    types: list[str] = []
    errors: list[Span] = []
    structured = Structured()
    for script in extract.json_ld:
        try:
            data = json.loads(bare_json(script.text), strict=False)
            problem = structured.add(data, script, types)
        except (ValueError, RecursionError) as error:
            problem = json_error(error)
            structured.salvage(script)
        if problem:
            errors.append(Span(problem, script.start, script.end))
    structured.finish()
    properties = [
        Candidate(key, Span(unescape(span.text), span.start, span.end)) for key, span in extract.properties
    ]
    canonical = _first(properties, [key for key in KEYS["canonical"] if key != "og:url"]) or _first(
        properties, ["og:url"]
    )
    edges, dated = (
        _short(nearby + _edge_blocks(visible), longest)
        for longest in (_LONGEST_BYLINE_BLOCK, _LONGEST_DATED_BLOCK)
    )
    places = [source for block in visible + nearby for source in block.sources]
    around = (min(places)[0], max(places)[1]) if places else (0, 0)
    end = visible[-1].sources[-1][1] if visible else around[1]
    text_start = next((block.sources[0][0] for block in visible if not block.level), around[0])
    above = sorted(
        (
            block
            for block in nearby + visible[:_EDGE_BLOCKS]
            if block.sources[0][0] <= text_start and block.level != 1
        ),
        key=_start,
    )
    below = [block for block in visible[-2:] if not block.level]
    below += sorted((block for block in nearby if block.sources[0][0] >= end), key=_start)[:_EDGE_BLOCKS]
    site = _site(properties, structured, canonical)
    title = _title(extract, properties, structured, visible, site)
    names = not_authors(site, canonical)
    # A heading that links to its own post.
    own = [
        Span(link.target, link.start, link.end)
        for link in extract.links
        if title and title.origin == "heading" and link.start < title.end and title.start < link.end
    ]
    addresses = [*filter(None, [canonical]), *own]
    day_first = is_day_first(extract.language)
    published = [
        *published_dates(structured.published, properties, dated, addresses, around, day_first=day_first)
    ]
    if not published:
        labelled, others = visible_dates(_short(farther, _LONGEST_DATED_BLOCK), day_first=day_first)
        published = labelled + others
    modified = [*modified_dates(structured.modified, properties)]
    return Metadata(
        present=extract.has_metadata,
        title=title,
        author=author_of(extract, properties, structured, edges, names, around, above, below, end),
        published=as_shown(published or structured.salvaged, visible),
        modified=next(iter(modified), None),
        dates=tuple(dict.fromkeys([*modified, *published])),
        site=site,
        description=next(
            filter(None, (_first(properties, [key]) for key in KEYS["description"])), structured.description
        ),
        canonical=canonical,
        robots=tuple(span for key, span in properties if key in KEYS["robots"]),
        json_ld_types=tuple(types),
        json_ld_errors=tuple(errors),
    )


def _first(properties: list[Candidate], keys: list[str]) -> Span | None:
    return next((span for key, span in properties if key in keys), None)


def _edge_blocks(blocks: list[Block]) -> list[Block]:
    """The first and last blocks of an article, which may hold bylines and dates."""
    return blocks if len(blocks) <= 2 * _EDGE_BLOCKS else blocks[:_EDGE_BLOCKS] + blocks[-_EDGE_BLOCKS:]


def _start(block: Block) -> int:
    return block.sources[0][0]


def _short(blocks: list[Block], longest: int) -> list[Block]:
    return [block for block in blocks if length(block) <= longest]


def _site(properties: list[Candidate], structured: Structured, canonical: Span | None) -> Value | None:
    for key in KEYS["site"]:
        if (span := _first(properties, [key])) and not ADDRESS.match(span.text) and is_name(span.text):
            return Value(decoded(span.text), span.start, span.end, key)
    if structured.site and is_name(structured.site.text):
        return Value(*structured.site, "json-ld")
    if canonical and (domain := domain_of(canonical.text)):
        return Value(domain, canonical.start, canonical.end, "canonical")
    return None


def _title(
    extract: Extract,
    properties: list[Candidate],
    structured: Structured,
    visible: list[Block],
    site: Value | None,
) -> Value | None:
    """The title without the site's name: as a heading of the article shows it, else as the head gives it."""
    page = extract.title
    meta = next(filter(None, (_first(properties, [key]) for key in KEYS["title"])), None)
    given = [
        Value(" ".join(decoded(span.text).split()), span.start, span.end, origin)
        for span, origin in ((meta, "og:title"), (structured.headline, "json-ld"), (page, "title"))
        if span
    ]
    keys = [key_of(each.text) for each in given]
    name = key_of(site.text) if site else ""
    headings = {}
    for block in visible[:_EDGE_BLOCKS] + [block for block in visible if block.level == 1][:1]:
        text = " ".join(block.text.split())
        own = key_of(text)
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
        key_of(site.text.partition(".")[0] if site and site.origin == "canonical" else site.text)
        if site
        else ""
    )
    first, last = parts[0], parts[-1]
    changed = True
    start, end = 0, len(title)
    while changed and parts:
        changed = False
        last, first = parts[-1], parts[0]
        tail, head = key_of(title[last.end() : end]), key_of(title[start : first.start()])
        if _same(tail, name):
            end, changed = last.start(), True
            parts.pop()
        elif _same(head, name):
            start, changed = first.end(), True
            parts.pop(0)
    for separator in parts:
        before = title[start : separator.start()]
        if any(key_of(before) == key_of(other) for other in others):
            return before
    return title[start:end]


def _same(part: str, name: str) -> bool:
    """Whether two names, as `_key` makes them, are of one site: "guardian" and "theguardian"."""
    shorter, longer = sorted((part, name), key=len)
    if len(shorter) < _SHORTEST_NAME:
        return False
    return shorter == longer or (shorter in longer and 2 * len(shorter) >= len(longer))
