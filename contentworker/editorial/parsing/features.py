"""What tells a block of the article from the rest of its page, as numbers that need no language.

The work is linear in the blocks and containers: `measures` counts what the rows are made of.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from math import log1p
from typing import NamedTuple

from contentworker.editorial.parsing.blocks import Block
from contentworker.editorial.parsing.measures import (
    ENDS,
    WITHIN,
    BlockMeasures,
    ContainerMeasures,
    Kind,
    bits,
)
from contentworker.editorial.parsing.tree import HINTS, Tree

__all__ = ["ENDS", "FEATURES", "NEIGHBOUR_FEATURES", "block_features", "neighbour_features", "title_place"]

_TAGS = ("p", "li", "td", "figcaption", "dt", "h1", "h2", "h3", "h4")
_SMALLEST_TITLE_SHARE = 0.5
_SHORT_TITLE_WORDS = 2
_LOWEST_TITLE_LEVEL = 2
_LONGEST_TITLE = 150
_WORD = re.compile(r"\w+")
_WINDOW = 4
"""Blocks on each side that make the surroundings of one."""
_LONG_BLOCK = 60
_FARTHEST_BLOCKS = 20.0
_FADING = 0.9
"""Factor for each block of distance: how much of an earlier block's certainty remains."""

_OF_A_BLOCK = ("chars", "links", "marks", "ends", "words")
FEATURES: tuple[str, ...] = (
    *_OF_A_BLOCK,
    *(f"tag {tag}" for tag in _TAGS),
    "no tag",
    *(f"{name} before" for name in (*_OF_A_BLOCK, "heading")),
    *(f"{name} after" for name in (*_OF_A_BLOCK, "heading")),
    *(f"{name} 2 before" for name in ("chars", "links")),
    *(f"{name} 2 after" for name in ("chars", "links")),
    *(f"within {tag}" for tag in WITHIN),
    *(f"own {name}" for name in HINTS),
    *(f"container {name}" for name in HINTS),
    *(f"above {name}" for name in HINTS),
    "container chars", "container links", "container blocks", "container share",
    "parent chars", "parent links", "parent blocks", "parent share",
    "depth", "place", "chars place", "repeats", "in title", "is title", "after title",
    "page chars", "page links", "page articles", "own article share",
    "in root", "steps to root", "steps below root", "root share", "score share",
    "place in root", "before root", "after root",
    "chars of kind", "window chars", "window links", "container mean", "parent mean",
)  # fmt: skip
"""Features of a block, of its containers and of the page. The root is the container with most prose in
paragraphs, as in Arc90's Readability."""
NEIGHBOUR_FEATURES: tuple[str, ...] = (
    "p", "p before", "p after", "p 2 before", "p 2 after", "p window", "p container", "p parent", "p root",
    "p max before", "p max after", "share before", "share after", "p kind", "gap before", "gap after",
)  # fmt: skip
"""Features of the second stage: p is the probability that the first stage gave each block."""
# Where the parts of `ContainerMeasures.row` begin: the order of FEATURES but for the first and the last.
_HINTED = len(WITHIN)
_SIZED = _HINTED + 2 * len(HINTS)
_DEPTH = _SIZED + 8
_ROOTED = _DEPTH + 1
_MEANS = _ROOTED + 6


_TAG_ROWS = {tag: tuple([float(tag == each) for each in _TAGS] + [0.0]) for tag in _TAGS}
_OTHER_TAG = (0.0,) * (len(_TAGS) + 1)
_TAG_ROWS[""] = (*_OTHER_TAG[:-1], 1.0)


class PageFeatures(NamedTuple):
    """One row of `FEATURES` for each block asked for, and whether each of the page is prose of the root."""

    rows: list[list[float]]
    is_prose_of_root: list[bool]


def block_features(blocks: list[Block], tree: Tree, title: str, places: Sequence[int]) -> PageFeatures:
    """Measure the blocks of a page, and make the rows of those at these places."""
    number = len(blocks)
    of_blocks = BlockMeasures(blocks, tree)
    containers = ContainerMeasures(blocks, tree, of_blocks)
    basics, texts = of_blocks.basics, of_blocks.texts
    page = containers.page
    root_first, root_last = containers.first[containers.root], containers.last[containers.root]
    root_blocks = max(1, root_last - root_first)
    title_words = set(title.lower().split())
    titled = title_place(blocks, title)
    seen = Counter(texts)
    of_page = [log1p(page), containers.links[0] / page, float(min(tree.tags.count("article"), 5))]
    nothing = (0.0,) * len(_OF_A_BLOCK)
    around = [nothing, nothing, *basics, nothing, nothing]
    is_heading = [0.0, *(float(block.level > 0) for block in blocks), 0.0]
    size_sums = [*accumulate((basic[0] for basic in basics), initial=0.0)]
    link_sums = [*accumulate((basic[1] for basic in basics), initial=0.0)]
    chars_before = [*accumulate(of_blocks.chars, initial=0)]
    rows = []
    for index in places:
        container = containers.row(tree.block_nodes[index])
        start, end = max(0, index - _WINDOW), min(index + _WINDOW + 1, number)
        rows.append(
            [
                *basics[index],
                *_TAG_ROWS.get(tree.block_tags[index], _OTHER_TAG),
                *around[index + 1], is_heading[index],
                *around[index + 3], is_heading[index + 2],
                *around[index][:2], *around[index + 4][:2],
                *container[:_HINTED],
                *bits(tree.block_hints[index], len(HINTS)),
                *container[_HINTED:_ROOTED],
                index / number, chars_before[index] / page, float(min(seen[texts[index]], 5)),
                _shared(blocks[index], texts[index], title_words),
                float(index == titled), float(titled >= 0 and index > titled) - float(titled < 0),
                *of_page,
                *container[_ROOTED:_MEANS],
                (index - root_first) / root_blocks,
                float(max(0, root_first - index)), float(max(0, index - root_last)),
                log1p(of_blocks.chars_of_kind[of_blocks.kinds[index]]),
                (size_sums[end] - size_sums[start]) / (end - start),
                (link_sums[end] - link_sums[start]) / (end - start),
                *container[_MEANS:],
            ]
        )  # fmt: skip
    return PageFeatures(rows, containers.prose_of_root(of_blocks))


def _shared(block: Block, text: str, title_words: set[str]) -> float:
    """The share of a short block's words that are in the title."""
    if not block.level and len(text) >= _LONGEST_TITLE:
        return 0.0
    words = set(text.lower().split())
    return len(words & title_words) / len(words)


def title_place(blocks: list[Block], title: str) -> int:
    """The block that shows the title of the page: the heading with most of its words; -1 if none does."""
    title_words = set(_WORD.findall(title.lower()))
    best, place = _SMALLEST_TITLE_SHARE, -1
    for index, block in enumerate(blocks):
        if not 0 < block.level <= _LOWEST_TITLE_LEVEL:
            continue
        words = set(_WORD.findall(block.text.lower()))
        if not words:
            continue
        shared = len(words & title_words)
        share = shared / len(words | title_words)
        if len(words) > _SHORT_TITLE_WORDS:
            share = max(share, 0.9 * shared / len(words))
        # Of two that stand in it, the name of the site is mostly the shorter one.
        share += 0.01 * shared
        if share > best:
            best, place = share, index
    return place


def neighbour_features(
    blocks: list[Block], tree: Tree, shares: Sequence[float], places: Sequence[int]
) -> list[list[float]]:
    """One row of `NEIGHBOUR_FEATURES` for each place, given the probability of each block alone."""
    nodes, parents = tree.block_nodes, tree.parents
    sizes = [len(block.text) for block in blocks]
    texts = [share * size for share, size in zip(shares, sizes, strict=True)]
    kinds: list[Kind] = [
        (node and tree.masks[node], tag, hint)
        for node, tag, hint in zip(nodes, tree.block_tags, tree.block_hints, strict=True)
    ]
    of_kind = _means(kinds, texts, sizes)
    of_node = [0.0] * len(parents)
    size_of_node = [0] * len(parents)
    for node, text, size in zip(nodes, texts, sizes, strict=True):
        of_node[node] += text
        size_of_node[node] += size
    for node in range(len(parents) - 1, 0, -1):
        of_node[parents[node]] += of_node[node]
        size_of_node[parents[node]] += size_of_node[node]
    mean = [text / (size or 1) for text, size in zip(of_node, size_of_node, strict=True)]
    total = of_node[0] or 1.0
    before = [*accumulate(texts, initial=0.0)]
    forth = _nearest(shares, sizes)
    back = _nearest(shares[::-1], sizes[::-1])[::-1]
    padded = [0.0, 0.0, *shares, 0.0, 0.0]
    rows = []
    for index in places:
        node = nodes[index]
        around = padded[index : index + 5]
        parent = parents[node]
        rows.append(
            [
                shares[index], around[1], around[3], around[0], around[4], sum(around) / 5,
                mean[node], mean[parent], mean[parents[parent]],
                forth[index][1], back[index][1],
                before[index] / total, 1 - before[index + 1] / total,
                of_kind[kinds[index]],
                forth[index][0], back[index][0],
            ]
        )  # fmt: skip
    return rows


def _means(kinds: list[Kind], texts: list[float], sizes: list[int]) -> dict[Kind, float]:
    text_of: dict[Kind, float] = {}
    size_of: Counter[Kind] = Counter()
    for kind, text, size in zip(kinds, texts, sizes, strict=True):
        text_of[kind] = text_of.get(kind, 0.0) + text
        size_of[kind] += size
    return {kind: text / (size_of[kind] or 1) for kind, text in text_of.items()}


def _nearest(shares: Sequence[float], sizes: Sequence[int]) -> list[tuple[float, float]]:
    """For each block: how far back the last long one of the article is; how sure one before was, fading."""
    found = []
    gap, most = _FARTHEST_BLOCKS, 0.0
    for share, size in zip(shares, sizes, strict=True):
        found.append((gap, most))
        gap = 1.0 if 2 * share > 1 and size > _LONG_BLOCK else min(_FARTHEST_BLOCKS, gap + 1)
        most = max(_FADING * most, share)
    return found
