"""Where in the page each block stands: its containers, and what their class and id names hint at."""

import re
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["CALLOUT_BIT", "HINTS", "HINT_BITS", "OTHER_BITS", "Tree", "hints"]

# What people call the parts of a page. Bit i of a mask is the i-th of these.
HINTS: dict[str, str] = {
    "comment": r"comment(?!ary)|disqus|repl(?:y|ies)|respond|discuss|kommentar|leserbrief|forum",
    "related": r"relat(?!ive)|recommend|read-?more|(?<![a-z])more-|-more|(?<![a-z])also|similar|teaser"
    r"|popular|trending|(?<![a-z])most-?(?:read|popular|view|shared|recent|comment|watch)"
    r"|outbrain|taboola|recirc|up-?next|suggest|latest|recent|(?<![a-z])mehr|verwandt|carousel"
    r"|listing|collection",
    "share": r"shar(?:e(?!d)|ing)|social|follow|facebook|twitter|whatsapp|addthis|addtoany"
    r"|(?<![a-z])print(?!ed)|e-?mail",
    "menu": r"(?<![a-z])nav|(?:sub|main|top|side|site|foot|head|global)-?nav|menu|crumb"
    r"|pag(?:ination|er)|tool|skip|tabs(?![a-z])|topic|tags?(?![a-z])|categor|jump",
    "foot": r"(?<![a-z])foot(?!ball|age|note)|[a-z]footer|copyright|legal|disclaimer|imprint|impressum"
    r"|colophon|(?<![a-z])bottom",
    "side": r"(?<![a-z])side|[a-z]sidebar|widget|aside|(?<![a-z])rail(?![a-z])|right-?col|left-?col"
    r"|(?<![a-z])secondary",
    "advert": r"(?<![a-z])ads?(?![a-z])|advert|sponsor|banner|promo|commercial|anzeige|affiliate"
    r"|(?<![a-z])shop|product(?!ion)",
    "subscribe": r"cookie|consent|gdpr|newsletter|subscri|sign-?up|log-?in|regist(?:er|ration)|paywall|popup"
    r"|modal|overlay|donat|abo(?![a-z])|alert|notice|(?<![a-z])forms?(?![a-z])",
    "meta": r"by-?line|author|date(?!d)|time(?!s)|meta|publish|posted|credit|bio(?![a-z])|info(?!r)"
    r"|source|kicker|label",
    "caption": r"caption|galler|slide|figure|photo|image|picture|media|video|player|embed|audio|legend",
    "head": r"head|masthead|title|logo|brand|topbar|top-|sub-?title|dek|standfirst|hero",
    "body": r"article-?_*body|articlebody|entry-?_*content|post-?_*content"
    r"|story-?_*(?:body|content|text)|content-?_*body|body-?_*(?:copy|text)|post-?_*body"
    r"|article-?_*(?:content|text)|rich-?text|mw-parser|main-?content|text-?_*body|page-?content"
    r"|blog-?content",
    "article": r"article|story|post|entry|news|blog|artikel|beitrag",
    "content": r"content|main|body|text|page|inhalt|copy",
    "paragraph": r"paragraph|(?<![a-z])p\d*(?![a-z])|lead|intro|summary|abstract|excerpt|quote",
}
HINT_BITS = {name: 1 << bit for bit, name in enumerate(HINTS)}
CALLOUT_BIT = 1 << len(HINTS)
"""A note in the article, or a footnote. No feature: the trees saw none."""
OTHER_BITS = sum(
    HINT_BITS[name] for name in ("comment", "related", "share", "menu", "foot", "side", "advert", "subscribe")
)
"""Hints in the names of what is not the article, such as comments and menus."""
# Patterns that begin with letters are searched twice as fast: the letter comes before what looks back.
_LOOKS_BACK = re.compile(r"(?:\(\?<(!)\[a-z\]\)|(?<!!)\[a-z\])([a-z])")
_EACH = [
    re.compile(_LOOKS_BACK.sub(lambda found: f"{found[2]}(?<{found[1] or '='}[a-z]{found[2]})", words))
    for words in HINTS.values()
]
_NAMES = re.compile(
    r"""(?<![\w-])(?:class|id|role|itemprop|data-(?:component|testid|type|module|name))\s*+=\s*+"""
    r"""(?:"([^"]*+)"|'([^']*+)'|([^\s>]++))""",
    re.IGNORECASE,
)
# "articleSidebar" has two words.
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
# WordPress says on every article in which categories it is, and so it says of no part of a page.
_ABOUT_POST = re.compile(
    r"(?<![\w-])(?:(?:category|tag)-(?!list|link|cloud|menu|nav|item)|format-|status-)[\w-]+"
)
_CALLOUT = re.compile(r"class\s*=\s*[\"']?[^\"'<>]*(?:admonition|callout|markdown-alert|footnote)")
_LONGEST_ATTRIBUTES = 500


def hints(raw: str) -> int:
    """The hints in the names of a tag, given its attributes as written: a mask of bits."""
    return _mask(raw[:_LONGEST_ATTRIBUTES]) if raw else 0


@lru_cache(maxsize=10_000)
def _mask(raw: str) -> int:
    if _CALLOUT.search(raw):
        # A note in the article, though its names may speak of alerts.
        return HINT_BITS["paragraph"] | CALLOUT_BIT
    mask = 0
    for found in _NAMES.findall(raw):
        for name in "".join(found).split():
            mask |= _mask_of_name(name)
    return mask


@lru_cache(maxsize=10_000)
def _mask_of_name(name: str) -> int:
    """The hints in one name. No pattern reaches over a space, and pages repeat their names."""
    words = _ABOUT_POST.sub("", _CAMEL_CASE.sub("-", name).lower())
    return sum([1 << bit for bit, pattern in enumerate(_EACH) if pattern.search(words)]) if words else 0


class Tree:
    """The containers of a page in the order of their start, and the place of each block among them.

    Container 0 is the page. `parents[i] < i` for all others, so that one pass over the lists in either
    order visits parents before children or the reverse.
    """

    __slots__ = (
        "block_hints",
        "block_links",
        "block_nodes",
        "block_tags",
        "in_callout",
        "masks",
        "parents",
        "starts",
        "tags",
    )

    def __init__(self) -> None:
        self.parents = [0]
        self.tags = [""]
        self.masks = [0]
        self.starts = [0]
        self.in_callout = [False]
        self.block_nodes: list[int] = []
        self.block_tags: list[str] = []
        self.block_hints: list[int] = []
        self.block_links: list[int] = []

    def add(self, parent: int, tag: str, mask: int, start: int) -> int:
        """Put a container into another; return its number."""
        self.parents.append(parent)
        self.tags.append(tag)
        self.masks.append(mask)
        self.starts.append(start)
        self.in_callout.append(self.in_callout[parent] or bool(mask & CALLOUT_BIT))
        return len(self.parents) - 1

    def place(self, node: int, tag: str, mask: int, linked: int) -> None:
        """Note where the next block stands: its container, its own tag and hints, its linked characters."""
        self.block_nodes.append(node)
        self.block_tags.append(tag)
        self.block_hints.append(mask)
        self.block_links.append(linked)

    def is_in_callout(self, block: int) -> bool:
        """Whether a block is, or stands in, what its names call a callout or a footnote."""
        return self.in_callout[self.block_nodes[block]] or bool(self.block_hints[block] & CALLOUT_BIT)

    def holding(self, blocks: Iterable[int]) -> set[int]:
        """The containers around these blocks, at any distance."""
        found: set[int] = set()
        for block in blocks:
            node = self.block_nodes[block]
            while node and node not in found:
                found.add(node)
                node = self.parents[node]
        return found
