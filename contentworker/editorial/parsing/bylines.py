"""The names of people in a byline: without jobs, places, dates, addresses and the words around them."""

import re
from collections.abc import Iterator

from contentworker.editorial.parsing.names import ADDRESS, KEYS, MONTHS, decoded, is_name, key_of

__all__ = [
    "BETWEEN_NAMES", "FULL_STOP", "PARTICLE", "PICTURE", "is_account", "is_desk", "is_group", "names_in",
    "without_month",
]  # fmt: skip

_LABEL = re.compile(r"\A[^\W\d_]{2,14}(?::\s+|：\s*)")  # noqa: RUF001 (as Japanese and Chinese write it)
_AROUND_NAME = " .,;:-\u2013*\u201c\u201d\"'"
_AND = r"\s&\s|\band\b|\bund\b|\bet\b|\by\b|\bog\b|\boch\b|\ben\b|\bi\b(?=\s[A-Z])"
BETWEEN_NAMES = re.compile(rf"\s?(?:[,;|]|{_AND})\s?")
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
    r"press|media|news|agenc(?:y|ies)|agentur(?:en)?|agencia|agence|services?|bureau|today|international|division|corp|inc"
    r"|ltd|llc|gmbh|ag|kg|e\.\s?v|d\.\s?o\.\s?o|s\.\s?a|s\.\s?r\.\s?l|b\.\s?v|university|universität|institute?"
    r"|foundation|stiftung|ministerium|ministry|polizei|association|verband|verein|network|magazine?|zeitung|radio"
    r"|times|post|journal|gazette|herald|tribune|daily|telegraph|chronicle|courier|nachrichten|welle"
    r"|court|content|crime|sports?|cnn|ap|afp|apa|dpa|efe|sda|sid|reuters|condé\s+nast"
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
PARTICLE = r"al|bin|da|das|de|del|den|der|di|do|dos|du|el|la|le|ten|ter|van|von|zu"
_PARTICLES = frozenset(PARTICLE.split("|")) | {"y"}
_WORK = r"posts|stories|articles|entries|beiträge|artikel|einträge|entradas|artículos|articoli|billets"
_BY = re.compile(
    rf"^(?:(?:{'|'.join(KEYS['before_by'])}|guest\s+post|ein|(?:ein|eine)\s+\w+|(?:[^\W\d_]+\s+){{0,3}}(?:{_WORK}))\s+)*+"
    r"(?:by|von|par|por|di|door|af|av|(?<=\s)d[ae])(?![\w'-])\s*:?\s*"
    r"|^(?:author|(?:gast)?autor(?:in)?|autore|auteur)(?:\s*:\s*|\s+(?=\S+\s+\S))"
    r"|^(?:über|about)\s+(?=[A-Z]\S+\s+[A-Z])(?!the\b)",
    re.IGNORECASE,
)
# The end of a name, in a byline that goes on with another sentence: "Jane Doe. Example Agency".
FULL_STOP = re.compile(
    r"(?P<name>\S+\s.*?(?<!\w)(?!(?:Prof|Dipl|Mag)\b)[^\W\d_a-z][^\W\d_]{2,})\.\s.*", re.DOTALL
)
# What stands before "by" with a date: "Published on May 3, 2024 by".
_DATED_BY = re.compile(r"[^|]{0,60}?\d{4}[^|]{0,25}?\b(?:by|von|par|por|di|door)\s+(?=\S)", re.IGNORECASE)
_SHORT_END = re.compile(r"\s(?:[^\W\d_]|Jr|Sr)\Z")
_ACCOUNT = re.compile(r"\S*[\d_]\S*|\S*admin\S*|[a-z]+\.[a-z]+", re.IGNORECASE)
_NO_PERSON = re.compile(
    r"\b(?:more|all|bio|profile|posts?|articles?|stories|archive|view|see|full|about|home|contact|comments?|autor"
    r"|you|your|this|share|follow|published|posted|tagged|filed|edit|twitter|facebook|instagram|subscribe|newsletter"
    r"|next|previous|latest|what|why|how|when|where|veröffentlicht|kategorie|kommentare?|teilen|folgen)\b",
    re.IGNORECASE,
)
PICTURE = re.compile(r"(?:photo|image|picture|illustration|graphic|video|foto|bild)\w*\b", re.IGNORECASE)
_MAIL = re.compile(r"[\w.]@\w")
_AFTER_NAME = re.compile(
    r"\s?(?:[|•·\u2013\u2014@(\[/]|\s-\s|(?<!\w)\d|https?:|\b(?:for|is|in|at|published|publiziert|posted|last|updated"
    r"|on|am|vor|follow|lesedauer|reading|with|using"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch)\b).*",
    re.DOTALL | re.IGNORECASE,
)
_LONGEST_LIST = 2_000
_LONGEST_NAME_CHARACTERS = 80
_MOST_NAME_WORDS = 6
_SHORTEST_NAME = 3
_SHORTEST_SITE = 5


def is_desk(name: str) -> bool:
    """Whether a name is that of nobody in particular: "News Staff", "Redaktion", "Senior Reporter"."""
    return bool(_DESK.search(name) or _JOB_ALONE.fullmatch(name)) or key_of(name) in _NOBODY


def is_group(name: str) -> bool:
    """Whether a name is that of a desk, an agency or a company."""
    return bool(_GROUP.search(name)) or name.lower().startswith("the ") or is_desk(name)


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
    if len(text) > _LONGEST_LIST or re.match(r"https?:|www\.|/", text) or PICTURE.match(text):
        return
    stripped = _BY.sub("", _DATED_BY.sub("", _LABEL.sub("", text), count=1))
    # "jane" alone, or in "Posted by jane", may be a name; in "jane, top stories" it is none.
    may_be_account = " " not in text or stripped != text
    text = stripped
    if last := _LAST_OF_LIST.fullmatch(text):
        text = last[1]
    parts = [part for part in BETWEEN_NAMES.split(_DEGREES.sub("", text)) if not _MAIL.search(part)]
    parts = [_stripped(_DEGREES.sub("", _without_end(part))) for part in parts]
    parts = [_without_job(part) for part in parts]
    parts = [_without_site(_BY.sub("", part), sites) for part in parts if part.lower() not in MONTHS]
    if len(parts) == 2 and "," in text and all(map(_is_single_word, parts)):  # noqa: PLR2004 ("Doe, Jane")
        parts = [" ".join(reversed(parts))]
    if parts and (" " in parts[0] or is_group(parts[0])):
        # "Jane Doe, Berlin", "Reuters, Washington"; Chinese names have no space and no capitals.
        parts[1:] = [part for part in parts[1:] if " " in part or part.lower() == part.upper()]
    persons = [part for part in parts if part and not is_group(part)]
    for name in persons or parts:
        if (
            _SHORTEST_NAME <= len(name) <= _LONGEST_NAME_CHARACTERS
            and len(name.split()) <= _MOST_NAME_WORDS
            and is_name(name)
            and not ADDRESS.search(name)
            and not _ACCOUNT.fullmatch(name)
            and (is_marked or not _NO_PERSON.search(name))
            and (is_marked or (may_be_account and " " not in name) or _is_capitalized(name))
            and name.lower() not in KEYS["before_by"]
        ):
            yield name


def _stripped(part: str) -> str:
    """A name without signs around it, but with the full stop of "Jane D." and "Jr."."""
    bare = part.strip(_AROUND_NAME)
    return bare + "." if _SHORT_END.search(bare) and f"{bare}." in part else bare


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
    stop = FULL_STOP.match(part)
    part = stop["name"] if stop else part
    agency, _, rest = part.partition("/")
    if rest and is_group(agency):
        part = rest.strip()
    end = _AFTER_NAME.search(part)
    if not end:
        return part
    name = part[: end.start()]
    return without_month(name.rstrip(" .,")) if end[0].strip()[:1].isdigit() else name


def without_month(name: str) -> str:
    """A name without the beginning of a date that follows it."""
    before, _, last = name.rpartition(" ")
    return before if before and last.lower().strip(".") in MONTHS else name


def _is_capitalized(name: str) -> bool:
    """Whether all words but particles begin as names do; scripts without capitals always do."""
    return all(
        not word[0].islower() or word in _PARTICLES or word[1:2] in {".", "'", "\u2019"}
        for word in name.split()
    )
