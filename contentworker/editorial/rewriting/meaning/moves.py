"""The reasons for which a part of a text may stand in another place."""

from collections.abc import Callable, Sequence

from contentworker.editorial.rewriting.meaning.alignment import Alignment, Block
from contentworker.editorial.rewriting.meaning.equivalents import Equivalents
from contentworker.editorial.rewriting.meaning.normalising import Token
from contentworker.editorial.rewriting.meaning.turning import (
    BE,
    COMPOUNDING,
    LONGEST_AGENT,
    NUMERIC,
    RELATIVE,
    begins_clause,
    begins_sentence,
    ends_clause,
)

__all__ = ["Moves"]

SHORT = 3
LONGEST_APPOSITION = 6
LONGEST_LISTED = 3
"""Most words of what may change places without a look at what they are."""
LEAST_PREDICATES = 3
_Blocks = Sequence[Block]


class Moves:
    """What moved between two texts."""

    def __init__(self, alignment: Alignment, lists: Equivalents, *, is_paragraph: bool) -> None:
        self.alignment, self.before, self.after = alignment, alignment.before, alignment.after
        self.lists, self.is_paragraph = lists, is_paragraph

    def have_a_reason(self) -> bool:
        """Whether what moved is one piece, and one of the reasons for that holds.

        The blocks in the order of the original, read as first, X, Y, last; the answer has first, Y, X, last.
        """
        order = sorted((*self.alignment.kept, *self.alignment.moved))
        ranks = {block: rank for rank, block in enumerate(sorted(order, key=lambda each: each.after))}
        places = [ranks[block] for block in order]
        first = next((at for at, place in enumerate(places) if at != place), len(places))
        last = next((at for at in range(len(places), 0, -1) if at - 1 != places[at - 1]), 0)
        middle = places[first:last]
        turn = next((at for at in range(1, len(middle)) if middle[at] != middle[at - 1] + 1), 0)
        rotated = middle[turn:] + middle[:turn]
        if rotated != list(range(first, last)):
            return self._are_adverbs() or self._is_one_list(order[first:last])
        left, right = order[first : first + turn], order[first + turn : last]
        return any(reason(left, right) for reason in self._reasons())

    def _are_adverbs(self) -> bool:
        """Several moves: each has to be of a single word that may stand anywhere in its clause."""
        return all(
            block.size == 1 and self.before[block.before].key in self.lists.movable
            for block in self.alignment.moved
        )

    def _is_one_list(self, blocks: _Blocks) -> bool:
        """Parts of a list in another order: "bread, milk and eggs"."""
        if self.lists.orders.intersection(token.key for token in self.before):
            return False
        for number, block in enumerate(blocks):
            places = range(block.before, block.before + block.size)
            if block.size > LONGEST_LISTED or any(
                self.before[at].form in ("ed", "pa", "en", "ing") or self.before[at].key.startswith(NUMERIC)
                for at in places
            ):
                return False
            if number and not {",", "and", "or"}.intersection(self.before[block.before].gap):
                return False
        return True

    def _reasons(self) -> tuple[Callable[[_Blocks, _Blocks], bool], ...]:
        return (
            self._adverb,
            self._adjunct,
            self._two_adjuncts,
            self._adjunct_of_subject,
            self._said,
            self._genitive,
            self._relative,
            self._apposition,
            self._participial,
            self._swapped_predicates,
            self._extraposed,
            self._premodifiers,
            self._dative,
            self._listed,
            self._turned_list,
            self._sentences,
        )

    def _span(self, blocks: _Blocks) -> tuple[range, range]:
        return (
            range(blocks[0].before, blocks[-1].before + blocks[-1].size),
            range(blocks[0].after, blocks[-1].after + blocks[-1].size),
        )

    def _adverb(self, left: _Blocks, right: _Blocks) -> bool:
        """A single adverb moves within its clause."""
        for mover, crossed in ((left, right), (right, left)):
            key = self.before[mover[0].before].key
            if sum(block.size for block in mover) != 1 or key in self.lists.fixed:
                continue
            if key not in self.lists.movable and not key.endswith("ly"):
                continue
            # "Often does not" is not "does not often", nor "often said he would" "said he would often".
            over = [self.before[at].key for at in self._span(crossed)[0]]
            is_scoped = key not in self.lists.movable or key in self.lists.scoped
            if is_scoped and not (self.lists.negations | self.lists.say).isdisjoint(over):
                continue
            if not any(self._is_divided(side, span) for side, span in self._sides(crossed)):
                return True
        return False

    def _sides(self, blocks: _Blocks) -> tuple[tuple[Sequence[Token], range], ...]:
        old, new = self._span(blocks)
        return (self.before, old), (self.after, new)

    def _is_divided(self, tokens: Sequence[Token], span: range) -> bool:
        return any(begins_clause(tokens, at) for at in list(span)[1:])

    def _is_adjunct(self, tokens: Sequence[Token], place: int) -> bool:
        token = tokens[place]
        words = {token.key, *token.gap}
        if (
            words & self.lists.adjuncts
            or token.key in self.lists.frequencies
            or token.key.startswith("date:")
        ):
            return True
        # "Last week", "every morning".
        then = tokens[place + 1].key if place + 1 < len(tokens) else ""
        return token.key in self.lists.which_time and then in self.lists.spans

    def _adjunct(self, left: _Blocks, right: _Blocks) -> bool:
        """A phrase or clause with its preposition or conjunction moves to the other end of its clause."""
        for mover, crossed in ((left, right), (right, left)):
            old, new = self._span(mover)
            over_old, over_new = self._span(crossed)
            if not (self._is_adjunct(self.before, old.start) and self._is_adjunct(self.after, new.start)):
                continue
            if self.before[old.start].key in ("because", "because_of") and any(
                self.before[at].key == "not" for at in over_old
            ):
                continue  # "did not leave because" denies the reason, not the leaving
            # "On Friday he said it closed" is not "he said it closed on Friday".
            if any(self.before[at].key in self.lists.say for at in list(over_old)[:-2]):
                continue
            is_first = old.start < over_old.start
            # In front it begins a clause in one text; at the end it ends one in the other.
            front, front_tokens = (old, self.before) if is_first else (new, self.after)
            back, back_tokens = (new, self.after) if is_first else (old, self.before)
            is_last = ends_clause(back_tokens, back.stop) or (
                front_tokens[front.start].key.startswith("date:") and self._is_adjunct(back_tokens, back.stop)
            )
            if not (begins_clause(front_tokens, front.start) and is_last):
                continue
            parts = ((self.before, over_old), (self.after, over_new))
            if any("." in tokens[at].gap for tokens, span in parts for at in list(span)[1:]):
                continue
            is_whole = begins_sentence(front_tokens, front.start) and (
                back.stop >= len(back_tokens) or "." in back_tokens[back.stop].gap
            )
            if is_whole or not any(self._is_divided(tokens, span) for tokens, span in parts):
                return True
        return False

    def _two_adjuncts(self, left: _Blocks, right: _Blocks) -> bool:
        """As in "in May on the hill" and "on the hill in May": each with its preposition."""
        places = [(tokens, span) for blocks in (left, right) for tokens, span in self._sides(blocks)]
        return all(
            self._is_adjunct(tokens, span.start) and not self._is_divided(tokens, span)
            for tokens, span in places
        ) and not any(begins_clause(tokens, span.start) for tokens, span in places)

    def _adjunct_of_subject(self, left: _Blocks, right: _Blocks) -> bool:
        """As in "In Bern, bakers sell it" and "bakers in Bern sell it"; so with "in May, he said"."""
        for mover, crossed in ((left, right), (right, left)):
            old, new = self._span(mover)
            over = self._span(crossed)[0]
            front, tokens = (old, self.before) if old.start < over.start else (new, self.after)
            head = {tokens[front.start].key, *tokens[front.start].gap}
            if len(over) > LONGEST_APPOSITION or head.isdisjoint(self.lists.places):
                continue
            if not begins_sentence(tokens, front.start):
                continue
            if any(self._is_divided(side, span) for side, span in self._sides(crossed)):
                continue
            last = self.before[over.stop - 1]
            is_said = last.key in self.lists.say | self.lists.findings
            if is_said or not any(self.before[at].form in ("ed", "pa", "en", "ing") for at in over):
                return True
        return False

    def _said(self, left: _Blocks, right: _Blocks) -> bool:
        """Who said it stands before or after what was said."""
        for mover, crossed in ((left, right), (right, left)):
            old, new = self._span(mover)
            keys = [self.before[at].key for at in old]
            if len(keys) > LONGEST_AGENT or not any(
                key in self.lists.say
                and (at in (0, len(keys) - 1) or self._is_adjunct(self.before, old[at + 1]))
                for at, key in enumerate(keys)
            ):
                continue
            over = self._span(crossed)[0]
            if self.lists.say.intersection(self.before[at].key for at in over):
                continue
            if all(
                begins_sentence(tokens, span.start)
                or span.stop >= len(tokens)
                or "." in tokens[span.stop].gap
                for tokens, span in ((self.before, old), (self.after, new))
            ):
                return True
        return False

    def _genitive(self, left: _Blocks, right: _Blocks) -> bool:
        """As in "The roof of the house" and "the house's roof", "a ban on cars" and "a car ban"."""
        for (one, of), (other, own) in (
            ((self.before, self._span(right)[0]), (self.after, self._span(left)[1])),
            ((self.after, self._span(left)[1]), (self.before, self._span(right)[0])),
        ):
            gap = set(one[of.start].gap)
            is_attribute = (
                one[of.start].key.startswith(NUMERIC) and len(of) == 1 and gap & {"for", "from", "in"}
            )
            is_compound = len(of) == len(own) == 1 and gap & COMPOUNDING
            if ("of" in gap or is_attribute or is_compound) and max(len(of), len(own)) <= LONGEST_APPOSITION:
                gap = set(other[own.start].gap)
                if "'s" in gap or not gap - {"the", "a", "an"}:
                    return True
        return False

    def _relative(self, left: _Blocks, right: _Blocks) -> bool:
        """As in "People who are deaf" and "deaf people"."""
        sides = (
            (self.before, self._span(left)[0], self._span(right)[0]),
            (self.after, self._span(right)[1], self._span(left)[1]),
        )
        for tokens, head, adjective in sides:
            gap = set(tokens[adjective.start].gap)
            if gap & RELATIVE and gap & BE and max(len(head), len(adjective)) <= SHORT:
                return True
        return False

    def _apposition(self, left: _Blocks, right: _Blocks) -> bool:
        """As in "Ann Lee, the mayor," and "the mayor, Ann Lee,"."""
        for tokens, one, other in (
            (self.before, self._span(left)[0], self._span(right)[0]),
            (self.after, self._span(right)[1], self._span(left)[1]),
        ):
            if max(len(one), len(other)) > LONGEST_APPOSITION or tokens[other.start].gap[:1] != (",",):
                return False
            if "," not in (tokens[other.stop].gap if other.stop < len(tokens) else (",",)):
                return False
            if any(tokens[at].form in ("ed", "pa", "ing") for span in (one, other) for at in span):
                return False
        return True

    def _participial(self, left: _Blocks, right: _Blocks) -> bool:
        """As in "Built in 1890, the tower" and "the tower, built in 1890,"."""
        for head, part in ((left, right), (right, left)):
            for tokens, one, other in (
                (self.before, self._span(head)[0], self._span(part)[0]),
                (self.after, self._span(head)[1], self._span(part)[1]),
            ):
                is_front = begins_sentence(tokens, other.start) and tokens[other.start].form in (
                    "ed",
                    "en",
                    "ing",
                )
                if (
                    is_front
                    and other.stop == one.start
                    and "," in tokens[one.start].gap
                    and len(one) <= LONGEST_APPOSITION
                ):
                    return True
        return False

    def _swapped_predicates(self, left: _Blocks, right: _Blocks) -> bool:
        """As in "The tower, built in 1890, is tall" and "the tower is tall and was built in 1890"."""
        sides = [(tokens, span) for blocks in (left, right) for tokens, span in self._sides(blocks)]
        if self.lists.orders.intersection(tokens[at].key for tokens, span in sides for at in span):
            return False
        was_clause = all(ends_clause(self.before, self._span(blocks)[0].stop) for blocks in (left, right))
        is_clause = all(ends_clause(self.after, self._span(blocks)[1].stop) for blocks in (left, right))
        if not (was_clause and is_clause):
            return False
        bound = BE | RELATIVE | {"has", "have", "had"}
        gaps = [
            [set(tokens[span.start].gap) for tokens, span in self._sides(blocks)] for blocks in (left, right)
        ]
        if sum(bool(gap & bound) for pair in gaps for gap in pair) >= LEAST_PREDICATES:
            return True
        # "It weighs 2 t. It was cast here." and "it, which was cast here, weighs 2 t"
        return any(all(gap & bound for gap in pair) and any(gap & RELATIVE for gap in pair) for pair in gaps)

    def _extraposed(self, left: _Blocks, right: _Blocks) -> bool:
        """As in "It is hard to tell" and "to tell is hard"."""
        for tokens, predicate, clause in (
            (self.before, self._span(left)[0], self._span(right)[0]),
            (self.after, self._span(right)[1], self._span(left)[1]),
        ):
            if not predicate.start or tokens[predicate.start - 1].key != "it":
                continue
            is_predicate = BE.intersection(tokens[predicate.start].gap) and len(predicate) <= LONGEST_LISTED
            if is_predicate and {"to", "that"}.intersection(tokens[clause.start].gap):
                return True
        return False

    def _premodifiers(self, left: _Blocks, right: _Blocks) -> bool:
        """As in "A large old door" and "an old, large door"."""
        for tokens, one, other in (
            (self.before, self._span(left)[0], self._span(right)[0]),
            (self.after, self._span(right)[1], self._span(left)[1]),
        ):
            if len(one) > 1 or len(other) > 1 or other.stop >= len(tokens) or tokens[other.stop].gap:
                return False
            pair = tokens[one.start], tokens[other.start]
            if any(token.is_name or token.form or token.key.startswith(NUMERIC) for token in pair):
                return False
            bound = self.lists.negations | self.lists.fixed | self.lists.pronouns
            if set(pair[1].gap) - {",", "and"} or {pair[0].key, pair[1].key} & bound:
                return False
        return True

    def _dative(self, left: _Blocks, right: _Blocks) -> bool:
        """As in "Gave Ann the key" and "gave the key to Ann"."""
        start = left[0].before
        if not start or self.before[start - 1].key not in self.lists.give:
            return False
        marked = {"to", "for"}
        old, new = (
            any(not marked.isdisjoint(tokens[at].gap) for at in (spans[0].start, spans[1].start))
            for tokens, spans in (
                (self.before, (self._span(left)[0], self._span(right)[0])),
                (self.after, (self._span(left)[1], self._span(right)[1])),
            )
        )
        return old != new

    def _turned_list(self, left: _Blocks, right: _Blocks) -> bool:
        """As in "bread, milk and eggs" and "milk, eggs and bread"."""
        for tokens, one, other in (
            (self.before, self._span(left)[0], self._span(right)[0]),
            (self.after, self._span(right)[1], self._span(left)[1]),
        ):
            places = [*one, *other]
            if any(tokens[at].form in ("ed", "pa", "en", "ing") for at in places):
                return False
            if any(
                tokens[at].key.startswith(NUMERIC) or tokens[at].key in self.lists.orders for at in places
            ):
                return False
            if not all({",", "and", "or"}.intersection(tokens[at].gap) for at in places[1:]):
                return False
            gaps = [tokens[at].gap for at in [*places[1:], other.stop] if at < len(tokens)]
            if not any({"and", "or"}.intersection(gap) for gap in gaps):
                return False
        return True

    def _listed(self, left: _Blocks, right: _Blocks) -> bool:
        """Two short parts on both sides of "and" without a verb in them."""
        spans = [(tokens, span) for blocks in (left, right) for tokens, span in self._sides(blocks)]
        if any(len(span) > LONGEST_LISTED for _, span in spans):
            return False
        if any(tokens[at].form in ("ed", "pa", "en", "ing") for tokens, span in spans for at in span):
            return False
        if any(tokens[at].key.startswith(NUMERIC) for tokens, span in spans for at in span):
            return False
        second = (self.before[right[0].before].gap, self.after[left[0].after].gap)
        return all("and" in gap for gap in second) and not self.lists.orders.intersection(
            [token.key for token in self.before]
        )

    def _sentences(self, left: _Blocks, right: _Blocks) -> bool:
        """Whole sentences of a paragraph."""
        if not self.is_paragraph:
            return False
        pieces = [(tokens, span) for blocks in (left, right) for tokens, span in self._sides(blocks)]
        return all(
            begins_sentence(tokens, span.start) and (span.stop >= len(tokens) or "." in tokens[span.stop].gap)
            for tokens, span in pieces
        ) and not any(
            self.lists.orders.intersection({tokens[span.start].key, *tokens[span.start].gap})
            for tokens, span in pieces
        )
