"""Who wrote an article: names in structured data, metadata and bylines."""

import re
from collections.abc import Iterator

from contentworker.editorial.parsing.blocks import Block, Extract, Span, domain_of
from contentworker.editorial.parsing.names import (
    ADDRESS,
    KEYS,
    MONTHS,
    Candidate,
    Value,
    decoded,
    is_name,
    key_of,
)
from contentworker.editorial.parsing.structured import Structured

__all__ = ["author_of", "not_authors"]

_LABEL = re.compile(r"\A[^\W\d_]{2,14}:\s+")
_AROUND_NAME = " .,;:-\u2013*\u201c\u201d\"'"
_BETWEEN_NAMES = re.compile(r"\s?(?:[,;|]|\s&\s|\band\b|\bund\b|\bet\b)\s?")
# What follows a name in a byline: a desk, an agency, a job.
_ROLES = (
    r"\b(?:(?:staff|senior|chief|sports|national|political|security|auto|business|news|tech|science|health)\s+)*"
    r"(?:writers?|reporters?|editors?|correspondents?|contributors?|columnists?|producers?|analysts?|staff|press"
    r"|media|news|agenc(?:y|ies)|services?|bureau|today|international|redakt(?:eur(?:in)?|ion)|korrespondent(?:in)?"
    r"|(?:vice\s+)?president|ceo|cto|founder|director|professor|fellow|scientist|manager|engineer|division|corp|inc"
    r"|ltd|gmbh|university|institute|m\.?d|ph\.?d|rdn?|ms|cnn|ap|afp|dpa|reuters)\b"
)
_ROLE = re.compile(_ROLES, re.IGNORECASE)
_ROLE_AFTER = re.compile(
    r"(?P<name>\S+\s+\S+.*?)\s+(?:associated\s+press|usa\s+today|(?:staff\s+|senior\s+|news\s+)?"
    r"(?:writer|reporter|editor|correspondent|contributor|columnist|redakteur(?:in)?|fellow|ceo|cto|founder"
    r"|director|professor)\b).*",
    re.IGNORECASE,
)
_NAME = r"(?:[^\W\d_a-z][\w.'\u2019-]*\s+){1,3}[^\W\d_a-z][\w.'\u2019-]*"
_BYLINE = re.compile(
    r"^\s*(?i:(?:written |reviewed |text |story |posted |published |words )?by|author|autor(?:in)?|von|par"
    r"|por|di)\s*:?\s+"
    rf"({_NAME}(?:\s*(?:,|&|and|und|et|y)\s+{_NAME})*)"
)
_BY = re.compile(
    r"^(?:(?:written|posted|published|reviewed|compiled|submitted|story|text|words|opinion|article|analysis|perspective"
    r"|commentary|column|essay|review|interview|guest\s+post|(?:more|all)\s+(?:stories|articles|posts))\s+)?"
    r"(?:by|von|par|por)(?![\w-])\s*:?\s*|^(?:author|autor(?:in)?)(?:\s*:\s*|\s+(?=\S+\s+\S))",
    re.IGNORECASE,
)
# The end of a name, in a byline that goes on with another sentence: "Jane Doe. Example Agency".
_FULL_STOP = re.compile(r"(?<=[^\W\d_]{3})\.\s.*", re.DOTALL)
# Accounts, not names.
_HANDLE = re.compile(r"\S*[\d_]\S*|\S*admin\S*", re.IGNORECASE)
_NO_PERSON = re.compile(
    r"\b(?:more|all|bio|profile|posts?|articles?|stories|archive|view|see|full|about)\b", re.IGNORECASE
)
_PICTURE = re.compile(r"(?:photo|image|picture|illustration|graphic|video|foto|bild)\w*\b", re.IGNORECASE)
_MAIL = re.compile(r"[\w.]@\w")
_AFTER_NAME = re.compile(
    r"\s?(?:[|•·\u2013\u2014@(\[/]|\s-\s|\d|https?:|\b(?:for|is|in|at|published|publiziert|posted|last|updated"
    r"|on|am|vor|follow|lesedauer|reading"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b).*",
    re.DOTALL | re.IGNORECASE,
)
_LONGEST_NAME_CHARACTERS = 80
_MOST_NAME_WORDS = 6
_MOST_AUTHORS = 8
_MOST_LINKED_AUTHORS = 4
"""More links to pages of authors, side by side, are a list of a site's authors."""
_LONGEST_GAP = 400
"""Characters of the source between two names of one byline."""
_PARTICLES = frozenset(
    ("al", "bin", "da", "das", "de", "del", "den", "der", "di", "do", "dos", "du", "el", "la", "le", "ten",
     "ter", "van", "von", "y", "zu")
)  # fmt: skip


_SHORTEST_NAME = 3
_SHORTEST_SITE = 5
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
) -> Value | None:
    """The author or authors, by the first source that names a person; else a site, an agency or a desk.

    `edges` are short blocks beside the article, `sites` names that are no person's, and `around` is the part
    of the source in which the article stands: who is named elsewhere wrote another one.
    """
    sources: list[tuple[str, list[Span]]] = [("json-ld", structured.authors)]
    sources += [(key, [span for found, span in properties if found == key]) for key in KEYS["author"]]
    sources += _bylines(extract, around)
    of_group = None
    for origin, spans in sources:
        names: dict[str, Span] = {}
        for span in spans:
            for name in _people(span.text, sites, is_marked=origin not in _LOOSE):
                names.setdefault(name, span)
        others = sites | structured.organisations if origin == "json-ld" else sites
        people = [name for name in names if key_of(name) not in others and not _ROLE.search(name)]
        if origin == "link" or (origin == "class" and of_group):
            people = [name for name in people if " " in name or not name.isascii()]
        if origin == "link" and len(people) > _MOST_LINKED_AUTHORS:
            continue
        if people:
            span = names[people[0]]
            return Value(", ".join(people[:_MOST_AUTHORS]), span.start, span.end, origin)
        of_group = of_group or next(
            (Value(name, span.start, span.end, origin) for name, span in names.items()), None
        )
    line = _byline(edges)
    if line and of_group and _ROLE.search(line.text):
        line = None
    return line or _only_one(extract, sites) or of_group


def _only_one(extract: Extract, sites: set[str]) -> Value | None:
    """The one person whom all marked bylines of a page name, wherever they stand."""
    found: dict[str, Value] = {}
    for origin, span in (each for each in extract.bylines if each[0] != "class"):
        for name in _people(span.text, sites, is_marked=False):
            if key_of(name) not in sites:
                found.setdefault(key_of(name), Value(name, span.start, span.end, origin))
    return next(iter(found.values())) if len(found) == 1 else None


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


def _people(text: str, sites: set[str], *, is_marked: bool) -> Iterator[str]:
    """The names in a byline, which may join several; nothing that is an address or no name.

    What a class or an address calls an author may be anything: unless `is_marked`, names must also look like
    a person's.
    """
    text = " ".join(decoded(text).split())
    if re.match(r"https?:|www\.|/", text) or _PICTURE.match(text):
        return
    whole = text
    text = _BY.sub("", _LABEL.sub("", text))
    parts = [part for part in _BETWEEN_NAMES.split(text) if not _MAIL.search(part)]
    parts = [_without_end(part).strip(_AROUND_NAME) for part in parts]
    parts = [named["name"] if (named := _ROLE_AFTER.fullmatch(part)) else part for part in parts]
    parts = [_without_site(_BY.sub("", part), sites) for part in parts if part.lower() not in MONTHS]
    persons = [part for part in parts if not _ROLE.search(part)]
    for name in persons or parts:
        if " " in parts[0] and " " not in name and name.isascii():
            # "Jane Doe, Berlin", "Jane Doe, Futurism"
            continue
        if (
            _SHORTEST_NAME <= len(name) <= _LONGEST_NAME_CHARACTERS
            and len(name.split()) <= _MOST_NAME_WORDS
            and is_name(name)
            and not ADDRESS.search(name)
            and not _HANDLE.fullmatch(name)
            and (is_marked or not _NO_PERSON.search(name))
            and (is_marked or (name == whole and " " not in name) or _is_capitalized(name))
        ):
            yield name


def _without_site(name: str, sites: set[str]) -> str:
    """A name without that of its site: "Jane Doe Example Today", "Jane Doe Example UK"."""
    words = name.split()
    known = tuple(site for site in sites if len(site) >= _SHORTEST_SITE)
    end = next((end for end in range(2, len(words)) if key_of("".join(words[end:])).startswith(known)), None)
    return " ".join(words[:end]).strip(_AROUND_NAME) if end else name


def _without_end(part: str) -> str:
    """A name without the date, the place or the desk that follows it."""
    part = _FULL_STOP.sub("", part)
    end = _AFTER_NAME.search(part)
    if not end:
        return part
    name = part[: end.start()]
    before, _, last = name.rstrip(" .,").rpartition(" ")
    return before if before and end[0].strip()[:1].isdigit() and last.lower().strip(".") in MONTHS else name


def _without_month(name: str) -> str:
    """A name without the beginning of a date that follows it."""
    before, _, last = name.rpartition(" ")
    return before if " " in before and last.lower().strip(".") in MONTHS else name


def _is_capitalized(name: str) -> bool:
    """Whether all words but particles begin as names do; scripts without capitals always do."""
    return all(not word[0].islower() or word in _PARTICLES for word in name.split())


def _byline(blocks: list[Block]) -> Value | None:
    for block in blocks:
        match = _BYLINE.match(block.text)
        if match and not block.level:
            names = [_without_month(name) for name in _BETWEEN_NAMES.split(" ".join(match[1].split()))]
            return Value(", ".join(names), *block.source_span(match.start(1), match.end(1)), "text")
    return None
