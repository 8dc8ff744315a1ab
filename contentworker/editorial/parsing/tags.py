"""What a tag says of its content: its attributes, and whether readers see it."""

import re
from html import unescape

from contentworker.editorial.parsing.blocks import Reason

__all__ = [
    "ENTITY",
    "FOOTNOTE",
    "MARKUP",
    "TITLE_PARAGRAPH",
    "attributes",
    "decode",
    "hidden_reason",
    "is_telling",
    "names_author",
]

_ATTRIBUTE = re.compile(r"""([^\s=/>"']++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]++)))?""")
# html.unescape turns digits into an int, which refuses more than 4,300 of them: hence the bounds.
ENTITY = re.compile(r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,8}|[A-Za-z][A-Za-z0-9]{0,40});?")
# Pages that hide all of themselves show it by a script.
_NEVER_HIDDEN = frozenset({"html", "head", "body", "main", "article"})
_REASONS_BY_ROLE: dict[str, Reason] = {"navigation": "navigation", "search": "control", "menu": "navigation"}
# What is not closed ends with the text, as in a browser; to look for its end anew each time is quadratic.
MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<(?:script|style)\b.*?(?:</(?:script|style)>|\Z)|<[^>]*+(?:>|\Z)", re.DOTALL
)


# The mark of a footnote and the way back: a number, or a sign.
FOOTNOTE = re.compile(
    r"\s*(?:<[^<>]{0,80}>\s*)?[\[(]?(?:\d{1,3}|[*\u2020\u2021\u21a9^]{1,3}\ufe0e?)[\])]?\s*(?:<[^<>]{0,80}>\s*)?</a"
)
# The title of a text that Google Docs or Word has written as HTML.
TITLE_PARAGRAPH = re.compile(
    r"""class\s*=\s*["']?[^"'<>]{0,80}?(?:(?<![\w-])MsoTitle(?![\w-])|(?<![\w-])title(?![\w-])[^<>]{0,80}\sid\s*=\s*["']h\.)"""
)


def attributes(raw: str) -> dict[str, str]:
    """The attributes of a tag, names in lower case, values decoded; the first of equal names wins."""
    values: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(raw):
        values.setdefault(name.lower(), decode(double or single or bare))
    return values


def decode(text: str) -> str:
    """Text without entities."""
    return ENTITY.sub(lambda match: unescape(match[0]), text) if "&" in text else text


def is_telling(raw: str) -> bool:
    """Whether attributes may say that an inline element is hidden, a comment in Word, or the author."""
    return (
        "hidden" in raw
        or "none" in raw
        or "omment" in raw
        or "date" in raw
        or "ublished" in raw
        or "msocom" in raw
        or names_author(raw)
    )


def names_author(raw: str) -> bool:
    """Whether attributes may name an author, in English, German, Spanish, French or Italian."""
    # Called for each tag: what several words share is looked for first.
    return (
        ("ut" in raw and ("uthor" in raw or "utor" in raw or "uteur" in raw))
        or "yline" in raw
        or "riter" in raw
        or "vcard" in raw
        or ("by" in raw and ("edby" in raw or "ed-by" in raw or "ateby" in raw))
        or ("name" in raw and ("ername" in raw or "er-name" in raw))
        or "erfasser" in raw
        or "ignature" in raw
        or "edakt" in raw
    )


# Comments of reviewers, as Word saves them in HTML.
_REVIEW = re.compile(
    r"mso-element:\s*comment|[\s\"'=](?:MsoComment(?:Reference|Text|Subject)|msocom(?:anchor|txt|off))"
)


def hidden_reason(name: str, raw: str, *, whole_page: bool, shows_hidden: bool) -> Reason | None:
    """Why the content of a tag is left out, as its attributes say."""
    if ("omment" in raw or "msocom" in raw) and _REVIEW.search(raw):
        return "comments"
    if ("hidden" not in raw and "role" not in raw and "none" not in raw) or name in _NEVER_HIDDEN:
        return None
    given = attributes(raw)
    style = given.get("style", "").replace(" ", "").lower()
    if not shows_hidden and (
        "hidden" in given
        or "display:none" in style
        or "visibility:hidden" in style
        or given.get("aria-hidden", "").strip().lower() == "true"
    ):
        return "hidden"
    return _REASONS_BY_ROLE.get(given.get("role", "").strip().lower()) if whole_page else None
