"""JSON-LD: what the structured data of a page says about its article."""

import json
import re
from collections.abc import Iterator
from typing import Any

from contentworker.editorial.parsing.blocks import Span
from contentworker.editorial.parsing.dates import DateFound, dates_in
from contentworker.editorial.parsing.names import KEYS, decoded, key_of

__all__ = ["Structured", "bare_json", "json_error"]

_JSON_DATE = re.compile(r"\"datePublished\"\s{0,9}:\s{0,9}\"([^\"\n]{8,40})\"")
_JSON_AUTHOR = re.compile(
    r"\"author\"\s{0,9}:\s{0,9}\[?\s{0,9}\{[^{}\[\]]{0,300}?\"name\"\s{0,9}:\s{0,9}\"([^\"\n]{3,80})\""
)
_WRAPPING = re.compile(r"\A\s*(?://\s*)?(?:<!\[CDATA\[|<!--)|(?://\s*)?(?:\]\]>|-->)\s*\Z")


_MOST_AUTHORS = 8


def bare_json(text: str) -> str:
    """The text of a script without what hides it from old browsers."""
    return _WRAPPING.sub("", text).strip().removesuffix(";")


def json_error(error: Exception) -> str:
    """What is wrong with a block, in words."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno} of the block"
    return "nested too deeply" if isinstance(error, RecursionError) else "a number too large to read"


class Structured:
    """What the JSON-LD of a page says about its article: the first node that is one."""

    def __init__(self) -> None:
        self.nodes: list[tuple[int, dict[str, Any], Span]] = []
        self.by_id: dict[str, dict[str, Any]] = {}
        self.authors: list[Span] = []
        self.organisations: set[str] = set()
        self.published: list[Span] = []
        self.modified: list[Span] = []
        self.salvaged: list[DateFound] = []
        self.salvaged_authors: list[Span] = []
        self.headline: Span | None = None
        self.description: Span | None = None
        self.site: Span | None = None

    def add(self, data: Any, script: Span, types: list[str]) -> str | None:
        """Note the nodes of one block; return what is wrong with it."""
        nodes = list(_nodes(data))
        own: list[str] = []
        for node in nodes:
            names = [name for name in _as_list(node.get("@type")) if isinstance(name, str)]
            own += names
            identity = node.get("@id")
            if isinstance(identity, str):
                self.by_id.setdefault(identity, node)
            if any(name.endswith(("Article", "Posting")) for name in names):
                rank = 0
            elif not names or any(name in KEYS["articles"] for name in names):
                rank = 1
            else:
                rank = 2
            if "WebSite" in names and self.site is None:
                self.site = _string(node.get("name"), script)
            self.nodes.append((rank, node, script))
        types += own
        return None if own else "no @type in the block"

    def finish(self) -> None:
        """Take the values of the nodes that are articles, once all blocks are added."""
        for rank, node, script in sorted(self.nodes, key=lambda each: each[0]):
            if rank > 1:
                break
            if not self.authors:
                given = (_as_list(node.get(key)) for key in ("author", "creator", "contributor"))
                self.authors = [
                    Span(text, script.start, script.end)
                    for each in next(filter(None, given), [])[:_MOST_AUTHORS]
                    for text in self._names(each)
                ]
            self.published += filter(None, [_string(node.get("datePublished"), script)])
            self.modified += filter(None, [_string(node.get("dateModified"), script)])
            self.headline = self.headline or _string(node.get("headline"), script)
            self.description = self.description or _string(node.get("description"), script)
            publisher = node.get("publisher")
            for each in _as_list(publisher):
                if isinstance(each, dict) and self.site is None:
                    self.site = _string(self._resolved(each).get("name"), script)

    def salvage(self, script: Span) -> None:
        """Note the dates and authors in a block that is no valid JSON, perhaps for a comma too many."""
        dates = (Span(text, script.start, script.end) for text in _JSON_DATE.findall(script.text))
        self.salvaged += dates_in(("broken JSON-LD", span) for span in dates)
        self.salvaged_authors += [
            Span(text, script.start, script.end) for text in _JSON_AUTHOR.findall(script.text)[:1]
        ]

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        identity = node.get("@id")
        return self.by_id.get(identity, node) if isinstance(identity, str) and "name" not in node else node

    def _names(self, author: Any) -> Iterator[str]:
        if isinstance(author, dict):
            author = self._resolved(author)
            is_organisation = any(
                str(each).endswith("Organization") for each in _as_list(author.get("@type"))
            )
            name = author.get("name")
            author = (name.get("@value") if isinstance(name, dict) else name) or " ".join(
                filter(None, (_text(author.get("givenName")), _text(author.get("familyName"))))
            )
            if is_organisation and isinstance(author, str):
                self.organisations.add(key_of(decoded(author)))
        for each in _as_list(author):
            if isinstance(each, str) and each.strip():
                yield each


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _string(value: Any, place: Span) -> Span | None:
    if isinstance(value, list):
        value = next(iter(value), None)
    if not isinstance(value, str) or not value.strip():
        return None
    return Span(" ".join(decoded(value).split()), place.start, place.end)


def _nodes(data: Any) -> Iterator[dict[str, Any]]:
    """The objects of a block, through lists, @graph and mainEntity, in order."""
    waiting = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += reversed(item)
        elif isinstance(item, dict):
            yield item
            for key in ("mainEntityOfPage", "mainEntity", "@graph"):
                below = item.get(key)
                waiting += (
                    [
                        each
                        for each in reversed(_as_list(below))
                        if isinstance(each, dict | list) and "@type" in each
                    ]
                    if key != "@graph"
                    else reversed(_as_list(below))
                )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
