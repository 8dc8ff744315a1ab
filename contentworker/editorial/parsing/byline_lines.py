"""Bylines in the visible text: lines that begin with "by" and a name, labels, and notes about the author."""

import re

from contentworker.editorial.parsing.blocks import Block
from contentworker.editorial.parsing.bylines import (
    BETWEEN_NAMES,
    FULL_STOP,
    PARTICLE,
    PICTURE,
    is_desk,
    is_group,
    without_month,
)
from contentworker.editorial.parsing.dates import read_date
from contentworker.editorial.parsing.names import KEYS, MONTHS, Value, is_name

__all__ = ["about_author", "line_in_text", "line_with_names", "name_beside_date", "note_below", "reported_by"]

_WORD = r"[^\W\d_a-z](?:[^\W\d_]|[.'\u2019-](?=\S))*+\.?"
_NAME = rf"{_WORD}(?:\s+(?:(?:{PARTICLE})\s+){{0,2}}{_WORD}){{1,3}}"
_NAMES = rf"{_NAME}(?:\s*(?:,|&|\b(?:and|und|et|y|och|og|en)\b)\s*{_NAME})*"
_SAYS_BY = r"by|von|par|por|di|door|av|af|(?<=ato\s)da|(?<=ito\s)da|(?<=tto\s)da"
# "Autor/in", "Autorin/Autor", "Author(s)"; "Text und Fotos", "Fotos und Text".
_AUTHOR = (
    r"(?:gast)?autor(?:[/:*_(]?in(?:nen)?\)?|en|es|[ei])?(?:/autor(?:in)?)?|authors?(?:\(s\))?|auteurs?"
    r"|verfasser(?:in)?|автор|yazar"
)
_AND = r"\s?(?:und|and|&|/|\+|et|y|e|en|og|och)\s?"
_PICTURES = r"(?:foto|photo|bild|image|picture|video)\w{0,6}"
_TEXT = rf"(?:{_PICTURES}{_AND})?te(?:xte?|xto|sto|kst)(?:{_AND}{_PICTURES})?"
# "By Jane Doe"; or one name, if a date, a sign or nothing follows: "Von Jane am 3. Mai 2024".
_BYLINE = re.compile(
    r"(?P<before>.{0,80}?)(?<!\w)"
    rf"(?i:(?:{_SAYS_BY})\s*:?(?:\s+unsere[rmn]\s+\w+)?|(?P<label>{_AUTHOR}|{_TEXT}|redaktion)\s*:)\s+"
    rf"(?P<names>{_NAMES}|{_WORD}(?=\s*(?:\Z|[|•·,(\u2013\u2014-]|(?:am|on|um|le|el|at|op|il)\s)))",
    re.DOTALL,
)
# "Autor Jane Doe", and nothing else.
_AUTHOR_ALONE = re.compile(rf"\s*(?i:{_AUTHOR})\s+(?P<names>{_NAMES})\s*")
# "Geschrieben von jane am 3. Mai 2024", "3. Mai 2024 von jane": an account.
_BY_ACCOUNT = re.compile(
    rf"(?P<before>.{{2,80}}?)(?<!\w)(?i:(?:{_SAYS_BY})\s*:?|(?P<label>{_AUTHOR})\s*:)\s+(?P<names>[^\W\d_]\w{{2,20}}+)(?=\s*(?:\Z|[|•·,(\u2013\u2014-]|(?:am|on|um|le|el|at|op|il|in)\s))",
    re.DOTALL,
)
# "This entry was posted in News by Jane Doe".
_LISTED = re.compile(
    r"\W*(?:this|dieser|posted|filed|veröffentlicht|abgelegt|publi|geschrieben|erstellt)\w*\s.*\b(?:in|under|unter|dans|en)\s",
    re.IGNORECASE | re.DOTALL,
)
# "Author", "Written by", alone: the next line is the name.
_LABEL = re.compile(rf"(?:[^\W\d_]+\s+)?(?:{_SAYS_BY})\s*:?|(?:{_AUTHOR}|text)\s*:?", re.IGNORECASE)
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
        match = match or _BY_ACCOUNT.match(text) or _AUTHOR_ALONE.fullmatch(text)
        labelled = len(text) <= _LONGEST_LABEL and bool(_LABEL.fullmatch(text.strip()))
        if not match or "\u00a9" in text:
            continue
        groups = match.groupdict()
        before = groups.get("before", "").strip()
        if block.level and (block.level == 1 or before or match.end() < len(text.rstrip())):
            continue
        is_apart = groups.get("label") and before.endswith(_SIGNS)
        if not (is_apart or _LISTED.match(before + " ") or all(map(_leads, before.split()))):
            continue
        if PICTURE.match(before) and not (is_apart or _AND_TEXT.search(before)):
            continue
        if value := _value(block, match):
            return value
    return None


_AND_TEXT = re.compile(r"text|stor|words", re.IGNORECASE)
_SIGNS = ("|", "•", "·", ",", ";", "/", "-", "\u2013", "\u2014")


def line_in_text(blocks: list[Block]) -> Value | None:
    """A line of its own that begins with "by" and a name, in a paragraph whose lines are broken."""
    for block in blocks:
        for line in _LINE.finditer(block.text, 0, _FIRST_CHARACTERS):
            if (match := _BY_ALONE.fullmatch(block.text, *line.span())) and (value := _value(block, match)):
                return value
    return None


_LINE = re.compile(r"^[^\n]{3,160}$", re.MULTILINE)
_FIRST_CHARACTERS = 400
_BY_ALONE = re.compile(rf"\s*(?i:{_SAYS_BY})\s+(?P<names>{_NAMES})\s*(?:[,|(][^\n]{{0,60}})?")


def name_beside_date(blocks: list[Block]) -> Value | None:
    """A person's name in one short line with a date, as "3 May 2024 | Jane Doe"."""
    for block in blocks:
        line = " ".join(block.text[:_LONGEST_LINE].split())
        if len(line) > _LONGEST_DATED or not read_date(line):
            continue
        for match in filter(None, map(_ONE_PERSON.fullmatch, _parts(line))):
            place = re.search(r"\s+".join(map(re.escape, match[0].split())), block.text)
            if place and not is_group(match[0]) and not _PLACE.match(match[0]):
                return Value(match[0], *block.source_span(*place.span()), "text")
    return None


def _parts(line: str) -> list[str]:
    """What is left of a line without its date; its parts, of those that a comma separates only the first.

    A place stands in the last.
    """
    parts = [part.strip() for part in _SEPARATOR.split(line)]
    return [" ".join(_WHEN.sub(" ", line).split())] + [
        part.partition(",")[0] if read_date(part.partition(",")[2]) else part for part in parts
    ]


_ONE_PERSON = re.compile(
    rf"(?!\w*(?:{'|'.join(MONTHS)})\b)(?![^a-z]*\Z){_WORD}(?:\s+(?:{PARTICLE})|\s+[A-Z]\.)?\s+{_WORD}"
)
_SEPARATOR = re.compile(r"\s*[|•·>»/]\s*|\s+[-\u2013\u2014]\s+|\s+(?:am|on|le|el|il|op)\s+(?=\S*\d|[A-Z])")
# What a date is made of: beside it, one name may stand with no sign between them.
_WHEN = re.compile(
    rf"\d[\w.:/-]*|\b(?:{'|'.join(MONTHS)}|(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|diens|donners|frei|sams|sonn)tag"
    r"|mittwoch|uhr|am|pm|um|at|on|vom|gmt|cet|est)\b\.?|[(),|]",
    re.IGNORECASE,
)
# "New York, May 3": two words that are a place.
_PLACE = re.compile(
    r"(?:new|san|los|las|saint|st\.?|santa|bad|north|south|west|east|great|united|rio|buenos|hong|tel|den|la|le|el)\s",
    re.IGNORECASE,
)
_LONGEST_DATED = 80


def note_below(blocks: list[Block]) -> Value | None:
    """Who wrote an article by a note behind it: "Jane Doe is a reporter", "Unsere Autorin Jane Doe"."""
    for block in blocks:
        for note in _NOTES:
            match = note.match(block.text, 0, _LONGEST_LINE)
            if match and (value := _value(block, match)) and not is_group(value.text):
                return value
    return None


_NOTES = (
    re.compile(
        r"\W{0,3}(?i:staff\s+writer|(?:unsere?|der|die|zum|zur|about\s+the|über\s+(?:den|die))\s+(?:gast)?auth?or(?:in)?)"
        rf"\s*:?\s+(?P<names>{_NAME})"
    ),
    re.compile(
        rf"\W{{0,3}}(?P<names>{_NAME})(?:,[^.,]{{0,60}},)?\s+(?:can\s+be\s+reached|(?:is|was|ist|est|es)\s+"
        r"(?:[^\s.]{1,20}\s+){0,7}?(?:reporter|writer|editor|journalist|correspondent|columnist|contributor|author"
        r"|fellow|professor|Redakteur|Autor|Korrespondent|Journalist|Professor|periodista|[Bb]logger))"
    ),
)
_REPORTED = re.compile(rf"\W{{0,3}}(?i:reporting|reported)\s+by\s+(?P<names>{_NAMES})")


def reported_by(blocks: list[Block]) -> Value | None:
    """Who reported for an agency, as its last line says: "Reporting by Jane Doe; editing by Max Roe"."""
    matches = ((block, _REPORTED.match(block.text, 0, _LONGEST_LINE)) for block in blocks)
    return next((_value(block, match) for block, match in matches if match), None)


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
    names = [*map(_cut, BETWEEN_NAMES.split(match["names"]))]
    names = [
        name.removesuffix(".") if len(name.rpartition(" ")[2]) > _LONGEST_LITTLE_WORD else name
        for name in names
    ]
    names = [name for name in names if name.lower() not in MONTHS and is_name(name) and not is_desk(name)]
    return Value(", ".join(names), *block.source_span(*match.span("names")), "text") if names else None


def _cut(name: str) -> str:
    """A name without the sentence or, if both have two words, the line that follows it."""
    first, _, rest = name.strip().partition("\n")
    name = " ".join((first if " " in first.strip() and " " in rest.strip() else name).split())
    stop = FULL_STOP.match(name)
    return without_month(stop["name"] if stop else name)


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
