"""Who or what a clause is about: named again, taken up by a pronoun, or left out."""

from collections.abc import Sequence

from contentworker.editorial.rewriting.meaning.alignment import Alignment
from contentworker.editorial.rewriting.meaning.equivalents import Equivalents
from contentworker.editorial.rewriting.meaning.normalising import Token
from contentworker.editorial.rewriting.meaning.turning import (
    BE,
    MARKS,
    RELATIVE,
    begins_clause,
    begins_sentence,
)

__all__ = ["SUBJECTS", "Subjects"]

SUBJECTS = frozenset({"it", "they", "he", "she", "this"})
_OWNERS = frozenset({"its", "their", "his", "her"})
_LONGEST_RESUMED = 3


class Subjects:
    """The subjects of two aligned texts."""

    def __init__(self, alignment: Alignment, lists: Equivalents) -> None:
        self.alignment, self.lists = alignment, lists
        self.before, self.after = alignment.before, alignment.after

    def is_repeated(  # noqa: PLR0911 (one reason each)
        self, places: Sequence[int], tokens: Sequence[Token]
    ) -> bool:
        """A pronoun, or words that the sentence before has, at the beginning of a clause."""
        start = places[0]
        while start and tokens[start - 1].key in self.lists.movable and not begins_clause(tokens, start):
            start -= 1
        keys = [tokens[at].key for at in places]
        if not start:
            # Said here and again where the next sentence begins.
            again = next((at for at in range(1, len(tokens)) if begins_sentence(tokens, at)), 0)
            return bool(again) and keys == [token.key for token in tokens[again : again + len(keys)]]
        is_pronoun = keys[0] in SUBJECTS
        if not begins_clause(tokens, start):
            # "While walking" and "while she was walking".
            follows = places[-1] + 1
            return (
                len(keys) == 1
                and is_pronoun
                and tokens[start - 1].key in self.lists.adjuncts
                and follows < len(tokens)
                and bool(BE.intersection(tokens[follows].gap))
            )
        begin = start - 1
        while begin and not begins_sentence(tokens, begin):
            begin -= 1
        known = [token.key for token in tokens[begin:start]]
        if is_pronoun:
            if keys[0] in ("he", "she", "they") and self._is_one_of_two(tokens, begin, start):
                return False
            if tokens is self.before and self._is_about_the_last(places[-1] + 1, start):
                return False
            return all(key in known for key in keys[1:]) and len(keys) <= _LONGEST_RESUMED
        if MARKS.isdisjoint(tokens[start].gap):
            return False
        # Said last before, it takes the place of "which": "and" would make another one the subject.
        return keys == known[: len(keys)] or (
            keys == known[len(known) - len(keys) :]
            and bool(RELATIVE & set(self.gap_beside(places[-1] + 1, tokens)))
        )

    def gap_beside(self, place: int, tokens: Sequence[Token]) -> tuple[str, ...]:
        """What stands before the same token in the other text."""
        is_before = tokens is self.before
        partner = (self.alignment.partners if is_before else self.alignment.origins).get(place)
        return () if partner is None else (self.after if is_before else self.before)[partner].gap

    def _is_about_the_last(self, place: int, start: int) -> bool:
        """Whether "which" follows the last word of the sentence before: the pronoun may mean another."""
        partner = self.alignment.partners.get(place, 0)
        is_relative = bool(RELATIVE.intersection(self.gap_beside(place, self.before)))
        return is_relative and self.alignment.origins.get(partner - 1) == start - 1

    def _is_one_of_two(self, tokens: Sequence[Token], begin: int, start: int) -> bool:
        """Whether two are named before, and the other text merges the sentences without the pronoun."""
        names = sum(
            token.is_name and not (at and tokens[at - 1].is_name)
            for at, token in enumerate(tokens[begin:start], begin)
        )
        others = self.after if tokens is self.before else self.before
        return names > 1 and sum("." in each.gap for each in others) < sum("." in each.gap for each in tokens)

    def is_pronoun_for(self, gone: Sequence[int], new: Sequence[int]) -> bool:
        """A pronoun for the subject that the sentence before has, or the other way round."""
        for (places, tokens), (others, other_tokens) in (
            ((gone, self.before), (new, self.after)),
            ((new, self.after), (gone, self.before)),
        ):
            if len(places) != 1 or not others or tokens[places[0]].key not in SUBJECTS:
                continue
            if self._is_named_before(others, other_tokens):
                return True
            if not (begins_clause(tokens, places[0]) and begins_clause(other_tokens, others[0])):
                continue
            if self.is_repeated(others, other_tokens) or self._is_part_of_subject(others, other_tokens):
                return True
        return False

    def is_owner(self, gone: Sequence[int], new: Sequence[int]) -> bool:
        """As in "its valve" for "the pump's valve", after "the pump"."""
        for (places, tokens), (others, named) in (
            ((gone, self.before), (new, self.after)),
            ((new, self.after), (gone, self.before)),
        ):
            if len(places) == 1 and others and tokens[places[0]].key in _OWNERS:
                owned = others[-1] + 1
                is_owner = owned < len(named) and "'s" in named[owned].gap
                if is_owner and self._is_named_before(others, named):
                    return True
        return False

    def _is_named_before(self, places: Sequence[int], tokens: Sequence[Token]) -> bool:
        """Words that the text has before, for which a pronoun stands, if it names no second one."""
        keys = [token.key for token in tokens[: places[0]]]
        size = len(places)
        if size > _LONGEST_RESUMED or [tokens[at].key for at in places] not in (
            keys[at : at + size] for at in range(len(keys))
        ):
            return False
        names = {
            at
            for at, token in enumerate(tokens[: places[0]])
            if token.is_name and not (at and tokens[at - 1].is_name)
        }
        return len(names) < 2  # noqa: PLR2004

    def _is_part_of_subject(self, places: Sequence[int], tokens: Sequence[Token]) -> bool:
        """A part of the name that the sentence before begins with."""
        begin = next((at for at in range(places[0] - 1, -1, -1) if begins_sentence(tokens, at)), 0)
        known = {token.key for token in tokens[begin : begin + 4] if token.is_name}
        return places[0] > 0 and all(tokens[at].key in known for at in places)
