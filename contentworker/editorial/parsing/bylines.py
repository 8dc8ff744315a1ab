"""The names of people in a byline: without jobs, places, dates, addresses and the words around them."""

import re
from collections.abc import Iterator

from contentworker.editorial.parsing.blocks import Block
from contentworker.editorial.parsing.names import ADDRESS, KEYS, MONTHS, Value, decoded, is_name, key_of

__all__ = ["is_account", "is_desk", "is_group", "line_with_names", "names_in"]

_LABEL = re.compile(r"\A[^\W\d_]{2,14}(?::\s+|：\s*)")  # noqa: RUF001 (as Japanese and Chinese write it)
_AROUND_NAME = " .,;:-\u2013*\u201c\u201d\"'"
_AND = r"\s&\s|\band\b|\bund\b|\bet\b|\by\b|\bi\b(?=\s[A-Z])"
_BETWEEN_NAMES = re.compile(rf"\s?(?:[,;|]|{_AND})\s?")
# "Jane Doe and John Roe, Example Press": what follows the last name of a list is no name.
_LAST_OF_LIST = re.compile(rf"(.*\S\s?(?:{_AND})\s?[^,;|]*[^,;|\s])\s*,(?!\s*(?:jr|sr)\b).*", re.IGNORECASE)
_JOBS = (
    r"writers?|reporters?|editors?|correspondents?|contributors?|columnists?|producers?|analysts?|bloggers?"
    r"|redakteur(?:in)?|korrespondent(?:in)?|autor(?:in)?|journaliste?|journalistin|redactora?|periodista"
    r"|rédact(?:eur|rice)|(?:vice\s+)?president|ceo|cto|founder|director|professor|fellow|scientist|manager|engineer"
    r"|attorney"
)
_DESKS = (
    r"staff|desk|newsroom|newsdesk|team|redaktion|redacción|redaccion|rédaction|redazione|redação|redactie"
    r"|editorial|editors|online-?redaktion"
)
_GROUPS = (
    r"press|media|news|agenc(?:y|ies)|agentur|agencia|agence|services?|bureau|today|international|division|corp|inc"
    r"|ltd|llc|gmbh|ag|kg|e\.\s?v|d\.\s?o\.\s?o|s\.\s?a|s\.\s?r\.\s?l|b\.\s?v|university|universität|institute?"
    r"|foundation|stiftung|ministerium|ministry|polizei|association|verband|verein|network|magazine?|zeitung|radio"
    r"|court|content|crime|sports?|cnn|ap|afp|dpa|efe|reuters|condé\s+nast"
)
_DESK = re.compile(rf"\b(?:{_DESKS})\b", re.IGNORECASE)
_JOB_ALONE = re.compile(rf"(?:[\w-]+\s+){{0,3}}(?:{_JOBS})", re.IGNORECASE)
_GROUP = re.compile(rf"\b(?:{_DESKS}|{_JOBS}|{_GROUPS})(?!\w)", re.IGNORECASE)
_JOB_AFTER = re.compile(
    rf"(?P<name>\S+\s+\S+.*?)\s+(?:associated\s+press|usa\s+today|(?:staff\s+|senior\s+|news\s+)?(?:{_JOBS})\b).*",
    re.IGNORECASE,
)
_DEGREES = re.compile(
    r"(?:\s*,?\s+(?:Ph\.?\s?D|M\.?D|M\.?A|MBA|MPH|MSc?|BSc?|RDN?|LD|RN|DDS|DVM|J\.?D|Esq|CPA|[A-Z]{2,5}-[A-Z]{2,5})\.?"
    r"(?![^\W\d_]))+\s*\Z"
)
_PARTICLE = r"al|bin|da|das|de|del|den|der|di|do|dos|du|el|la|le|ten|ter|van|von|zu"
_PARTICLES = frozenset(_PARTICLE.split("|")) | {"y"}
_WORD = r"[^\W\d_a-z](?:[^\W\d_]|[.'\u2019-](?=\S))*+\.?"
_NAME = rf"{_WORD}(?:\s+(?:(?:{_PARTICLE})\s+){{0,2}}{_WORD}){{1,3}}"
_NAMES = rf"{_NAME}(?:\s*(?:,|&|\band\b|\bund\b|\bet\b|\by\b)\s*{_NAME})*"
_SAYS_BY = r"by|von|par|por|di|door"
# "By Jane Doe"; or one name, if a date, a sign or nothing follows: "Von Jane am 3. Mai 2024".
_BYLINE = re.compile(
    rf"(?P<before>.{{0,80}}?)(?<!\w)(?i:(?:{_SAYS_BY})\s*:?|(?:author|autor(?:in)?|auteur|text)\s*:)\s+"
    rf"(?P<names>{_NAMES}|{_WORD}(?=\s*(?:\Z|[|•·,(\u2013\u2014-]|(?:am|on|um|le|el|at)\s)))",
    re.DOTALL,
)
_BY = re.compile(
    r"^(?:(?:written|posted|published|reviewed|compiled|submitted|story|text|words|opinion|article|analysis|perspective"
    r"|commentary|column|essay|review|interview|guest\s+post|(?:propos\s+)?recueillis?|écrit|escrito|geschrieben"
    r"|verfasst|kommentar|(?:ein|eine)\s+\w+|(?:more|all)\s+(?:stories|articles|posts))\s+)?"
    r"(?:by|von|par|por|di|door|af|av)(?![\w'-])\s*:?\s*"
    r"|^(?:author|autor(?:in)?|auteur)(?:\s*:\s*|\s+(?=\S+\s+\S))",
    re.IGNORECASE,
)
# The end of a name, in a byline that goes on with another sentence: "Jane Doe. Example Agency".
_FULL_STOP = re.compile(r"(?<=[^\W\d_]{3})\.\s.*", re.DOTALL)
_ACCOUNT = re.compile(r"\S*[\d_]\S*|\S*admin\S*|[a-z]+\.[a-z]+", re.IGNORECASE)
_NO_PERSON = re.compile(
    r"\b(?:more|all|bio|profile|posts?|articles?|stories|archive|view|see|full|about|home|contact|comments?|autor)\b",
    re.IGNORECASE,
)
_PICTURE = re.compile(r"(?:photo|image|picture|illustration|graphic|video|foto|bild)\w*\b", re.IGNORECASE)
_AND_TEXT = re.compile(r"text|stor|words", re.IGNORECASE)
_MAIL = re.compile(r"[\w.]@\w")
_AFTER_NAME = re.compile(
    r"\s?(?:[|•·\u2013\u2014@(\[/]|\s-\s|\d|https?:|\b(?:for|is|in|at|published|publiziert|posted|last|updated"
    r"|on|am|vor|follow|lesedauer|reading|with|using"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch)\b).*",
    re.DOTALL | re.IGNORECASE,
)
_LONGEST_LIST = 2_000
_LONGEST_LINE = 1_000
"""With its white space: what is as short to a reader may be as long in the source as the page."""
_LONGEST_LITTLE_WORD = 3
_LONGEST_NAME_CHARACTERS = 80
_MOST_NAME_WORDS = 6
_SHORTEST_NAME = 3
_SHORTEST_SITE = 5


def is_desk(name: str) -> bool:
    """Whether a name is that of nobody in particular: "News Staff", "Redaktion", "Senior Reporter"."""
    return bool(_DESK.search(name) or _JOB_ALONE.fullmatch(name)) or key_of(name) in _NOBODY


def is_group(name: str) -> bool:
    """Whether a name is that of a desk, an agency or a company."""
    return bool(_GROUP.search(name)) or is_desk(name)


def is_account(name: str) -> bool:
    """Whether a name is what somebody logs in with: one word in lower case."""
    return " " not in name and name.isascii() and name.islower()


_NOBODY = frozenset({"news", "online", "publisher"})


def names_in(text: str, sites: set[str], *, is_marked: bool) -> Iterator[str]:
    """The names in a byline, which may join several; nothing that is an address or no name.

    What a class or an address calls an author may be anything: unless `is_marked`, names must also look like
    a person's. `sites` are names of the site, as `key_of` makes them.
    """
    text = " ".join(decoded(text).split())
    if len(text) > _LONGEST_LIST or re.match(r"https?:|www\.|/", text) or _PICTURE.match(text):
        return
    whole = text
    text = _BY.sub("", _LABEL.sub("", text))
    if last := _LAST_OF_LIST.fullmatch(text):
        text = last[1]
    parts = [part for part in _BETWEEN_NAMES.split(_DEGREES.sub("", text)) if not _MAIL.search(part)]
    parts = [_DEGREES.sub("", _without_end(part)).strip(_AROUND_NAME) for part in parts]
    parts = [_without_job(part) for part in parts]
    parts = [_without_site(_BY.sub("", part), sites) for part in parts if part.lower() not in MONTHS]
    if len(parts) == 2 and "," in text and all(map(_is_single_word, parts)):  # noqa: PLR2004 ("Doe, Jane")
        parts = [" ".join(reversed(parts))]
    persons = [part for part in parts if not is_group(part)]
    for name in persons or parts:
        if " " in parts[0] and " " not in name and name.isascii():
            # "Jane Doe, Berlin", "Jane Doe, Futurism"
            continue
        if (
            _SHORTEST_NAME <= len(name) <= _LONGEST_NAME_CHARACTERS
            and len(name.split()) <= _MOST_NAME_WORDS
            and is_name(name)
            and not ADDRESS.search(name)
            and not _ACCOUNT.fullmatch(name)
            and (is_marked or not _NO_PERSON.search(name))
            and (is_marked or (name == whole and " " not in name) or _is_capitalized(name))
        ):
            yield name


def _is_single_word(part: str) -> bool:
    return part.isalpha() and part[:1].isupper() and not part.isupper() and not is_group(part)


def _without_job(part: str) -> str:
    """A name without the job that follows it; "Court Reporter" is no name with a job."""
    named = _JOB_AFTER.fullmatch(part)
    return named["name"] if named and not is_group(named["name"]) else part


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
    return _without_month(name.rstrip(" .,")) if end[0].strip()[:1].isdigit() else name


def _without_month(name: str) -> str:
    """A name without the beginning of a date that follows it."""
    before, _, last = name.rpartition(" ")
    return before if before and last.lower().strip(".") in MONTHS else name


def _is_capitalized(name: str) -> bool:
    """Whether all words but particles begin as names do; scripts without capitals always do."""
    return all(not word[0].islower() or word in _PARTICLES for word in name.split())


def line_with_names(blocks: list[Block]) -> Value | None:
    """The first line that begins with "by" and a name, but for a date and words such as "published"."""
    for block in blocks:
        match = None if block.level or len(block.text) > _LONGEST_LINE else _BYLINE.match(block.text)
        if not match or "\u00a9" in block.text or not all(map(_leads, match["before"].split())):
            continue
        if _PICTURE.match(match["before"].lstrip()) and not _AND_TEXT.search(match["before"]):
            continue
        names = [_without_month(name) for name in _BETWEEN_NAMES.split(" ".join(match["names"].split()))]
        names = [name for name in names if name.lower() not in MONTHS and is_name(name) and not is_desk(name)]
        if names:
            return Value(", ".join(names), *block.source_span(*match.span("names")), "text")
    return None


def _leads(word: str) -> bool:
    """Whether a word may stand before "by": of a date, as short as "am", or one that is known."""
    bare = word.strip(",.:|&\u2013-").lower()
    return (
        len(bare) <= _LONGEST_LITTLE_WORD
        or word[0].isdigit()
        or bare in MONTHS
        or bare.endswith("day")
        or bare in KEYS["before_by"]
    )
