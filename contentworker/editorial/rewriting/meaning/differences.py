"""Compares two texts as `normalising` reads them, and names every difference that has no allowed reason.

What stands in one text only, in another place, or with another tense, voice or direction needs a reason from
a closed list; there is none for a word that says something else.
"""

from collections.abc import Sequence
from typing import NamedTuple

from contentworker.editorial.rewriting.meaning.additions import Additions
from contentworker.editorial.rewriting.meaning.alignment import Alignment
from contentworker.editorial.rewriting.meaning.bindings import bound_differently, is_scrambled
from contentworker.editorial.rewriting.meaning.clauses import clauses
from contentworker.editorial.rewriting.meaning.constructions import constructions
from contentworker.editorial.rewriting.meaning.equivalents import Equivalents
from contentworker.editorial.rewriting.meaning.modals import modals
from contentworker.editorial.rewriting.meaning.moves import Moves
from contentworker.editorial.rewriting.meaning.normalising import Token
from contentworker.editorial.rewriting.meaning.rewording import RULES, is_reworded
from contentworker.editorial.rewriting.meaning.turning import NUMERIC, said_in_order, turns

__all__ = ["Difference", "differences"]

MOST_TOKENS = 600
"""Longer texts must be the same token by token: aligning them takes the square of their length."""
MOST_TURNS = 3
LONGEST_TURNED = 120
MOST_CANDIDATES = 300
"""How many other readings of a pair are tried, each of which is a comparison."""


class Difference(NamedTuple):
    """What has no allowed reason: the rule, and the words that differ."""

    rule: str
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()


def differences(
    before: Sequence[Token], after: Sequence[Token], lists: Equivalents, *, is_paragraph: bool = False
) -> list[Difference]:
    """Every difference between the tokens of two texts that has no allowed reason.

    Where there are any, other readings of both texts are tried, such as the active for a passive, and the one
    that leaves the fewest counts. What is left may still be a rewording.
    """
    if max(len(before), len(after)) > MOST_TOKENS:
        same = [token.key for token in before] == [token.key for token in after]
        return [] if same else [Difference("too long", (), (f"more than {MOST_TOKENS} words",))]
    known = {token.gap for token in before}
    scrambled = [token for token in after if token.gap not in known and is_scrambled(token.gap, lists)]
    if scrambled:
        return [Difference("order", (), (f"{' '.join(token.gap)} {token.text}",)) for token in scrambled]
    old, new = first, second = [said_in_order(tokens, lists) for tokens in (before, after)]
    best = _compared(old, new, lists, is_paragraph=is_paragraph)
    for _ in range(MOST_TURNS if max(len(old), len(new)) <= LONGEST_TURNED else 0):
        readings = [
            *((each, new) for each in turns(old, lists)),
            *((old, each) for each in turns(new, lists)),
            *((each, new) for each in constructions(old, new, lists)),
            *((old, each) for each in constructions(new, old, lists)),
            *((each, new) for each in clauses(old, new, lists)),
            *((old, each) for each in clauses(new, old, lists)),
            *((each, new) for each in modals(old, lists)),
            *((old, each) for each in modals(new, lists)),
        ]
        better = None
        for pair in readings[:MOST_CANDIDATES]:
            if best and _size(found := _compared(*pair, lists, is_paragraph=is_paragraph)) < _size(best):
                best, better = found, pair
        if better is None:
            break
        old, new = better
    if is_paragraph or not RULES.issuperset(each.rule for each in best):
        return best
    return [] if is_reworded(first, second, lists) else best


def _size(found: Sequence[Difference]) -> tuple[int, int]:
    """How many differences, then how many words they touch: a text may be turned in several places."""
    return len(found), sum(len(each.gone) + len(each.new) for each in found)


def _compared(
    before: Sequence[Token], after: Sequence[Token], lists: Equivalents, *, is_paragraph: bool
) -> list[Difference]:
    alignment = Alignment(before, after)
    if not alignment.is_complete:
        return [_named(alignment, alignment.gone, alignment.new, lists)]
    found = []
    if alignment.moved and not Moves(alignment, lists, is_paragraph=is_paragraph).have_a_reason():
        words = [
            before[at].text
            for block in alignment.moved
            for at in range(block.before, block.before + block.size)
        ]
        found.append(Difference("order", (), tuple(words)))
    additions = Additions(alignment, lists)
    found += [_named(alignment, gone, new, lists) for gone, new in additions.without_reason()]
    for old, new in alignment.partners.items():
        if bound := bound_differently(before, after, old, new, lists):
            rule, was, now = bound
            found.append(Difference(rule, (was,), (now,)))
    return found


def _named(alignment: Alignment, gone: Sequence[int], new: Sequence[int], lists: Equivalents) -> Difference:
    old, now = [alignment.before[at] for at in gone], [alignment.after[at] for at in new]
    rules = [_rule(token, lists) for token in (*old, *now)]
    rule = next((each for each in rules if each != "words"), "words")
    return Difference(rule, tuple(token.text for token in old), tuple(token.text for token in now))


def _rule(token: Token, lists: Equivalents) -> str:
    for prefix, rule in (("quote:", "quotations"), ("link:", "links")):
        if token.key.startswith(prefix):
            return rule
    if token.key.startswith(NUMERIC):
        return "numbers"
    if token.is_name:
        return "names"
    if token.key in lists.negations:
        return "negations"
    return "modality" if token.key in lists.modals else "words"
