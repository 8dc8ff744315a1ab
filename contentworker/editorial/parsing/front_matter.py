"""Front matter: YAML between `---`, TOML between `+++`, or JSON, as site generators read it; headers of mail.

Of YAML a plain subset: keys of the first level with a value, a folded or literal block, or a list. Each value
has its place, which a parser of the whole language would not give.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from typing import Any

from contentworker.editorial.parsing.blocks import Extract, Skipped, Span

__all__ = ["read_front_matter"]

_YAML = re.compile(
    r"\A\ufeff?\s*?---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*\r?(?:\n|\Z)", re.DOTALL | re.MULTILINE
)
_TOML = re.compile(r"\A\ufeff?\s*?\+\+\+[ \t]*\r?\n(.*?)^\+\+\+[ \t]*\r?(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_JSON = re.compile(r"\A\ufeff?\s*?(\{\r?\n.*?^\})[ \t]*\r?(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_MAIL_LINE = r"[A-Z][A-Za-z-]{1,30}:[ \t][^\n]*\n(?:[ \t]+\S[^\n]*\n)*"
_MAIL = re.compile(rf"\A\ufeff?\s*?((?:{_MAIL_LINE}){{2,100}})(?=\r?\n|\Z)")
_MAIL_KEY = re.compile(r"^([A-Z][A-Za-z-]+):[ \t]*+", re.MULTILINE)
# Keys of mail in English, German, French and Spanish, and ours for them.
_MAIL_KEYS = {
    "from": "author", "von": "author", "de": "author", "subject": "title", "betreff": "title",
    "objet": "title", "asunto": "title",  # codespell:ignore objet
    "date": "date", "sent": "date", "datum": "date", "gesendet": "date",
    "fecha": "date", "to": "", "an": "", "cc": "", "para": "",
}  # fmt: skip
_FEWEST_MAIL_KEYS = 2
_YAML_KEY = re.compile(r"^([A-Za-z_][\w.-]*+)[ \t]*+:(?:[ \t]++([^\n]*))?$", re.MULTILINE)
_TOML_KEY = re.compile(r"^[ \t]*+\"?([A-Za-z_][\w-]*+)\"?[ \t]*+=", re.MULTILINE)
_JSON_KEY = re.compile(r"^[ \t]*+\"([A-Za-z_][\w-]*+)\"[ \t]*+:", re.MULTILINE)
_BLOCK_SCALAR = re.compile(r"[>|][+-]?\d?[+-]?(?:[ \t]+#.*)?\s*\Z")
_LIST_ITEM = re.compile(r"^[ \t]*-[ \t]+(.*)$", re.MULTILINE)
_NAME = re.compile(r"(?:\A|[\s{,])name[ \t]*:[ \t]*([^\n,}]+)")
_MOST_ITEMS = 50


def read_front_matter(source: str, extract: Extract) -> int:
    """Record the values of the front matter in the extract; return where the text begins."""
    for form, read in ((_YAML, _yaml), (_TOML, _toml), (_JSON, _json), (_MAIL, _mail)):
        block = form.match(source)
        if block is None:
            continue
        values = read(source, block.start(1), block.end(1))
        if values is None:
            continue
        extract.has_metadata = form is not _MAIL
        extract.skipped.append(Skipped("metadata", block.start(), block.end()))
        for key, value, start, end in values:
            _record(extract, key.lower(), Span(" ".join(value.split()), start, end))
        return block.end()
    return 0


Values = list[tuple[str, str, int, int]]


def _record(extract: Extract, key: str, span: Span) -> None:
    if not span.text:
        return
    if key == "title":
        extract.title = span
    elif key in ("lang", "language"):
        extract.language = span.text
    else:
        extract.properties.append((key, span))


def _keys(form: re.Pattern[str], source: str, start: int, end: int) -> list[tuple[re.Match[str], int]]:
    """Each key, and where the next one begins."""
    keys = [*form.finditer(source, start, end)]
    return [*zip(keys, [*(key.start() for key in keys[1:]), end], strict=False)]  # there may be none


def _yaml(source: str, start: int, end: int) -> Values:
    values: Values = []
    for key, until in _keys(_YAML_KEY, source, start, end):
        given = (key[2] or "").strip()
        below = source[key.end() : until]
        place = key.start(), key.end() + len(below.rstrip())
        values += [(key[1], value, *place) for value in _yaml_values(given, below)]
    return values


def _yaml_values(given: str, below: str) -> Iterator[str]:
    if _BLOCK_SCALAR.match(given):
        yield below
    elif given.startswith("[") and given.endswith("]"):
        yield from (_unquoted(each) for each in given[1:-1].split(",")[:_MOST_ITEMS])
    elif given.startswith("{"):
        yield from _named(given)
    elif given and not given.startswith("#"):
        # A plain value may go on in indented lines.
        yield _unquoted(given) if given[0] in "\"'" or not below.strip() else f"{given} {below}"
    elif items := _LIST_ITEM.findall(below):
        named = _NAME.findall(below)
        yield from (_unquoted(each) for each in (named or items)[:_MOST_ITEMS])
    else:
        yield from _named(below)


def _named(text: str) -> Iterator[str]:
    """The name in a mapping such as `author: {name: Jane Doe}`."""
    if name := _NAME.search(text):
        yield _unquoted(name[1])


def _unquoted(text: str) -> str:
    text = text.strip()
    if text[:1] in ('"', "'"):
        closing = text.find(text[0], 1)
        return text[1 : closing if closing > 0 else None].strip()
    return text.partition(" #")[0].strip()


def _mail(source: str, start: int, end: int) -> Values | None:
    keys = _keys(_MAIL_KEY, source, start, end)
    if sum(key[1].lower() in _MAIL_KEYS for key, _ in keys) < _FEWEST_MAIL_KEYS:
        return None
    return [
        (name, source[key.end() : until], key.start(), until)
        for key, until in keys
        if (name := _MAIL_KEYS.get(key[1].lower()))
    ]


def _toml(source: str, start: int, end: int) -> Values | None:
    try:
        content = tomllib.loads(source[start:end].replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError):
        return []  # still no prose
    return _places(content, _TOML_KEY, source, start, end)


def _json(source: str, start: int, end: int) -> Values | None:
    try:
        content = json.loads(source[start:end])
    except (ValueError, RecursionError):
        return None
    return _places(content, _JSON_KEY, source, start, end) if isinstance(content, dict) else None


def _places(content: dict[str, Any], form: re.Pattern[str], source: str, start: int, end: int) -> Values:
    values: Values = []
    for key, until in _keys(form, source, start, end):
        place = key.start(), key.end() + len(source[key.end() : until].rstrip())
        values += [(key[1], text, *place) for text in _texts(content.pop(key[1], None))]
    for table in ("params", "extra"):  # Hugo and Zola keep what is the author's own in these
        below = content.get(table)
        if isinstance(below, dict):
            values += [(key, text, start, end) for key, value in below.items() for text in _texts(value)]
    return values


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = value.get("name")
    for each in value[:_MOST_ITEMS] if isinstance(value, list) else [value]:
        text = each.get("name") if isinstance(each, dict) else each
        if isinstance(text, str | date):
            yield str(text)
