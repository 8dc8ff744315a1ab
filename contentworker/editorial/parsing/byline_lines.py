"""Bylines in the visible text: lines that begin with "by" and a name, labels, and notes about the author."""

import re

from contentworker.editorial.parsing.blocks import Block
from contentworker.editorial.parsing.bylines import (
    BETWEEN_NAMES,
    PARTICLE,
    PICTURE,
    is_desk,
    is_group,
    without_month,
)
from contentworker.editorial.parsing.dates import read_date
from contentworker.editorial.parsing.names import KEYS, MONTHS, Value, is_name

__all__ = ["about_author", "line_with_names", "name_beside_date"]

_WORD = r"[^\W\d_a-z](?:[^\W\d_]|[.'\u2019-](?=\S))*+\.?"
_NAME = rf"{_WORD}(?:\s+(?:(?:{PARTICLE})\s+){{0,2}}{_WORD}){{1,3}}"
_NAMES = rf"{_NAME}(?:\s*(?:,|&|\b(?:and|und|et|y|och|og|en)\b)\s*{_NAME})*"
_SAYS_BY = r"by|von|par|por|di|door|av|af|(?<=ato\s)da|(?<=ito\s)da|(?<=tto\s)da"
_AUTHOR = r"author|autor(?:in)?|autore|auteur|verfasser(?:in)?|text"
# "By Jane Doe"; or one name, if a date, a sign or nothing follows: "Von Jane am 3. Mai 2024".
_BYLINE = re.compile(
    rf"(?P<before>.{{0,80}}?)(?<!\w)(?i:(?:{_SAYS_BY})\s*:?|(?:{_AUTHOR})\s*:)\s+"
    rf"(?P<names>{_NAMES}|{_WORD}(?=\s*(?:\Z|[|•·,(\u2013\u2014-]|(?:am|on|um|le|el|at|op|il)\s)))",
    re.DOTALL,
)
# "Geschrieben von jane am 3. Mai 2024", "3. Mai 2024 von jane": an account.
_BY_ACCOUNT = re.compile(
    rf"(?P<before>.{{2,80}}?)(?<!\w)(?i:{_SAYS_BY})\s*:?\s+(?P<names>[^\W\d_]\w{{2,20}}+)(?=\s*(?:\Z|[|•·,(\u2013\u2014-]|(?:am|on|um|le|el|at|op|il|in)\s))",
    re.DOTALL,
)
# "Author", "Written by", alone: the next line is the name.
_LABEL = re.compile(rf"(?:[^\W\d_]+\s+)?(?:{_SAYS_BY})\s*:?|(?:{_AUTHOR})\s*:?", re.IGNORECASE)
_ABOUT = re.compile(
    r"(?:über|about|sobre|zum|zur|à\s+propos\s+de)\s+(?:(?:den|die|the|el|la)\s+|l.)?(?:autor|author|auteur)\w*\s*:?",
    re.IGNORECASE,
)
_WHO_IS = re.compile(
    rf"\s*(?P<names>{_NAME})(?:,|\s+(?:ist|war|arbeitet|schreibt|lebt|hat|is|was|writes|works|lives|has|covers|est|es))\s"
)
_LONGEST_LINE = 1_000
"""With its white space: what is as short to a reader may be as long in the source as the page."""
_LONGEST_LABEL = 30
_LONGEST_LITTLE_WORD = 3


def line_with_names(blocks: list[Block]) -> Value | None:
    """The first line that begins with "by" and a name, but for a date and words such as "published".

    Of a heading, the whole line; of a label such as "Author" alone, the line that follows.
    """
    labelled = False
    for block in blocks:
        text = block.text if len(block.text) <= _LONGEST_LINE else ""
        match = re.fullmatch(rf"\s*(?P<names>{_NAMES})\s*", text) if labelled else _BYLINE.match(text)
        match = match or _BY_ACCOUNT.match(text)
        labelled = len(text) <= _LONGEST_LABEL and bool(_LABEL.fullmatch(text.strip()))
        if not match or "\u00a9" in text:
            continue
        before = match.groupdict().get("before", "")
        if block.level and (block.level == 1 or before.strip() or match.end() < len(text.rstrip())):
            continue
        if not all(map(_leads, before.split())):
            continue
        if PICTURE.match(before.lstrip()) and not _AND_TEXT.search(before):
            continue
        if value := _value(block, match):
            return value
    return None


_AND_TEXT = re.compile(r"text|stor|words", re.IGNORECASE)


def name_beside_date(blocks: list[Block]) -> Value | None:
    """A person's name in one short line with a date, as "3 May 2024 | Jane Doe"."""
    for block in blocks:
        if len(block.text) > _LONGEST_DATED or not read_date(block.text):
            continue
        for match in filter(None, map(_ONE_PERSON.fullmatch, _parts(block.text))):
            if not is_group(match[0]) and not _PLACE.match(match[0]):
                at = block.text.find(match[0])
                return Value(match[0], *block.source_span(at, at + len(match[0])), "text")
    return None


def _parts(line: str) -> list[str]:
    """The parts of a line; of those that a comma separates only the first, as a place stands in the last."""
    parts = [part.strip() for part in _SEPARATOR.split(line)]
    return [part.partition(",")[0] if read_date(part.partition(",")[2]) else part for part in parts]


_ONE_PERSON = re.compile(
    rf"(?!\w*(?:{'|'.join(MONTHS)})\b)(?![^a-z]*\Z){_WORD}(?:\s+(?:{PARTICLE})|\s+[A-Z]\.)?\s+{_WORD}"
)
_SEPARATOR = re.compile(r"\s*[|•·>»/]\s*|\s+[-\u2013\u2014]\s+|\s+(?:am|on|le|el|il|op)\s+(?=\S*\d|[A-Z])")
# "New York, May 3": two words that are a place.
_PLACE = re.compile(
    r"(?:new|san|los|las|saint|st\.?|santa|bad|north|south|west|east|great|united|rio|buenos|hong|tel|den|la|le|el)\s",
    re.IGNORECASE,
)
_LONGEST_DATED = 80


def about_author(blocks: list[Block]) -> Value | None:
    """Who a note about the author is about: "About the author", then "Jane Doe writes about..."."""
    is_about = False
    for block in blocks:
        text = block.text if len(block.text) <= _LONGEST_LINE else ""
        match = is_about and (_WHO_IS.match(text) or re.fullmatch(rf"\s*(?P<names>{_NAME})\s*", text))
        if match and (value := _value(block, match)):
            return value
        is_about = bool(_ABOUT.fullmatch(text.strip()))
    return None


def _value(block: Block, match: re.Match[str]) -> Value | None:
    names = [without_month(name) for name in BETWEEN_NAMES.split(" ".join(match["names"].split()))]
    names = [
        name.removesuffix(".") if len(name.rpartition(" ")[2]) > _LONGEST_LITTLE_WORD else name
        for name in names
    ]
    names = [name for name in names if name.lower() not in MONTHS and is_name(name) and not is_desk(name)]
    return Value(", ".join(names), *block.source_span(*match.span("names")), "text") if names else None


def _leads(word: str) -> bool:
    """Whether a word may stand before "by": of a date, as short as "am", or one that is known."""
    bare = word.strip(",.:|&\u2013-").lower()
    return (
        len(bare) <= _LONGEST_LITTLE_WORD
        or word[0].isdigit()
        or bare in MONTHS
        or bare.endswith(("day", "tag"))
        or bare in KEYS["before_by"]
    )
