"""Other ways to put a clause, as readings for `differences`: inversions, possession, existence, reasons.

As in `constructions`, each reading is a whole text, and counts only if the texts differ less by it.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from contentworker.editorial.rewriting.meaning.equivalents import Equivalents
from contentworker.editorial.rewriting.meaning.normalising import Token
from contentworker.editorial.rewriting.meaning.turning import (
    BE,
    COMPOUNDING,
    COORDINATORS,
    MARKS,
    NOUN_ENDINGS,
    PARTICIPLES,
    RELATIVE,
    begins_clause,
    begins_sentence,
    is_adverb,
    sentence_at,
)

__all__ = ["clauses"]

_DO = frozenset({"do", "does", "did"})
_CONSEQUENCES = frozenset({"so", "therefore", "why"})
_PRONOUNS = frozenset({"it", "they", "he", "she"})
_ABSTAINING = frozenset({"refrain", "avoid"})
_EXCEPTIONS = {"except": (), "until": (), "unless": (Token("if", text="if"),)}
_OWNERS = frozenset({"its", "their", "his", "her"})
_LONGEST_SOURCE = 9
_SHORT = 4
"""Most words of what is turned round with a possessor or an inversion."""


def clauses(tokens: Sequence[Token], others: Sequence[Token], lists: Equivalents) -> Iterator[list[Token]]:
    """Other readings of an English text; some are tried only for what the other text has."""
    if not lists.is_english:
        return
    if any(token.key == "because" for token in others):
        yield from _reason_last(tokens)
    if any(token.key == "only" for token in others):
        yield from _only(tokens)
    yield from _according(tokens, others, lists)
    yield from _noted_reason(tokens)
    yield from _inserted_sentence(tokens, others, lists)
    yield from _reduced(tokens)
    yield from _existing(tokens, others)
    yield from _inverted(tokens)
    yield from _owning(tokens)
    yield from _abstaining(tokens)
    yield from _compounded(tokens, others)
    yield from _unpacked(tokens, others, lists)
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


def _according(tokens: Sequence[Token], others: Sequence[Token], lists: Equivalents) -> Iterator[list[Token]]:
    """As in "According to Ann, it rose" and "it rose, according to Ann" as "Ann says it rose"."""
    verbs = {token.key for token in others if not lists.articles.intersection(token.gap)} & lists.neutral
    for at, token in enumerate(tokens):
        if token.key not in ("according_to", "in_the_opinion_of"):
            continue
        start, stop = sentence_at(tokens, at)
        end = next((place for place in range(at + 2, stop) if MARKS.intersection(tokens[place].gap)), stop)
        content = [*tokens[start:at], *tokens[end:stop]]
        if not content or not at + 1 < end <= at + _LONGEST_SOURCE:
            continue
        opening = tuple(word for word in tokens[start].gap if word in MARKS)
        source = [_without(tokens[at + 1], MARKS, *opening), *tokens[at + 2 : end]]
        for verb in verbs:
            # The form says nothing about the tense: "said" or "says".
            yield [*tokens[:start], *source, Token(verb, "=", token.text), *_opened(content), *tokens[stop:]]


def _noted_reason(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "A. The reason was B" as "A because of B"."""
    for at in range(1, len(tokens) - 2):
        if tokens[at].key not in ("reason", "cause") or not begins_sentence(tokens, at):
            continue
        first = next((place for place in (at + 1, at + 2) if BE.intersection(tokens[place].gap)), 0)
        if first:
            because = Token("because" if "that" in tokens[first].gap else "because_of", text=tokens[at].text)
            yield [*tokens[:at], because, _without(tokens[first], BE | {"that"}), *tokens[first + 1 :]]


def _inserted_sentence(
    tokens: Sequence[Token], others: Sequence[Token], lists: Equivalents
) -> Iterator[list[Token]]:
    """As in "The inn shut. Its owner left." as "the inn, whose owner left, shut"; "it" as "which"."""
    for at in range(2, len(tokens) - 1):
        if not begins_sentence(tokens, at) or tokens[at].key not in _PRONOUNS | _OWNERS:
            continue
        apart = {token.key for token in others if (RELATIVE | {","}).intersection(token.gap)}
        if tokens[at + 1].key not in apart:
            continue
        start, stop = sentence_at(tokens, at - 1)[0], sentence_at(tokens, at)[1]
        relative = "whose" if tokens[at].key in _OWNERS else "which"
        inserted = [_without(tokens[at + 1], MARKS, ",", relative), *tokens[at + 2 : stop]]
        for place in range(start + 1, min(at, start + _LONGEST_SOURCE)):
            rest = _without(tokens[place], MARKS, ",")
            is_verb = tokens[place].form or tokens[place].key in lists.modals or BE.intersection(rest.gap)
            if not is_verb or lists.articles.intersection(rest.gap):
                continue
            yield [*tokens[:place], *inserted, rest, *tokens[place + 1 : at], *tokens[stop:]]


def _reduced(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "The book copied by the monks" as "the book that the monks copied"."""
    for at in range(1, len(tokens) - 1):
        verb = tokens[at]
        if verb.form not in PARTICIPLES or verb.gap or "by" not in tokens[at + 1].gap:
            continue
        for end in range(at + 2, min(len(tokens), at + 2 + _SHORT) + 1):
            agent = [_without(tokens[at + 1], frozenset({"by"}), "that"), *tokens[at + 2 : end]]
            yield [*tokens[:at], *agent, verb._replace(form="="), *tokens[end:]]


def _only(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "It does not open except on Sunday" as "it opens only on Sunday"."""
    for at in range(len(tokens) - 2):
        for place in range(at + 2, len(tokens)) if tokens[at].key == "not" else ():
            token = tokens[place]
            if token.key in _EXCEPTIONS:
                only = [Token("only", text=token.text, gap=token.gap), *_EXCEPTIONS[token.key]]
                has_do = _DO.intersection(tokens[at].gap)
                verb = tokens[at + 1]._replace(form="?") if has_do else tokens[at + 1]
                yield [*tokens[:at], verb, *tokens[at + 2 : place], *only, *tokens[place + 1 :]]


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


def _unpacked(tokens: Sequence[Token], others: Sequence[Token], lists: Equivalents) -> Iterator[list[Token]]:
    """As in "A waste reduction plan" as "a plan for waste reduction", and that as "reducing waste"."""
    heads = {
        at: token.key
        for at, token in enumerate(others[:-1])
        if COMPOUNDING.union({"to"}).intersection(others[at + 1].gap)
    }
    known = {token.key for token in tokens}
    nouns = [token for token in others if token.form == "ing" and token.key not in known]
    for at in range(1, len(tokens)):
        start = at
        while start and not tokens[start].gap and at - start < _LONGEST_SOURCE:
            start -= 1
        for size in (1, 2):
            first = at + 1 - size
            # What stands before it has to stand before the head in the other text.
            before = {
                _key_before(others, place + 1 - size) for place, key in heads.items() if key == tokens[at].key
            }
            is_noun = all(
                token.form in ("", "s", "?") and not is_adverb(token, lists)
                for token in tokens[first - 1 : at + 1]
            )
            for begin in range(max(start, first - 5), first) if before and is_noun else ():
                if size > 1 and begin and tokens[begin - 1].form == "s":
                    continue  # "bakers sell bread"
                if _key_before(tokens, begin) not in before:
                    continue
                head = [tokens[first]._replace(gap=tokens[begin].gap), *tokens[first + 1 : at + 1]]
                rest = [tokens[begin]._replace(gap=("for",)), *tokens[begin + 1 : first]]
                rest[-1] = rest[-1]._replace(
                    form=rest[-1].form or "?"
                )  # "complaint time", "time for complaints"
                yield [*tokens[:begin], *head, *rest, *tokens[at + 1 :]]
        for noun in nouns:
            if tokens[at].text.lower().endswith(NOUN_ENDINGS) and noun.key[:3] == tokens[at].key[:3]:
                for begin in range(start, at):
                    verb = tokens[at]._replace(form="noun", gap=tokens[begin].gap)
                    yield [
                        *tokens[:begin],
                        verb,
                        tokens[begin]._replace(gap=()),
                        *tokens[begin + 1 : at],
                        *tokens[at + 1 :],
                    ]


def _key_before(tokens: Sequence[Token], at: int) -> str:
    return tokens[at - 1].key if at > 0 else ""


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
