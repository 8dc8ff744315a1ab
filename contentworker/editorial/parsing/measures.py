"""What blocks, containers and the page show, counted in one pass up and one down the tree.

The work is linear in the blocks and containers, and nothing in it recurses.
"""

# ruff: noqa: RUF001 -- the punctuation of other scripts is counted

from collections import Counter
from functools import lru_cache
from math import log1p

from contentworker.editorial.parsing.blocks import Block
from contentworker.editorial.parsing.tree import HINTS, OTHER_BITS, Tree

__all__ = ["ENDS", "WITHIN", "BlockMeasures", "ContainerMeasures", "Kind", "bits"]

_MARKS = ".,;:!?…、。，！？؟۔।"
_ASCII_MARKS = ".,;:!?"
ENDS = tuple('.!?…。！？؟۔।:”"»)')
WITHIN = (
    "article", "main", "aside", "footer", "header", "form", "ul", "table", "figure", "section", "blockquote",
)  # fmt: skip
_TAG_BITS = {tag: 1 << bit for bit, tag in enumerate(WITHIN)}
_TAG_BITS |= {"ol": _TAG_BITS["ul"], "dl": _TAG_BITS["ul"]}
_SHORTEST_PARAGRAPH = 25
_CHARACTERS_PER_POINT = 100
_MOST_LENGTH_POINTS = 3


@lru_cache(maxsize=10_000)
def bits(mask: int, number: int) -> tuple[float, ...]:
    """The lowest bits of a mask. Pages repeat few masks."""
    return tuple([float(mask >> bit & 1) for bit in range(number)])


Kind = tuple[int, str, int]
"""Where a block stands: the hints of its container, its own tag and hints."""


class BlockMeasures:
    """What each block shows on its own: text, length, linked characters, and the numbers made of them."""

    def __init__(self, blocks: list[Block], tree: Tree) -> None:
        self.texts = [" ".join(block.text.split()) for block in blocks]
        self.chars = [len(text) for text in self.texts]
        self.links = [min(linked, size) for linked, size in zip(tree.block_links, self.chars, strict=True)]
        self.basics = [*map(self._basic, self.texts, self.links)]
        self.kinds: list[Kind] = [
            (tree.masks[node], tag, hint)
            for node, tag, hint in zip(tree.block_nodes, tree.block_tags, tree.block_hints, strict=True)
        ]
        self.chars_of_kind: Counter[Kind] = Counter()
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


class ContainerMeasures:
    """Of each container: what is above it, what is in it, and where it stands to the root."""

    def __init__(self, blocks: list[Block], tree: Tree, of_blocks: BlockMeasures) -> None:
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

    def _sum_up(self, blocks: list[Block], of_blocks: BlockMeasures) -> None:
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

    def prose_of_root(self, of_blocks: BlockMeasures) -> list[bool]:
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
                *bits(self.within[node], len(WITHIN)),
                *bits(tree.masks[node], len(HINTS)), *bits(self.above[node], len(HINTS)),
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
