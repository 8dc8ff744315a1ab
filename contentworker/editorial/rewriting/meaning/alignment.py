"""Which tokens of two texts are the same ones: kept in place, or moved."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from contentworker.editorial.rewriting.meaning.normalising import Token

__all__ = ["Alignment", "Block"]

MOST_UNMATCHED = 4_000
"""Pieces of one text times pieces of the other that are compared, since that takes time."""


class Block(NamedTuple):
    """A run of tokens that both texts have: where it begins in each, and how long it is."""

    before: int
    after: int
    size: int


class Alignment:
    """The tokens of two texts, and which of them are the same."""

    def __init__(self, before: Sequence[Token], after: Sequence[Token]) -> None:
        self.before, self.after = before, after
        old, new = ([token.key for token in tokens] for tokens in (before, after))
        matcher = SequenceMatcher(None, old, new, autojunk=False)
        self.kept = [Block(*block) for block in matcher.get_matching_blocks() if block.size]
        """Runs in the same order."""
        self.moved: list[Block] = []
        """Runs in another place."""
        self.gone = self._others(len(before), [(block.before, block.size) for block in self.kept])
        """Places in the original that the answer does not have."""
        self.new = self._others(len(after), [(block.after, block.size) for block in self.kept])
        """Places in the answer that the original does not have."""
        self.is_complete = len(self.gone) * len(self.new) <= MOST_UNMATCHED
        """Whether moved runs were looked for: not where the texts have too little in common."""
        if self.is_complete:
            self._find_moved()
        self.partners = {
            block.before + offset: block.after + offset
            for block in (*self.kept, *self.moved)
            for offset in range(block.size)
        }
        """From places in the original to those of the same tokens in the answer."""
        self.origins = {after: before for before, after in self.partners.items()}
        """The other way round."""

    @staticmethod
    def _others(length: int, runs: Sequence[tuple[int, int]]) -> list[int]:
        known = {at for start, size in runs for at in range(start, start + size)}
        return [at for at in range(length) if at not in known]

    def _find_moved(self) -> None:
        """Take the longest run that both rests have, again and again."""
        while True:
            best = Block(0, 0, 0)
            lengths: dict[tuple[int, int], int] = {}
            for old in self.gone:
                for new in self.new:
                    if self.before[old].key == self.after[new].key:
                        size = lengths.get((old - 1, new - 1), 0) + 1
                        lengths[old, new] = size
                        if size > best.size:
                            best = Block(old - size + 1, new - size + 1, size)
            if not best.size:
                return
            self.moved.append(best)
            self.gone = [at for at in self.gone if not best.before <= at < best.before + best.size]
            self.new = [at for at in self.new if not best.after <= at < best.after + best.size]

    def pairs_of_rests(self) -> list[tuple[list[int], list[int]]]:
        """What is gone and what is new, together where they stand after the same token."""
        places: dict[int, tuple[list[int], list[int]]] = {}
        for at in self.gone:
            anchor = next(
                (self.partners[each] + 1 for each in range(at - 1, -1, -1) if each in self.partners), 0
            )
            places.setdefault(anchor, ([], []))[0].append(at)
        for at in self.new:
            anchor = next((each + 1 for each in range(at - 1, -1, -1) if each in self.origins), 0)
            places.setdefault(anchor, ([], []))[1].append(at)
        return list(places.values())
