"""The reasons for which something may stand in one of two texts only."""

from collections.abc import Iterator, Sequence

from contentworker.editorial.aeo.terms import ENGLISH_IDF, stemmer
from contentworker.editorial.parsing.language import STOP_WORDS
from contentworker.editorial.rewriting.meaning.alignment import Alignment
from contentworker.editorial.rewriting.meaning.equivalents import Equivalents
from contentworker.editorial.rewriting.meaning.normalising import Token
from contentworker.editorial.rewriting.meaning.rewording import letters_shared
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

__all__ = ["Additions"]

_SUBJECTS = frozenset({"it", "they", "he", "she", "this"})
_SHORTEST_SHARED = 4
_SHARED_SHARE = 0.6
_LONGEST_RESUMED = 3
_LONGEST_TYPO = 40


class Additions:
    """What stands in one of two texts only."""

    def __init__(self, alignment: Alignment, lists: Equivalents) -> None:
        self.alignment, self.before, self.after, self.lists = (
            alignment,
            alignment.before,
            alignment.after,
            lists,
        )

    def without_reason(self) -> Iterator[tuple[list[int], list[int]]]:
        """Places in the original that are gone, with the new ones in the answer that stand there instead."""
        left = [each for each in self.alignment.pairs_of_rests() if not self._is_allowed(*each)]
        for gone, new in left:
            if not any(self._is_connective_elsewhere(gone, new, *other) for other in left):
                yield gone, new

    def _is_allowed(self, gone: Sequence[int], new: Sequence[int]) -> bool:
        old, now = [self.before[at] for at in gone], [self.after[at] for at in new]
        return (
            _joined(old) == _joined(now)
            or _is_acronym(old, now)
            or _is_acronym(now, old)
            or (not old and self._is_in_full(new, self.after))
            or (not now and self._is_in_full(gone, self.before))
            or (len(old) == len(now) and all(map(self._is_exchange, old, now)))
            or (not now and all(token.key in self.lists.droppable for token in old))
            or (not now and self._may_go(gone, self.before, self.after))
            or (not old and self._may_go(new, self.after, self.before))
            or self._is_verb_for_noun(old, now)
            or self._is_verb_for_noun(now, old)
            or self._is_subject(gone, new)
        )

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
        return frozenset(keys) in self.lists.exchangeable and keys <= self.lists.movable

    def _is_in_full(self, places: Sequence[int], tokens: Sequence[Token]) -> bool:
        """A name in full beside its abbreviation: "the World Health Organization (WHO)"."""
        full = [tokens[at] for at in places]
        if places[-1] + 1 < len(tokens) and _is_acronym(full, [tokens[places[-1] + 1]]):
            return True
        return any(
            _is_acronym(tokens[places[0] - size : places[0]], full)
            for size in range(2, 7)
            if places[0] >= size
        )

    def _is_exchange(self, old: Token, new: Token) -> bool:
        if frozenset({old.key, new.key}) in self.lists.exchangeable:
            return True
        return self.lists.is_english and self._is_typo(old, new)

    def _is_typo(self, old: Token, new: Token) -> bool:
        """A word that English does not have, and one that it has, a letter or two apart."""
        wrong, right = old.text.lower(), new.text.lower()
        if old.is_name or new.is_name or ":" in old.key or ":" in new.key or not wrong.isalpha():
            return False
        if self._is_word(wrong) or not self._is_word(right):
            return False
        return _distance(wrong, right) <= (1 if len(right) < 5 else 2)  # noqa: PLR2004 (its length allows more)

    def _says_nothing(self, place: int, tokens: Sequence[Token]) -> bool:
        """Whether "it" only stands for what follows: "it is hard to tell"; or "you" for anyone: "you can"."""
        follows = tokens[place + 1 : place + 6]
        if not follows:
            return False
        if tokens[place].key == "you":
            return follows[0].key in self.lists.modals
        is_clause = any({"to", "that"}.intersection(token.gap) for token in follows[1:])
        return tokens[place].key == "it" and bool(BE.intersection(follows[0].gap)) and is_clause

    def _is_misspelled(self, token: Token, words: set[str]) -> bool:
        """Whether it is one of these function words with a letter wrong: "teh"."""
        word = token.text.lower()
        if not self.lists.is_english or token.is_name or ":" in token.key or self._is_word(word):
            return False
        return any(_distance(word, each) == 1 for each in words)

    def _is_word(self, word: str) -> bool:
        if word in self.lists.vocabulary or word in STOP_WORDS["en"] or word in self.lists.number_words:
            return True
        stem = stemmer("en")
        return stem(word) in ENGLISH_IDF or stem(word.removesuffix("ly")) in ENGLISH_IDF

    def _may_go(self, places: Sequence[int], tokens: Sequence[Token], others: Sequence[Token]) -> bool:  # noqa: PLR0911 (one reason each)
        """A conjunction for which the other text has another one, or a subject that is said again."""
        if len(places) == 1:
            at = places[0]
            key = tokens[at].key
            if key in _SUBJECTS and at and tokens[at - 1].key in self.lists.adjuncts and at + 1 < len(tokens):
                # "After he had eaten" and "after eating".
                verb = tokens[at + 1]
                if any(token.key == verb.key and token.form == "ing" for token in others):
                    return True
            if begins_clause(tokens, at) and self._says_nothing(at, tokens):
                return True
            paired = {"both": "and", "either": "or"}.get(key)
            if paired and any(paired in (token.key, *token.gap) for token in tokens[at + 1 : at + 6]):
                return True
            added = {word for token in others for word in token.gap} - {
                word for token in tokens for word in token.gap
            }
            if self._is_misspelled(tokens[at], added):
                return True
            if key in self.lists.concessive and added & self.lists.concessive:
                return True
            if any(frozenset({key, self.lists.key(word)}) in self.lists.exchangeable for word in added):
                return True
        return (
            self._is_redundant(places, tokens)
            or self._is_repeated_subject(places, tokens)
            or self._is_said_twice(places, tokens)
        )

    def _is_redundant(self, places: Sequence[int], tokens: Sequence[Token]) -> bool:
        """A word beside another one that says the same: "small, tiny"."""
        if len(places) != 1:
            return False
        key = tokens[places[0]].key
        near = range(max(0, places[0] - 2), min(len(tokens), places[0] + 3))
        return any(
            frozenset({key, tokens[at].key}) in self.lists.exchangeable for at in near if at not in places
        )

    def _is_said_twice(self, places: Sequence[int], tokens: Sequence[Token]) -> bool:
        """A word next to itself, or on both sides of "and": "the north wing and the south wing"."""
        at = places[0]
        token = tokens[at]
        if len(places) != 1 or token.key.startswith(NUMERIC) or token.key in self.lists.negations:
            return False
        if at and tokens[at - 1].key in self.lists.modals:
            # "Faster than he can swim" and "faster than he can".
            return any(each.key == token.key for each in tokens[:at])
        for one, other in ((at - 1, at), (at, at + 1)):
            if one >= 0 and other < len(tokens) and tokens[one].key == tokens[other].key:
                return MARKS.isdisjoint(tokens[other].gap)
        if any(RELATIVE & set(self._gap_beside(beside, tokens)) for beside in range(max(0, at - 3), at)):
            # "A cover. You can wash the cover" and "a cover that you can wash".
            return any(each.key == token.key for each in tokens[max(0, at - 6) : at])
        for other in range(max(0, at - 4), min(len(tokens), at + 5)):
            between = tokens[min(at, other) + 1 : max(at, other) + 1]
            if other != at and tokens[other].key == token.key and any("and" in each.gap for each in between):
                return True
        return False

    def _is_repeated_subject(  # noqa: PLR0911 (one reason each)
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
        is_pronoun = keys[0] in _SUBJECTS
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
            and bool(RELATIVE & set(self._gap_beside(places[-1] + 1, tokens)))
        )

    def _gap_beside(self, place: int, tokens: Sequence[Token]) -> tuple[str, ...]:
        """What stands before the same token in the other text."""
        is_before = tokens is self.before
        partner = (self.alignment.partners if is_before else self.alignment.origins).get(place)
        return () if partner is None else (self.after if is_before else self.before)[partner].gap

    def _is_about_the_last(self, place: int, start: int) -> bool:
        """Whether "which" follows the last word of the sentence before: the pronoun may mean another."""
        partner = self.alignment.partners.get(place, 0)
        is_relative = bool(RELATIVE.intersection(self._gap_beside(place, self.before)))
        return is_relative and self.alignment.origins.get(partner - 1) == start - 1

    def _is_one_of_two(self, tokens: Sequence[Token], begin: int, start: int) -> bool:
        """Whether two are named before, and the other text merges the sentences without the pronoun."""
        names = sum(
            token.is_name and not (at and tokens[at - 1].is_name)
            for at, token in enumerate(tokens[begin:start], begin)
        )
        others = self.after if tokens is self.before else self.before
        return names > 1 and sum("." in each.gap for each in others) < sum("." in each.gap for each in tokens)

    def _is_subject(self, gone: Sequence[int], new: Sequence[int]) -> bool:
        """A pronoun for the subject that the sentence before has, or the other way round."""
        for (places, tokens), (others, other_tokens) in (
            ((gone, self.before), (new, self.after)),
            ((new, self.after), (gone, self.before)),
        ):
            if len(places) != 1 or not others or tokens[places[0]].key not in _SUBJECTS:
                continue
            if self._is_named_before(others, other_tokens):
                return True
            if not (begins_clause(tokens, places[0]) and begins_clause(other_tokens, others[0])):
                continue
            if self._is_repeated_subject(others, other_tokens) or self._is_part_of_subject(
                others, other_tokens
            ):
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

    def _is_verb_for_noun(self, nominal: Sequence[Token], verbal: Sequence[Token]) -> bool:
        """As in "Made an adjustment" for "adjusted": the verb that goes says nothing, and the stem stays."""
        if len(verbal) != 1 or len(nominal) not in (1, 2) or not self.lists.is_english:
            return False
        *light, noun = nominal
        (verb,) = verbal
        if any(":" in token.key or token.is_name for token in (*nominal, verb)):
            return False
        if light:
            if light[0].key not in self.lists.light or (light[0].form in PASTS) != (verb.form in PASTS):
                return False
        elif (
            verb.form not in ("ing", "")
            and noun.form not in ("noun", "ed", "pa", "?")
            and "'s" not in noun.gap
        ):
            return False
        shared = letters_shared(noun.key, verb.key)
        return noun.text.lower().endswith(NOUN_ENDINGS) and shared >= max(
            _SHORTEST_SHARED, _SHARED_SHARE * len(verb.key)
        )


def _joined(tokens: Sequence[Token]) -> str:
    return "".join(token.text.lower() for token in tokens)


def _is_acronym(full: Sequence[Token], short: Sequence[Token]) -> bool:
    if len(short) != 1 or len(full) < 2 or not short[0].text.isupper():  # noqa: PLR2004
        return False
    names = "".join(token.text[0] for token in full if token.is_name)
    words = "".join(token.text[0].upper() for token in full)
    return short[0].text in (names, words)


def _distance(one: str, other: str) -> int:
    """Letters to change, leave out, put in or exchange with their neighbour."""
    if abs(len(one) - len(other)) > 2 or len(one) > _LONGEST_TYPO:  # noqa: PLR2004 (more than is allowed)
        return _LONGEST_TYPO
    rows = [list(range(len(other) + 1))]
    for at, letter in enumerate(one, 1):
        row = [at]
        for there, wanted in enumerate(other, 1):
            cost = min(rows[-1][there] + 1, row[-1] + 1, rows[-1][there - 1] + (letter != wanted))
            if at > 1 and there > 1 and letter == other[there - 2] and one[at - 2] == wanted:
                cost = min(cost, rows[-2][there - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]
