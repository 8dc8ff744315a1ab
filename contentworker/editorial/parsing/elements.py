"""The elements of HTML by what the reader does with them, and how it finds tags."""

import re

from contentworker.editorial.parsing.blocks import BlockKind, Reason

__all__ = [
    "ACTED_ON",
    "ACTED_ON_WHILE_SKIPPING",
    "ASCII_LETTERS",
    "BLOCKS",
    "COMMENT_MARKS",
    "EMPTY_LINES",
    "ENDED_BY_THE_NEXT",
    "ENDS_HEADING",
    "HEADINGS",
    "INVISIBLE",
    "KINDS",
    "NO_TAG",
    "PASSED_OVER",
    "RAW_TEXT",
    "RAW_TEXT_ENDS",
    "SKIPPED",
    "STACKED",
    "TAG",
    "TAG_WITHOUT_QUOTES",
    "WITHOUT_CONTENT",
]

TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+)>""")
# After one tag that never closes, quotes are no longer trusted: trying again at each tag would be quadratic.
TAG_WITHOUT_QUOTES = re.compile(r"<(/?)([a-zA-Z][^\s/>]*+)([^>]*+)>")

RAW_TEXT = frozenset({"script", "style", "textarea", "title", "xmp", "noembed", "noframes", "iframe"})
# Never text of an article, and never looked into: containers, by the reason why they are left out.
SKIPPED: dict[str, Reason] = {
    "nav": "navigation", "menu": "navigation", "pre": "code", "button": "control", "select": "control",
    "dialog": "control", "noscript": "embedded", "template": "embedded", "svg": "embedded",
    "object": "embedded", "ac:parameter": "markup", "ac:plain-text-body": "code",
}  # fmt: skip
_CONTAINERS = frozenset(
    {"main", "article", "section", "div", "header", "footer", "aside", "blockquote", "form", "ul", "ol", "dl",
     "table", "figure", "details"}
)  # fmt: skip
BLOCKS = _CONTAINERS | SKIPPED.keys() | frozenset(
    {"p", "li", "dt", "dd", "tr", "td", "th", "caption", "figcaption", "thead", "tbody", "tfoot", "summary",
     "address", "hr", "center", "fieldset", "legend", "option", "optgroup", "head", "body", "search",
     "hgroup"}
)  # fmt: skip
STACKED = _CONTAINERS | SKIPPED.keys()
ACTED_ON_WHILE_SKIPPING = STACKED | RAW_TEXT
# To skip a menu quickly: whatever cannot end it, which is text, comments, tags without effect, and containers
# with nothing else inside. Tags in capitals are rare; the reader takes them one by one.
_REST_OF_TAG = r"""(?=[\s/>])(?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+>"""
_INERT = (
    rf"[^<]++|<(?![a-zA-Z!?/])|<!(?=--)(?:[^-]++|-(?!->))*+-->|</?(?!(?:{'|'.join(sorted(ACTED_ON_WHILE_SKIPPING))})[\s/>])"
    rf"[a-z][a-z0-9-]*+{_REST_OF_TAG}"
)
_INERT_CONTAINER = rf"<({'|'.join(sorted(STACKED - {'main'}))}){_REST_OF_TAG}(?:{_INERT})*+</\1>"
PASSED_OVER = re.compile(rf"(?:{_INERT}|{_INERT_CONTAINER})*+")
RAW_TEXT_ENDS = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in RAW_TEXT}
HEADINGS = {f"h{level}": level for level in range(1, 7)}
ACTED_ON = BLOCKS | RAW_TEXT | HEADINGS.keys() | {"br", "a", "meta", "link", "time", "html"}
WITHOUT_CONTENT = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
     "wbr"}
)  # fmt: skip
ENDED_BY_THE_NEXT = frozenset({"p", "li", "dt", "dd", "tr", "td", "th", "option"})
ASCII_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
INVISIBLE = " \t\r\n\f\u00a0\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
COMMENT_MARKS = frozenset("!?/")
KINDS: dict[str, BlockKind] = {"li": "item", "dt": "item", "dd": "item", "td": "cell", "th": "cell"}
NO_TAG = ("", 0)
ENDS_HEADING = frozenset({"p", "ul", "ol", "dl", "table", "section", "article", "main", "blockquote"})
EMPTY_LINES = re.compile(r"\n[ \t\r]*\n\s*")
