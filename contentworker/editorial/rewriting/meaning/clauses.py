"""Other ways to put a clause, as readings for `differences`: inversions, possession, existence, reasons.

As in `constructions`, each reading is a whole text, and counts only if the texts differ less by it.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from contentworker.editorial.rewriting.meaning.equivalents import Equivalents
from contentworker.editorial.rewriting.meaning.normalising import Token
from contentworker.editorial.rewriting.meaning.turning import (
    BE,
    COORDINATORS,
    MARKS,
    RELATIVE,
    begins_clause,
    begins_sentence,
)

__all__ = ["clauses"]

_DO = frozenset({"do", "does", "did"})
_CONSEQUENCES = frozenset({"so", "therefore", "why"})
_PRONOUNS = frozenset({"it", "they", "he", "she"})
_ABSTAINING = frozenset({"refrain", "avoid"})
_SHORT = 4
"""Most words of what is turned round with a possessor or an inversion."""


def clauses(tokens: Sequence[Token], others: Sequence[Token], lists: Equivalents) -> Iterator[list[Token]]:
    """Other readings of an English text; some are tried only for what the other text has."""
    if not lists.is_english:
        return
    if any(token.key == "because" for token in others):
        yield from _reason_last(tokens)
    yield from _existing(tokens, others)
    yield from _inverted(tokens)
    yield from _owning(tokens)
    yield from _abstaining(tokens)
    yield from _compounded(tokens, others)
    yield from _doer(tokens, others, lists)
    yield from _one_again(tokens)
    yield from _named_earlier(tokens)


def _without(token: Token, words: frozenset[str], *put: str) -> Token:
    return token._replace(gap=(*put, *(word for word in token.gap if word not in words)))


def _opened(tokens: Sequence[Token]) -> list[Token]:
    """The tokens without what parts them from those before."""
    return [_without(tokens[0], MARKS | COORDINATORS), *tokens[1:]]


def _reason_last(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "A, so B" or "A. That is why B" as "B because A"."""
    for at in range(1, len(tokens) - 1):
        if tokens[at].text.lower() in _CONSEQUENCES and begins_clause(tokens, at):
            because = Token("because", text=tokens[at].text)
            yield [*_opened(tokens[at + 1 :]), because, *_opened(tokens[:at])]


def _existing(tokens: Sequence[Token], others: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "A cure exists" as "there is a cure"."""
    if not any("there" in token.gap for token in others):
        return
    for at, token in enumerate(tokens):
        if at and token.key == "exist":
            yield [*tokens[:at], *tokens[at + 1 :]]


def _inverted(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "Only then did she leave" as "she left only then"."""
    for at in range(1, min(_SHORT, len(tokens) - 1)):
        if _DO.intersection(tokens[at].gap) and not MARKS.intersection(tokens[at].gap):
            form = "pa" if "did" in tokens[at].gap else "s" if "does" in tokens[at].gap else ""
            verb = tokens[at + 1]._replace(form=form)
            yield [_without(tokens[at], _DO), verb, *tokens[at + 2 :], *tokens[:at]]


def _owning(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "The tail of the fox is long" and "the fox whose tail is long" as "the fox has a long tail"."""
    for at in range(2, len(tokens)):
        if not BE.intersection(tokens[at].gap) or MARKS.intersection(tokens[at].gap):
            continue
        end = next(
            (
                place
                for place in range(at + 1, len(tokens))
                if begins_clause(tokens, place) and "and" not in tokens[place].gap
            ),
            len(tokens),
        )
        what = [_without(tokens[at], BE, "has"), *tokens[at + 1 : end]]
        if len(what) > _SHORT:
            continue
        for of in range(max(1, at - _SHORT), at):
            thing = [_without(tokens[of - 1], frozenset({"the"})), *tokens[of:of]]
            if "of" in tokens[of].gap and begins_clause(tokens, of - 1):
                owner = [_without(tokens[of], frozenset({"of"})), *tokens[of + 1 : at]]
                yield [*tokens[: of - 1], *owner, *what, *thing, *tokens[end:]]
    for at in range(1, len(tokens) - 1):
        if "whose" in tokens[at].gap and BE.intersection(tokens[at + 1].gap):
            adjective = _without(tokens[at + 1], BE, "with")
            yield [*tokens[:at], adjective, _without(tokens[at], RELATIVE), *tokens[at + 2 :]]


def _compounded(tokens: Sequence[Token], others: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "The owner of the shop" as "the shop owner"."""
    compounds = {(one.key, two.key) for one, two in pairwise(others) if not set(two.gap) - {"'s"}}
    for at in range(1, len(tokens)):
        if "of" in tokens[at].gap and (tokens[at].key, tokens[at - 1].key) in compounds:
            owner = tokens[at]._replace(gap=tokens[at - 1].gap)
            yield [*tokens[: at - 1], owner, tokens[at - 1]._replace(gap=()), *tokens[at + 1 :]]


def _abstaining(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "Asked to refrain from smoking" as "asked not to smoke"."""
    for at, token in enumerate(tokens[:-1]):
        if token.key in _ABSTAINING and tokens[at + 1].form == "ing":
            then = tokens[at + 1]._replace(form="?", gap=("to",))
            yield [*tokens[:at], Token("not", text="not"), then, *tokens[at + 2 :]]


def _doer(tokens: Sequence[Token], others: Sequence[Token], lists: Equivalents) -> Iterator[list[Token]]:
    """As in "The man who owns the boat" as "the owner of the boat"."""
    known = {token.key for token in tokens}
    doers = [
        token
        for token in others
        if token.text.lower().endswith(("er", "or", "ers", "ors")) and token.key not in known
    ]
    for at, token in enumerate(tokens[:-1]):
        verb = tokens[at + 1]
        if token.key not in lists.doers or not {"who", "that", "which"}.intersection(verb.gap):
            continue
        for doer in doers:
            if len(verb.key) > 2 and doer.key.startswith(verb.key.rstrip("ei")):  # noqa: PLR2004
                yield [*tokens[:at], doer._replace(gap=token.gap), *tokens[at + 2 :]]


def _one_again(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "The new path is longer than the old one" with "path" for "one"."""
    for at in range(2, len(tokens)):
        if tokens[at].key == "one" and not tokens[at].gap:
            for place in range(at - 1):
                if tokens[place + 1].gap and not tokens[place].is_name:
                    yield [*tokens[:at], tokens[place]._replace(gap=()), *tokens[at + 1 :]]


def _named_earlier(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "Before you cut the plant, water it" as "before you cut it, water the plant"."""
    if sum(token.is_name for token in tokens) > 1:
        return
    for at in range(2, len(tokens)):
        if tokens[at].key not in _PRONOUNS:
            continue
        start = next((place for place in range(at, 0, -1) if begins_clause(tokens, place)), 0)
        for place in range(start):
            if begins_sentence(tokens, place) and place + 1 == start:
                continue
            for end in range(place + 1, min(start, place + 3) + 1):
                named = [_without(tokens[place], MARKS), *tokens[place + 1 : end]]
                pronoun = _without(tokens[at], MARKS)._replace(
                    gap=tuple(w for w in tokens[place].gap if w in MARKS)
                )
                yield [*tokens[:place], pronoun, *tokens[end:at], *named, *tokens[at + 1 :]]
