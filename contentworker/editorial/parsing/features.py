"""What tells a block of the article from the rest of its page, as numbers that need no language.

The work is linear in the blocks and containers: one pass up and one down the tree, and none of them recurses.
"""

# ruff: noqa: RUF001 -- the punctuation of other scripts is counted

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from math import log1p
from typing import NamedTuple

from contentworker.editorial.parsing.blocks import Block
from contentworker.editorial.parsing.tree import HINTS, OTHER_BITS, Tree

__all__ = ["ENDS", "FEATURES", "NEIGHBOUR_FEATURES", "block_features", "neighbour_features", "title_place"]

_MARKS = ".,;:!?…、。，！？؟۔।"
_ASCII_MARKS = ".,;:!?"
ENDS = tuple('.!?…。！？؟۔।:”"»)')
_TAGS = ("p", "li", "td", "figcaption", "dt", "h1", "h2", "h3", "h4")
_WITHIN = (
    "article", "main", "aside", "footer", "header", "form", "ul", "table", "figure", "section", "blockquote",
)  # fmt: skip
_TAG_BITS = {tag: 1 << bit for bit, tag in enumerate(_WITHIN)}
_TAG_BITS |= {"ol": _TAG_BITS["ul"], "dl": _TAG_BITS["ul"]}
_SHORTEST_PARAGRAPH = 25
_CHARACTERS_PER_POINT = 100
_MOST_LENGTH_POINTS = 3
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
    *(f"within {tag}" for tag in _WITHIN),
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
_Kind = tuple[int, str, int]


class _Blocks:
    """What each block shows on its own: text, length, linked characters, and the numbers made of them."""

    def __init__(self, blocks: list[Block], tree: Tree) -> None:
        self.texts = [" ".join(block.text.split()) for block in blocks]
        self.chars = [len(text) for text in self.texts]
        self.links = [min(linked, size) for linked, size in zip(tree.block_links, self.chars, strict=True)]
        self.basics = [*map(self._basic, self.texts, self.links)]
        self.kinds: list[_Kind] = [
            (tree.masks[node], tag, hint)
            for node, tag, hint in zip(tree.block_nodes, tree.block_tags, tree.block_hints, strict=True)
        ]
        self.chars_of_kind: Counter[_Kind] = Counter()
        for kind, size in zip(self.kinds, self.chars, strict=True):
            self.chars_of_kind[kind] += size

    @staticmethod
    def _basic(text: str, links: int) -> tuple[float, ...]:
        size = len(text)
        marks = sum(map(text.count, _ASCII_MARKS if text.isascii() else _MARKS))
        ends = float(text.endswith(ENDS))
        return log1p(size), links / size, 10 * marks / size, ends, log1p(text.count(" ") + 1)

    def points(self, index: int) -> float:
        """How much a block speaks for its container: commas, length, and few links."""
        text, size = self.texts[index], self.chars[index]
        commas = text.count(",") if text.isascii() else sum(map(text.count, ",、，"))
        length = min(size / _CHARACTERS_PER_POINT, _MOST_LENGTH_POINTS)
        return (1 + commas + length) * (1 - self.links[index] / size)


class _Containers:
    """Of each container: what is above it, what is in it, and where it stands to the root."""

    def __init__(self, blocks: list[Block], tree: Tree, of_blocks: _Blocks) -> None:
        self.tree = tree
        size = len(tree.parents)
        self.above = [0] * size
        self.within = [0] * size
        self.depth = [0] * size
        self.article = [0] * size
        for node in range(1, size):
            parent, tag = tree.parents[node], tree.tags[node]
            self.above[node] = self.above[parent] | tree.masks[parent]
            self.within[node] = self.within[parent] | _TAG_BITS.get(tag, 0)
            self.depth[node] = self.depth[parent] + 1
            self.article[node] = node if tag == "article" else self.article[parent]
        self._sum_up(blocks, of_blocks)
        self._find_root()
        self._rows: dict[int, list[float]] = {}

    def _sum_up(self, blocks: list[Block], of_blocks: _Blocks) -> None:
        parents, size, number = self.tree.parents, len(self.tree.parents), len(blocks)
        points = [0.0] * size
        self.chars, self.links, self.count = [0] * size, [0] * size, [0] * size
        self.first, self.last = [number] * size, [-1] * size
        chars, links, count, first, last = self.chars, self.links, self.count, self.first, self.last
        for index, node in enumerate(self.tree.block_nodes):
            chars[node] += of_blocks.chars[index]
            links[node] += of_blocks.links[index]
            count[node] += 1
            if last[node] < 0:
                first[node] = index
            last[node] = index
            if of_blocks.chars[index] >= _SHORTEST_PARAGRAPH and not blocks[index].level:
                gained = of_blocks.points(index)
                parent = parents[node]
                points[node] += gained
                points[parent] += gained / 2
                points[parents[parent]] += gained / 4
        for node in range(size - 1, 0, -1):
            if not count[node]:
                continue
            parent = parents[node]
            chars[parent] += chars[node]
            links[parent] += links[node]
            count[parent] += count[node]
            first[parent] = min(first[parent], first[node])
            last[parent] = max(last[parent], last[node])
        self.page = self.chars[0] or 1
        self.scores = [
            points[node] * (1 - self.links[node] / (self.chars[node] or 1)) for node in range(size)
        ]

    def _find_root(self) -> None:
        parents, size = self.tree.parents, len(self.tree.parents)
        self.root = max(range(size), key=self.scores.__getitem__)
        self.best = self.scores[self.root] or 1.0
        on_path = [False] * size  # the root and what is above it
        node = self.root
        while node:
            on_path[node] = True
            node = parents[node]
        on_path[0] = True
        self.below = [-1] * size  # steps below the root; -1 outside of it
        self.steps = [0] * size  # steps up to the path to the root
        self.below[self.root] = 0
        for node in range(1, size):
            parent = parents[node]
            if node != self.root and self.below[parent] >= 0:
                self.below[node] = self.below[parent] + 1
            self.steps[node] = 0 if on_path[node] else self.steps[parent] + 1

    def prose_of_root(self, of_blocks: _Blocks) -> list[bool]:
        """Whether each block is in the root, hardly a link, and under no name of something else."""
        tree = self.tree
        hints = [0] * len(tree.parents)  # of what is below the root
        for node in range(1, len(hints)):
            hints[node] = hints[tree.parents[node]] | (tree.masks[node] if self.below[node] > 0 else 0)
        return [
            self.below[node] >= 0 and not (hints[node] | own) & OTHER_BITS and 2 * links < chars
            for node, own, links, chars in zip(
                tree.block_nodes, tree.block_hints, of_blocks.links, of_blocks.chars, strict=True
            )
        ]

    def row(self, node: int) -> list[float]:
        """The features that the blocks of a container share, in their order: see `block_features`."""
        row = self._rows.get(node)
        if row is None:
            tree, parent, article = self.tree, self.tree.parents[node], self.article[node]
            row = self._rows[node] = [
                *_bits(self.within[node], len(_WITHIN)),
                *_bits(tree.masks[node], len(HINTS)), *_bits(self.above[node], len(HINTS)),
                *self._size(node), *self._size(parent),
                float(self.depth[node]),
                self.chars[article] / self.page if article else 0.0,
                float(self.below[node] >= 0), float(self.steps[node]), float(self.below[node]),
                self.chars[self.root] / self.page, self.scores[node] / self.best,
                log1p(self.chars[node] / (self.count[node] or 1)),
                log1p(self.chars[parent] / (self.count[parent] or 1)),
            ]  # fmt: skip
        return row

    def _size(self, node: int) -> tuple[float, ...]:
        chars = self.chars[node]
        return log1p(chars), self.links[node] / (chars or 1), log1p(self.count[node]), chars / self.page


# Where the parts of `_Containers.row` begin, which is the order of FEATURES but for the first and the last.
_HINTED = len(_WITHIN)
_SIZED = _HINTED + 2 * len(HINTS)
_DEPTH = _SIZED + 8
_ROOTED = _DEPTH + 1
_MEANS = _ROOTED + 6


@lru_cache(maxsize=10_000)
def _bits(mask: int, number: int) -> tuple[float, ...]:
    """The lowest bits of a mask. Pages repeat few masks."""
    return tuple([float(mask >> bit & 1) for bit in range(number)])


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
    of_blocks = _Blocks(blocks, tree)
    containers = _Containers(blocks, tree, of_blocks)
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
                *_bits(tree.block_hints[index], len(HINTS)),
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
    kinds: list[_Kind] = [
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


def _means(kinds: list[_Kind], texts: list[float], sizes: list[int]) -> dict[_Kind, float]:
    text_of: dict[_Kind, float] = {}
    size_of: Counter[_Kind] = Counter()
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
