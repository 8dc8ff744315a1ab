"""Who wrote an article: structured data, metadata and bylines, and which of them to believe."""

import re
from collections.abc import Iterator

from contentworker.editorial.parsing.blocks import Block, Extract, Span, domain_of
from contentworker.editorial.parsing.byline_lines import (
    about_author,
    line_in_text,
    line_with_names,
    name_beside_date,
    note_below,
    reported_by,
)
from contentworker.editorial.parsing.bylines import is_account, is_desk, is_group, names_in
from contentworker.editorial.parsing.names import KEYS, Candidate, Value, key_of
from contentworker.editorial.parsing.structured import Structured

__all__ = ["author_of", "not_authors"]

_MOST_AUTHORS = 30
_MOST_LINKED_AUTHORS = 4
"""More links to pages of authors, side by side, are a list of a site's authors."""
_LONGEST_GAP = 400
"""Characters of the source between two names of one byline."""
# What a page's preview calls the author, in the languages of WordPress.
_WRITTEN_BY = re.compile(
    r"(?:written|verfasst|geschrieben|écrit|escrito|scritto|geschreven|skrevet|skriven|napisane)\b|author|autor|auteur",
    re.IGNORECASE,
)
_LOOSE = frozenset({"class", "link"})
"""Origins that call more an author than authors."""


def not_authors(site: Value | None, canonical: Span | None) -> set[str]:
    """The names of the site, as `key_of` makes them."""
    names = {key_of(site.text)} if site else set()
    if canonical and (domain := domain_of(canonical.text)):
        names |= {key_of(domain), key_of(domain.rpartition(".")[0])}
    return names - {""}


def author_of(  # noqa: PLR0917 (one for each kind of source)
    extract: Extract,
    properties: list[Candidate],
    structured: Structured,
    edges: list[Block],
    sites: set[str],
    around: tuple[int, int],
    above: list[Block],
    below: list[Block],
    end: int,
) -> Value | None:
    """The author or authors, by the first source that names a person; else an agency or an organisation.

    `edges` are short blocks beside the article, `sites` names that are no person's, `around` is the part of
    the source in which the article stands, `above` blocks above its text, `below` its last and those behind
    it, and `end` where its text ends: who is named elsewhere wrote another one, and so may who is named
    behind it.
    """
    bylines = [*_bylines(extract, around)]
    shown = [*_found(iter(bylines), sites, structured.organisations)]
    line = line_with_names(edges)
    sources = [*_given(properties, structured)]
    given = [*_found(iter(sources), sites, structured.organisations)]
    persons = [value for value, is_person in given if is_person]
    marked = [value for value, is_person in shown if is_person]
    if any(spans for _, spans in sources):
        # The page has an author, if only its site or a desk: several behind the text wrote other stories.
        behind = {key_of(value.text) for value in marked if value.start > end}
        marked = [
            value
            for value in marked
            if value.start < end or value.origin not in _LOOSE or (len(behind) == 1 and not persons)
        ]
    if persons and not _is_shown(persons[0], extract, edges):
        # Systems name who uploads; the page names who wrote.
        better = next((value for value in marked if value.origin != "class"), line)
        if better and better.start < end and " " in better.text and not is_group(better.text):
            return better
    strong = [value for value in persons + marked if not is_account(value.text)]
    groups = [value for value, is_person in given + shown if not is_person]
    if any(value.origin not in _LOOSE for value in groups):
        # An agency that is marked as the author wrote it, rather than a name of a teaser.
        strong = [value for value in strong if value.origin != "class"]
    if line and groups and is_group(line.text):
        line = None
    return (
        next(iter(strong), None)
        or line
        or line_in_text(above)
        or about_author(edges)
        or note_below(below)
        or _only_one(extract, sites)
        or next(iter(persons + marked), None)
        or name_beside_date(above)
        or next(iter(groups), None)
        or reported_by(below)
        or _desk(bylines, sites)
    )


def _given(properties: list[Candidate], structured: Structured) -> Iterator[tuple[str, list[Span]]]:
    """What machines are told, most trusted first."""
    yield "json-ld", structured.authors
    for key in KEYS["author"]:
        yield key, [span for found, span in properties if found == key]
    labels = {key: span.text for key, span in properties if key.startswith("twitter:label")}
    for key, label in labels.items():
        if _WRITTEN_BY.match(label):
            named = key.replace("label", "data")
            yield named, [span for found, span in properties if found == named]
    yield "broken JSON-LD", structured.salvaged_authors


def _found(
    sources: Iterator[tuple[str, list[Span]]], sites: set[str], organisations: set[str]
) -> Iterator[tuple[Value, bool]]:
    """The authors that each source names, and whether they are persons. Desks and the site are nobody."""
    for origin, spans in sources:
        names: dict[str, Span] = {}
        for span in spans:
            for name in names_in(span.text, sites, is_marked=origin not in _LOOSE):
                names.setdefault(name, span)
        names = {name: span for name, span in names.items() if not is_desk(name)}
        others = organisations if origin == "json-ld" else set[str]()
        people = [name for name in names if key_of(name) not in others | sites and not is_group(name)]
        if origin == "link":
            people = [name for name in people if " " in name or not name.isascii()]
            if not 0 < len(people) <= _MOST_LINKED_AUTHORS:
                continue
        # A blog may have the name of its author.
        of_blog = [name for name in names if key_of(name) in sites - others and _is_like_a_person(name)]
        kept = people or [name for name in names if key_of(name) not in sites or name in of_blog][:1]
        if kept:
            span = names[kept[0]]
            yield Value(", ".join(kept[:_MOST_AUTHORS]), span.start, span.end, origin), bool(people)


def _is_like_a_person(name: str) -> bool:
    """Whether a name of a site may be a person's: two or three words with capitals, and no "The"."""
    words = name.split()
    return (
        1 < len(words) <= _MOST_WORDS_OF_PERSON
        and all(word[0].isupper() and not word.isupper() for word in words)
        and words[0].lower() not in _ARTICLES
        and not is_group(name)
    )


_MOST_WORDS_OF_PERSON = 3
_ARTICLES = frozenset({"the", "der", "die", "das", "le", "la", "les", "el", "los", "las", "il", "lo"})


def _is_shown(value: Value, extract: Extract, edges: list[Block]) -> bool:
    """Whether a byline or a line beside the article has a name, or at least the last word of it."""
    name = key_of(value.text.partition(",")[0].rpartition(" ")[2])
    return any(name in key_of(span.text) for _, span in extract.bylines) or any(
        name in key_of(block.text) for block in edges
    )


def _only_one(extract: Extract, sites: set[str]) -> Value | None:
    """The one person whom all marked bylines of a page name, wherever they stand."""
    found: dict[str, Value] = {}
    for origin, span in (each for each in extract.bylines if each[0] != "class"):
        for name in names_in(span.text, sites, is_marked=False):
            if key_of(name) not in sites and not is_desk(name):
                found.setdefault(key_of(name), Value(name, span.start, span.end, origin))
    return next(iter(found.values())) if len(found) == 1 else None


def _desk(bylines: list[tuple[str, list[Span]]], sites: set[str]) -> Value | None:
    """The desk or the site that a byline beside the article names: readers are told who answers for it."""
    for origin, spans in bylines:
        for name in names_in(spans[0].text, set(), is_marked=origin not in _LOOSE):
            is_named = is_desk(name) and " " in name and not name.lower().endswith("reports")
            if is_named or key_of(name) in sites:
                return Value(name, spans[0].start, spans[0].end, origin)
    return None


def _bylines(extract: Extract, around: tuple[int, int]) -> Iterator[tuple[str, list[Span]]]:
    """The bylines beside the article; several that are marked as its authors, side by side, are one."""
    last: tuple[str, list[Span]] | None = None
    for origin, span in extract.bylines:
        if not around[0] <= span.start <= around[1]:
            continue
        if last and origin == last[0] != "class" and 0 <= span.start - last[1][-1].end <= _LONGEST_GAP:
            last[1].append(span)
            continue
        if last:
            yield last
        last = origin, [span]
    if last:
        yield last
