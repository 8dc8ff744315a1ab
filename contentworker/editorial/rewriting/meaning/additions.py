"""The reasons for which something may stand in one of two texts only."""

from collections.abc import Iterator, Sequence

from contentworker.editorial.rewriting.meaning.alignment import Alignment
from contentworker.editorial.rewriting.meaning.equivalents import Equivalents
from contentworker.editorial.rewriting.meaning.normalising import Token
from contentworker.editorial.rewriting.meaning.rewording import is_share, letters_shared
from contentworker.editorial.rewriting.meaning.subjects import SUBJECTS, Subjects
from contentworker.editorial.rewriting.meaning.turning import (
    BE,
    MARKS,
    NOUN_ENDINGS,
    NUMERIC,
    PASTS,
    RELATIVE,
    begins_clause,
    begins_sentence,
)
from contentworker.editorial.rewriting.meaning.typos import is_misspelled, is_typo

__all__ = ["Additions"]

_SHORTEST_SHARED = 4
_SHARED_SHARE = 0.6
_NEAR = 4


class Additions:
    """What stands in one of two texts only."""

    def __init__(self, alignment: Alignment, lists: Equivalents) -> None:
        self.alignment, self.lists = alignment, lists
        self.before, self.after = alignment.before, alignment.after
        self.subjects = Subjects(alignment, lists)

    def without_reason(self) -> Iterator[tuple[list[int], list[int]]]:
        """Places in the original that are gone, with the new ones in the answer that stand there instead."""
        left = [each for each in self.alignment.pairs_of_rests() if not self._is_allowed(*each)]
        for gone, new in left:
            if not any(self._is_connective_elsewhere(gone, new, *other) for other in left):
                yield gone, new

    def _is_allowed(self, gone: Sequence[int], new: Sequence[int]) -> bool:
        old, now = [self.before[at] for at in gone], [self.after[at] for at in new]
        return (
            (_joined(old) == _joined(now) and not self._is_phrase_cut(gone, new))
            or (len(old) == len(now) and all(map(self._is_exchange, old, now)))
            or self._is_phrase_for_word(old, now)
            or self._is_phrase_for_word(now, old)
            or (not now and all(token.key in self.lists.droppable for token in old))
            or (not now and self._may_go(gone, self.before, self.after))
            or (not old and self._may_go(new, self.after, self.before))
            or self._is_verb_for_noun(old, now)
            or self._is_verb_for_noun(now, old)
            or self.subjects.is_pronoun_for(gone, new)
            or self.subjects.is_owner(gone, new)
        )

    def _is_phrase_cut(self, gone: Sequence[int], new: Sequence[int]) -> bool:
        """As in "put the vote" for "put off the vote": the word begins a phrase whose rest is not said.

        It is said where it follows in the other text, as in "closed to repair it" and "closed in order to".
        """
        if len(gone) != 1 or len(new) != 1:
            return False
        old, now = (tokens[at + 1 :] for tokens, (at,) in ((self.before, gone), (self.after, new)))
        return not old or not now or old[0].gap == now[0].gap

    def _is_phrase_for_word(self, phrase: Sequence[Token], word: Sequence[Token]) -> bool:
        """As in "broke down" for "malfunctioned"."""
        if len(phrase) != 2 or len(word) != 1 or phrase[1].gap or any(token.is_name for token in phrase):  # noqa: PLR2004
            return False
        is_same = self.lists.may_stand_for(f"{phrase[0].key}_{phrase[1].key}", word[0].key)
        return is_same and not _differ_in_tense(phrase[0], word[0])

    def _is_connective_elsewhere(
        self, gone: Sequence[int], new: Sequence[int], others: Sequence[int], other_new: Sequence[int]
    ) -> bool:
        """As in "…, so he had to" and "… . He therefore had to"."""
        old, now = (gone, other_new) if gone else (others, new)
        if len(old) != 1 or len(now) != 1 or len(gone) + len(new) != 1 or len(others) + len(other_new) != 1:
            return False
        keys = {self.before[old[0]].key, self.after[now[0]].key}
        if "because" in keys and keys & {"so", "therefore"}:
            # "Because A, B" and "A, so B": the order of A and B is the same.
            first, tokens, then, others_ = (
                (old[0], self.before, now[0], self.after)
                if self.before[old[0]].key == "because"
                else (now[0], self.after, old[0], self.before)
            )
            return begins_sentence(tokens, first) and begins_clause(others_, then) and then > 0
        return len(keys) == 2 and self.lists.may_stand_for(*keys) and keys <= self.lists.movable  # noqa: PLR2004

    def _is_exchange(self, old: Token, new: Token) -> bool:
        if self.lists.may_stand_for(old.key, new.key):
            return not _differ_in_tense(old, new)
        return self.lists.is_english and is_typo(old, new, self.lists)

    def _says_nothing(self, place: int, tokens: Sequence[Token]) -> bool:
        """Whether "it" only stands for what follows: "it is hard to tell"; or "you" for anyone: "you can"."""
        follows = tokens[place + 1 : place + 6]
        if not follows:
            return False
        if tokens[place].key == "you":
            return follows[0].key in self.lists.modals
        is_clause = any({"to", "that"}.intersection(token.gap) for token in follows[1:])
        return tokens[place].key == "it" and bool(BE.intersection(follows[0].gap)) and is_clause

    def _may_go(self, places: Sequence[int], tokens: Sequence[Token], others: Sequence[Token]) -> bool:
        """A conjunction for which the other text has another one, or a subject that is said again."""
        if any(is_share(tokens, at) for at in places):
            return False
        if len(places) == 1 and self._may_one_go(places[0], tokens, others):
            return True
        if [tokens[at].key for at in places[:-1]] == ["because"] and tokens[places[-1]].key in SUBJECTS:
            # "Because he was tired" and "being tired".
            return any("being" in token.gap for token in others)
        return (
            self._is_redundant(places, tokens)
            or self.subjects.is_repeated(places, tokens)
            or self._is_said_twice(places, tokens)
        )

    def _may_one_go(  # noqa: PLR0911 (one reason each)
        self, at: int, tokens: Sequence[Token], others: Sequence[Token]
    ) -> bool:
        key = tokens[at].key
        if key in SUBJECTS and at and tokens[at - 1].key in self.lists.adjuncts and at + 1 < len(tokens):
            # "After he had eaten" and "after eating".
            verb = tokens[at + 1]
            if any(token.key == verb.key and token.form == "ing" for token in others):
                return True
        if key == "speak" and tokens[at].form == "ing" and begins_sentence(tokens, at):
            return True  # "speaking after the match, she said"
        if key == "period" and any(each.key.startswith("unit:") for each in tokens):
            return True  # "a notice period of two months"
        if begins_clause(tokens, at) and self._says_nothing(at, tokens):
            return True
        if key in self.lists.dimensions and at and tokens[at - 1].key.startswith("unit:"):
            return True  # "with a height of 30 m", "30 m high"
        if key == "known_as" and at + 1 < len(tokens) and tokens[at + 1].is_name:
            return True
        if key in SUBJECTS and self._is_turned_relative(at, tokens):
            return True
        paired = {"both": "and", "either": "or"}.get(key)
        if paired and any(paired in (token.key, *token.gap) for token in tokens[at + 1 : at + 6]):
            return True
        added = {word for token in others for word in token.gap} - {
            word for token in tokens for word in token.gap
        }
        return (
            is_misspelled(tokens[at], added, self.lists)
            or (key in self.lists.concessive and bool(added & self.lists.concessive))
            or any(self.lists.may_stand_for(key, self.lists.key(word)) for word in added)
        )

    def _is_turned_relative(self, at: int, tokens: Sequence[Token]) -> bool:
        """As in "the rules, which it called odd" and "by the union, which called them odd"."""
        places = range(max(0, at - 1), min(len(tokens), at + 2))
        others = self.alignment.partners if tokens is self.before else self.alignment.origins
        other = self.after if tokens is self.before else self.before
        verbs = [
            place
            for place in places
            if tokens[place].form in PASTS or tokens[place].form == "s" or tokens[place].key == "known_as"
        ]
        return any(
            place in others
            and RELATIVE.intersection(tokens[place].gap + tokens[max(0, place - 1)].gap)
            and RELATIVE.intersection(other[others[place]].gap + other[max(0, others[place] - 1)].gap)
            for place in verbs
        )

    def _is_redundant(self, places: Sequence[int], tokens: Sequence[Token]) -> bool:
        """A word beside another one that says the same: "small, tiny"."""
        if len(places) != 1:
            return False
        key = tokens[places[0]].key
        around = range(max(0, places[0] - _NEAR), min(len(tokens), places[0] + _NEAR + 1))
        if any(
            frozenset((key, tokens[at].key)) in self.lists.redundant for at in around if tokens[at].key != key
        ):
            return True
        if key in self.lists.limiting:
            return False  # "the firm tried to": the lists have "try" and "company" as synonyms of "venture"
        near = range(max(0, places[0] - 2), min(len(tokens), places[0] + 3))
        return any(self.lists.may_stand_for(key, tokens[at].key) for at in near if at not in places)

    def _is_said_twice(self, places: Sequence[int], tokens: Sequence[Token]) -> bool:
        """A word next to itself, or on both sides of "and": "the north wing and the south wing"."""
        at = places[0]
        token = tokens[at]
        if len(places) != 1 or token.key.startswith(NUMERIC) or token.key in self.lists.negations:
            return False
        if at and tokens[at - 1].key in self.lists.modals:
            # "Faster than he can swim" and "faster than he can".
            return any(each.key == token.key for each in tokens[:at])
        again = at + 1
        if again < len(tokens) and tokens[again].key == token.key and begins_sentence(tokens, again):
            # "To a brewer, who turned it into" and "to a brewer. The brewer turned it into".
            return bool(RELATIVE & set(self.subjects.gap_beside(again + 1, tokens)))
        for one, other in ((at - 1, at), (at, at + 1)):
            if one >= 0 and other < len(tokens) and tokens[one].key == tokens[other].key:
                return MARKS.isdisjoint(tokens[other].gap)
        if any(
            RELATIVE & set(self.subjects.gap_beside(beside, tokens)) for beside in range(max(0, at - 3), at)
        ):
            # "A cover. You can wash the cover" and "a cover that you can wash".
            return any(each.key == token.key for each in tokens[max(0, at - 6) : at])
        return any(
            other != at
            and tokens[other].key == token.key
            and any("and" in each.gap for each in tokens[min(at, other) + 1 : max(at, other) + 1])
            for other in range(max(0, at - 4), min(len(tokens), at + 5))
        )

    def _is_verb_for_noun(self, nominal: Sequence[Token], verbal: Sequence[Token]) -> bool:
        """As in "Made an adjustment" for "adjusted": the verb that goes says nothing, and the stem stays."""
        if len(verbal) != 1 or len(nominal) not in (1, 2) or not self.lists.is_english:
            return False
        *light, noun = nominal
        (verb,) = verbal
        if any(":" in token.key or token.is_name for token in (*nominal, verb)):
            return False
        if light:
            if (
                "to" in noun.gap
                or light[0].key not in self.lists.light
                or (light[0].form in PASTS) != (verb.form in PASTS)
            ):
                return False
        elif (
            verb.form not in ("ing", "")
            and noun.form not in ("noun", "ed", "pa", "?")
            and "'s" not in noun.gap
        ):
            return False
        shared = max(letters_shared(noun.key, verb.key), letters_shared(noun.text.lower(), verb.text.lower()))
        return noun.text.lower().endswith(NOUN_ENDINGS) and shared >= max(
            _SHORTEST_SHARED, _SHARED_SHARE * len(verb.key)
        )


def _joined(tokens: Sequence[Token]) -> str:
    return "".join(token.text.lower() for token in tokens)


def _differ_in_tense(old: Token, new: Token) -> bool:
    """Whether one is a present and the other a past: "builds", "constructed"."""
    return any(one.form == "s" and other.form in PASTS for one, other in ((old, new), (new, old)))
