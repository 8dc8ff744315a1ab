"""Which blocks of a page are its article.

A page of a site holds menus, comments, and other people's headlines beside the article. Each block gets a
probability from features of itself, its neighbours and its containers, by small boosted trees in two stages:
the second knows what the first says about the blocks around. research/parsing trains them. Nothing is thrown
away: what is no article is marked with a reason.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from math import exp
from pathlib import Path
from typing import Any, NamedTuple

from contentworker.editorial import ArticleState, Scope
from contentworker.editorial.parsing.blocks import Block, Extract, Reason
from contentworker.editorial.parsing.choosing import (
    captions,
    choose,
    is_byline,
    is_linked,
    named_captions,
)
from contentworker.editorial.parsing.features import (
    ENDS,
    FEATURES,
    NEIGHBOUR_FEATURES,
    block_features,
    neighbour_features,
    title_place,
)
from contentworker.editorial.parsing.kinds import (
    are_several_posts,
    full_articles,
    is_listing,
    is_notice,
    words_of,
)
from contentworker.editorial.parsing.tree import HINT_BITS, OTHER_BITS, Tree

__all__ = ["MODEL", "Article", "candidates", "find_article", "is_whole_page", "probabilities"]

MODEL = Path(__file__).with_name("article_model.json")
_COMMENTS = re.compile(r"<!--.*?-->", re.DOTALL)
_PAGE_TAG = re.compile(r"<(?:!doctype\s|html|head|body|title|frameset)[\s>]", re.IGNORECASE)
_PAGE_PARTS = re.compile(r"<(main|nav|header|footer)[\s>]", re.IGNORECASE)
_FEWEST_PAGE_PARTS = 2
_LONGEST_LINE = 80
# Some pages put an empty <main> beside the text they render elsewhere; then the mark says nothing.
_SMALLEST_MAIN_SHARE = 1 / 3
_FEWEST_WORDS = 25
"""A page with less prose holds no article: a login, a gallery, a request to enable JavaScript."""
_MOST_LINKED_BLOCKS = 3


class Article(NamedTuple):
    """Why each block is left out (None: it belongs to the article), and what the page holds."""

    reasons: list[Reason | None]
    state: ArticleState
    is_certain: bool


def is_whole_page(source: str) -> bool:
    """Whether HTML is the page of a site: with `html`, `head` or `body`, or with the parts of a page.

    An article in a CMS may have a menu of its sections and a footer; it has no `main` beside them.
    """
    if _PAGE_TAG.search(source):
        return True
    parts = {part.lower() for part in _PAGE_PARTS.findall(source)}
    return len(parts) >= (_FEWEST_PAGE_PARTS if "main" in parts else _FEWEST_PAGE_PARTS + 1)


_Tree = tuple[list[int], list[float], list[int], list[int], list[float]]
"""Of each node: the feature (negative: a leaf), its largest value on the left, left and right, the value."""
_Stage = Callable[[list[float]], float]


def _compiled(base: float, trees: list[_Tree]) -> _Stage:
    """A function from the features of a block to its probability: four times as fast as a walk."""
    sums = "".join(f"    total += {_expression(tree, 0)}\n" for tree in trees)
    code = f"def probability(row):\n    total = {float(base)!r}\n{sums}    return 1 / (1 + exp(-total))\n"
    names: dict[str, Any] = {"exp": exp}
    exec(code, names)  # noqa: S102 (all of it is written here, but for numbers: see _expression)
    stage: _Stage = names["probability"]
    return stage


def _expression(tree: _Tree, node: int) -> str:
    features, thresholds, lefts, rights, values = tree
    if features[node] < 0:
        return repr(float(values[node]))
    left, right = _expression(tree, lefts[node]), _expression(tree, rights[node])
    return f"({left} if row[{int(features[node])}] <= {float(thresholds[node])!r} else {right})"


@cache
def _model() -> tuple[_Stage, _Stage]:
    content: dict[str, Any] = json.loads(MODEL.read_text("ascii"))
    if content["features"] != [*FEATURES, *NEIGHBOUR_FEATURES]:
        raise ValueError(f"{MODEL.name} was trained on other features: train it again (research/parsing)")
    first, second = (_compiled(stage["base"], stage["trees"]) for stage in content["stages"])
    return first, second


def candidates(blocks: list[Block], tree: Tree) -> list[int]:
    """The blocks that may be text of the article: a short link alone is not, and menus are full of them."""
    return [
        index
        for index, block in enumerate(blocks)
        if len(block.text) > _LONGEST_LINE or not is_linked(blocks, tree, index)
    ]


def probabilities(blocks: list[Block], tree: Tree, places: list[int], rows: list[list[float]]) -> list[float]:
    """How probably each block is text of the article, given the rows of the candidates."""
    shares = [0.0] * len(blocks)
    if not places:
        return shares
    first, second = _model()
    for place, row in zip(places, rows, strict=True):
        shares[place] = first(row)
    around = neighbour_features(blocks, tree, shares, places)
    for place, row, more in zip(places, rows, around, strict=True):
        shares[place] = second(row + more)
    return shares


def find_article(extract: Extract, scope: Scope) -> Article:
    """Tell the blocks of the article from the others."""
    blocks, tree = extract.blocks, extract.tree
    if tree is None or scope == "fragment":
        return Article([None] * len(blocks), "article", is_certain=True)
    title = extract.title.text if extract.title else ""
    titled = title_place(blocks, title)
    is_plain = _is_plain(blocks, tree)
    if is_plain:
        kept = _kept_of_plain(blocks, tree)
        is_certain = True
    else:
        places = candidates(blocks, tree)
        features = block_features(blocks, tree, title, places)
        shares = probabilities(blocks, tree, places, features.rows)
        kept, is_certain = choose(blocks, tree, shares, features.is_prose_of_root)
    reasons: list[Reason | None] = [
        None if keep else reason for keep, reason in zip(kept, _reasons(blocks, tree), strict=True)
    ]
    if is_listing(extract, tree, kept, is_titled=titled >= 0):
        return Article([reason or "related" for reason in reasons], "no_article", is_certain=False)
    articles = full_articles(blocks, tree)
    if any(titled in indexes for indexes in articles.values()):
        _keep_titled(extract, tree, articles, titled, reasons)
    if titled >= 0:
        reasons[titled] = None
    chosen = [index for index, reason in enumerate(reasons) if reason is None]
    is_short = is_notice(blocks, tree, chosen, title, is_titled=titled >= 0)
    if is_short or words_of(blocks, chosen) < _FEWEST_WORDS:
        if is_short or not is_plain:
            reasons = [reason or "boilerplate" for reason in reasons]
        return Article(reasons, "no_article", is_certain=False)
    # Under a title of their own several are the parts of one text.
    if titled < 0 and (len(articles) > 1 or are_several_posts(extract, tree, kept)):
        return Article(reasons, "several_articles", is_certain=False)
    return Article(reasons, "article", is_certain)


def _keep_titled(
    extract: Extract, tree: Tree, articles: dict[int, list[int]], titled: int, reasons: list[Reason | None]
) -> None:
    """Of several articles, keep the one with the page's title: its paragraphs, if nothing else of it."""
    blocks = extract.blocks
    for indexes in articles.values():
        if titled not in indexes:
            for index in indexes:
                reasons[index] = reasons[index] or "related"
        elif words_of(blocks, (index for index in indexes if reasons[index] is None)) < _FEWEST_WORDS:
            for index in indexes:
                is_around = tree.tags[tree.block_nodes[index]] == "footer" or is_byline(blocks[index])
                if not (is_around or tree.block_hints[index] & OTHER_BITS or is_linked(blocks, tree, index)):
                    reasons[index] = None


def _is_plain(blocks: list[Block], tree: Tree) -> bool:
    """Whether a page has nothing around its article: no names that hint at it, and hardly a link.

    Programs that export a text as HTML write such pages, and so do tests and people. There is nothing to
    learn from, and nothing to lose.
    """
    if any((mask & OTHER_BITS) and not mask & _ARTICLE_BITS for mask in tree.masks + tree.block_hints):
        return False
    links = sum(1 for index in range(len(blocks)) if is_linked(blocks, tree, index))
    return links <= _MOST_LINKED_BLOCKS and links <= len(blocks) / 2


def _kept_of_plain(blocks: list[Block], tree: Tree) -> list[bool]:
    """What the tags of a plain page mark as its article, if that is a third of its text; else all."""
    marks = [0] * len(tree.parents)
    for node in range(1, len(marks)):
        tag = tree.tags[node]
        marks[node] = _MAIN if tag in ("main", "article") else marks[tree.parents[node]] | _AROUND.get(tag, 0)
        if tag == "blockquote":
            marks[node] &= ~_AROUND["footer"]
        if marks[tree.parents[node]] & _MAIN:
            marks[node] |= _MAIN
    of_blocks = [marks[node] for node in tree.block_nodes]
    total = sum(len(block.text) for block in blocks)
    main = sum(len(block.text) for block, mark in zip(blocks, of_blocks, strict=True) if mark & _MAIN)
    is_marked = bool(main) and main >= total * _SMALLEST_MAIN_SHARE
    kept = []
    for block, mark, is_caption in zip(blocks, of_blocks, captions(blocks, tree), strict=True):
        around = mark & ~_MAIN
        if mark & _MAIN:
            # The title and the first words of an article, but no table of its properties.
            if block.level or block.text.rstrip().endswith(ENDS):
                around &= ~_AROUND["header"]
        elif is_marked:
            around |= block.level != 1
        elif block.level:
            around &= ~_AROUND["header"]
        kept.append(not around and not is_caption)
    return kept


_BY_TAG: dict[str, Reason] = {"aside": "aside", "footer": "footer", "header": "header"}
_BY_HINT: tuple[tuple[str, Reason], ...] = (
    ("comment", "comments"), ("share", "sharing"), ("subscribe", "subscription"), ("advert", "advertising"),
    ("related", "related"), ("menu", "navigation"), ("foot", "footer"), ("side", "aside"), ("meta", "byline"),
)  # fmt: skip
_AROUND = {"aside": 1, "footer": 2, "header": 4}
_MAIN = 8


def _reasons(blocks: list[Block], tree: Tree) -> list[Reason]:
    """What the names nearest to each block call it."""
    of_nodes: list[Reason] = ["boilerplate"] * len(tree.parents)
    for node in range(1, len(of_nodes)):
        above = of_nodes[tree.parents[node]]
        of_nodes[node] = _named(tree.masks[node]) or _BY_TAG.get(tree.tags[node]) or above
    reasons = [
        _named(mask) or of_nodes[node] for mask, node in zip(tree.block_hints, tree.block_nodes, strict=True)
    ]
    is_caption = zip(captions(blocks, tree), named_captions(blocks, tree), strict=True)
    return [
        "caption" if any(is_one) and reason in ("boilerplate", "byline") else reason
        for reason, is_one in zip(reasons, is_caption, strict=True)
    ]


@cache
def _named(mask: int) -> Reason | None:
    return next((reason for name, reason in _BY_HINT if mask & HINT_BITS[name]), None)


_ARTICLE_BITS = HINT_BITS["body"] | HINT_BITS["article"]
