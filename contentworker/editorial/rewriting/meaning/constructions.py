"""Other constructions that say the same, as readings that `differences` tries: clefts, converses, negations.

Each reading is a whole other order or wording of a text. One counts only if the texts differ less by it.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from contentworker.editorial.rewriting.meaning.equivalents import Equivalents, Prepositions
from contentworker.editorial.rewriting.meaning.normalising import Token
from contentworker.editorial.rewriting.meaning.turning import (
    BE,
    COORDINATORS,
    LONGEST_AGENT,
    MARKS,
    PASTS,
    RELATIVE,
    begins_clause,
    begins_sentence,
    ends_clause,
    is_adverb,
)

__all__ = ["constructions"]

_NOT = Token("not", text="not")
_PRONOUNS = frozenset({"it", "they", "he", "she"})
_LATEST_PRONOUN = 4
_ANYONE = frozenset({"you", "they", "we", "one", "somebody", "people", "person"})
_DO = frozenset({"do", "does", "did"})
_QUESTIONS = frozenset({"how", "what", "why", "when", "where", "whether", "who"})
_HAVE = frozenset({"has", "have", "had"})
_WITHOUT = frozenset({"without", "neither", "nor"})
_OF_VERBS = ("un", "dis")
_PREFIXES = (*_OF_VERBS, "in", "im", "il", "ir", "non")
_ADVISING = frozenset({"should", "must"})


def constructions(
    tokens: Sequence[Token], others: Sequence[Token], lists: Equivalents
) -> Iterator[list[Token]]:
    """Other readings of a text, each with one construction taken for another.

    A word is taken for another one only if the other text has that one.
    """
    if not lists.is_english:
        return
    wanted = {token.key for token in others} - {token.key for token in tokens}
    starts = [at for at in range(len(tokens)) if begins_sentence(tokens, at)]
    for start, stop in pairwise([*starts, len(tokens)]):
        sentence = list(tokens[start:stop])
        for reading in _of_a_sentence(sentence, wanted, lists):
            yield [*tokens[:start], *reading, *tokens[stop:]]
    for at, token in enumerate(tokens):
        if at and tokens[at - 1].key in lists.movable:
            continue  # "always fails" is not "does not always"
        if token.key == "not" and token.text.lower() == "no" and at and not MARKS.intersection(token.gap):
            # "Paid no heed" as "did not pay heed"
            form = tokens[at - 1].form
            verb = tokens[at - 1]._replace(gap=(), form="?" if form == "s" else form)
            yield [*tokens[: at - 1], token._replace(gap=tokens[at - 1].gap), verb, *tokens[at + 1 :]]
        if token.key == "lack" and at and tokens[at - 1].key == "not":
            has = {"did": "had", "does": "has"}.get("".join(tokens[at - 1].gap), "have")
            yield [*tokens[: at - 1], *_with_gap(list(tokens[at + 1 :]), has)]
        for words in _negated(token, tokens[at + 1 : at + 2], wanted, lists):
            yield [*tokens[:at], *words, *tokens[at + 1 :]]
            if words[0].key == "not" and at and tokens[at - 1].key == "not":
                # "Not uncommon" is "common", and what is not lacking is there.
                yield [*tokens[: at - 1], *words[1:], *tokens[at + 1 :]]


def _of_a_sentence(sentence: list[Token], wanted: set[str], lists: Equivalents) -> Iterator[list[Token]]:
    yield from _what(sentence)
    yield from _anticipated(sentence)
    yield from _rising(sentence, lists)
    yield from _reason_first(sentence)
    yield from _inverted(sentence, lists)
    yield from _having(sentence)
    yield from _converse(sentence, wanted, lists)
    yield from _because(sentence)
    yield from _agentless(sentence, lists)
    yield from _named_later(sentence)
    if len(sentence) > 2 and sentence[0].key == "you" and sentence[1].key in _ADVISING:  # noqa: PLR2004
        yield [sentence[2]._replace(gap=sentence[0].gap), *sentence[3:]]


def _bare(token: Token, dropped: frozenset[str] = BE) -> Token:
    return token._replace(gap=tuple(word for word in token.gap if word not in dropped))


def _opening(tokens: list[Token], first: Token) -> list[Token]:
    """The tokens as a sentence that begins as one with `first` did."""
    marks = tuple(word for word in first.gap if word in MARKS)
    head = _bare(tokens[0], MARKS | COORDINATORS)
    return [head._replace(gap=(*marks, *head.gap)), *tokens[1:]]


def _what(sentence: list[Token]) -> Iterator[list[Token]]:
    """As in "What he wants is rest" as "he wants rest", "What broke it was ice" as "ice broke it"."""
    if sentence[0].key != "what":
        return
    for at in range(2, len(sentence)):
        if BE.intersection(sentence[at].gap):
            front, back = sentence[1:at], [_bare(sentence[at]), *sentence[at + 1 :]]
            yield _opening([*front, *back], sentence[0])
            yield _opening([*back, *front], sentence[0])


def _anticipated(sentence: list[Token]) -> Iterator[list[Token]]:
    """As in "It is hard to tell" as "to tell is hard"."""
    if sentence[0].key != "it" or len(sentence) < 3:  # noqa: PLR2004
        return
    if not BE.intersection(sentence[1].gap):
        # "It surprised Ann that he lost" as "that he lost surprised Ann"
        for at in range(2, len(sentence)) if sentence[1].form in ("s", "ed", "pa") else ():
            if "that" in sentence[at].gap:
                yield _opening([*sentence[at:], *sentence[1:at]], sentence[0])
        return
    for at in range(2, min(len(sentence), 7)):
        is_clause = sentence[at].form == "ing" or sentence[at].key in _QUESTIONS
        if is_clause or {"to", "that"}.intersection(sentence[at].gap):
            yield _opening([*sentence[at:], *sentence[1:at]], sentence[0])


def _inverted(sentence: list[Token], lists: Equivalents) -> Iterator[list[Token]]:
    """As in "On the hill stands a chapel" as "a chapel stands on the hill"."""
    first = sentence[0]
    if not lists.adjuncts.intersection((first.key, *first.gap)):
        return
    for at in range(1, min(len(sentence), 8)):
        token = sentence[at]
        if MARKS.intersection(token.gap):
            return
        if BE.intersection(token.gap):
            place = _bare(first, MARKS)
            yield _opening(
                [_bare(token), *sentence[at + 1 :], place._replace(gap=("is", *place.gap)), *sentence[1:at]],
                first,
            )
        elif token.form in ("s", "ed", "pa") and at + 1 < len(sentence):
            yield _opening([*sentence[at + 1 :], token, _bare(first, MARKS), *sentence[1:at]], first)


def _having(sentence: list[Token]) -> Iterator[list[Token]]:
    """As in "There are six rooms in the house" as "the house has six rooms"."""
    if "there" not in sentence[0].gap:
        return
    if sentence[0].key == "exist":
        for at in range(2, min(len(sentence), 7) + 1):
            yield _opening(
                [*sentence[1:at], _bare(sentence[0], MARKS | {"there"}), *sentence[at:]], sentence[0]
            )
    for at in range(1, len(sentence)):
        if "in" in sentence[at].gap:
            place = [_bare(sentence[at], frozenset({"in"})), *sentence[at + 1 :]]
            things = [_bare(sentence[0], BE | {"there"}), *sentence[1:at]]
            yield _opening([*place, *_with_gap(things, "has")], sentence[0])


def _reason_first(sentence: list[Token]) -> Iterator[list[Token]]:
    """As in "The reason why it sank is that it leaked" as "it sank because it leaked"."""
    if sentence[0].key in ("reason", "reason_why"):
        for at in range(2, len(sentence)):
            if "that" in sentence[at].gap and BE.intersection(sentence[at].gap):
                because = Token("because", text=sentence[0].text)
                cause = [_bare(sentence[at], BE | {"that"}), *sentence[at + 1 :]]
                yield _opening([*sentence[1:at], because, *cause], sentence[0])


def _rising(sentence: list[Token], lists: Equivalents) -> Iterator[list[Token]]:
    """As in "There was a sharp fall in prices" and "prices saw a sharp fall" as "prices fell sharply"."""
    if "there" in sentence[0].gap and BE.intersection(sentence[0].gap):
        form = "ed" if {"was", "were", "been"}.intersection(sentence[0].gap) else "?"
        for noun in range(min(3, len(sentence) - 1)):
            if "in" in sentence[noun + 1].gap:
                for end in range(noun + 2, min(len(sentence), noun + 7) + 1):
                    thing = [_bare(sentence[noun + 1], frozenset({"in"})), *sentence[noun + 2 : end]]
                    yield _opening(
                        [*thing, *_as_verb(sentence[: noun + 1], form, lists), *sentence[end:]], sentence[0]
                    )
    for at in range(1, len(sentence) - 1):
        if sentence[at].key not in lists.seeing:
            continue
        for noun in range(at + 1, min(len(sentence), at + 3)):
            change = _as_verb(sentence[at + 1 : noun + 1], sentence[at].form, lists)
            yield [*sentence[:at], *change, *sentence[noun + 1 :]]


def _as_verb(change: list[Token], form: str, lists: Equivalents) -> list[Token]:
    """As in "sharp fall" as "fell sharply"."""
    *adjectives, noun = change
    adverbs = []
    for each in adjectives:
        word = each.text.lower()
        adverb = f"{word[:-1]}ily" if word.endswith("y") else f"{word}ly"
        adverbs.append(Token(lists.key(adverb), text=each.text))
    return [Token(noun.key, form, noun.text), *adverbs]


def _with_gap(tokens: list[Token], word: str) -> list[Token]:
    return [tokens[0]._replace(gap=(word, *tokens[0].gap)), *tokens[1:]]


def _converse(sentence: list[Token], wanted: set[str], lists: Equivalents) -> Iterator[list[Token]]:
    """As in "Ann sold Ben a car" as "Ben bought a car from Ann", "older than B" as "B is younger"."""
    for at in range(1, len(sentence) - 1):
        token = sentence[at]
        for other, prepositions in lists.converses.get(token.key, ()):
            if other not in wanted:
                continue
            start = next((place for place in range(at - 1, 0, -1) if begins_clause(sentence, place)), 0)
            end = next(
                (place for place in range(at + 2, len(sentence)) if ends_clause(sentence, place)),
                len(sentence),
            )
            verb = token._replace(key=other)
            subject, rest = sentence[start:at], sentence[at + 1 : end]
            if RELATIVE.intersection(subject[0].gap):
                continue
            for turned in _exchanged(subject, verb, rest, prepositions):
                yield [*sentence[:start], *_opening(turned, sentence[start]), *sentence[end:]]


def _exchanged(
    subject: list[Token], verb: Token, rest: list[Token], prepositions: Prepositions | None
) -> Iterator[list[Token]]:
    if prepositions is None:
        if rest[0].key == "than" and len(rest) > 1:
            than, *other = rest
            yield [*other, verb, than, *subject]
        else:
            yield [*rest, verb, *subject]
        return
    # Who gets it has a preposition, or stands in front: "sold a car to Ben", "sold Ben a car".
    gets, gives = prepositions
    for at in range(1, len(rest)):
        if gets in rest[at].gap:
            thing, person = rest[:at], [_bare(rest[at], frozenset({gets})), *rest[at + 1 :]]
        elif MARKS.isdisjoint(rest[at].gap):
            person, thing = rest[:at], rest[at:]
        else:
            continue
        yield [*person, verb, *thing, *_with_gap(subject, gives)]


def _agentless(sentence: list[Token], lists: Equivalents) -> Iterator[list[Token]]:
    """As in "They painted it green" as "it was painted green"."""
    if sentence[0].key not in _ANYONE or len(sentence) < 2:  # noqa: PLR2004
        return
    verb = 1
    while verb < len(sentence) - 1 and (
        sentence[verb].key in lists.modals | lists.negations or is_adverb(sentence[verb], lists)
    ):
        verb += 1
    token = sentence[verb]
    if token.is_name or ":" in token.key or BE.intersection(token.gap):
        return
    if _HAVE.intersection(token.gap):
        be = "been"
    elif verb > 1 and not token.form:
        be = "be"
    else:
        be = "were" if token.form in PASTS else "are"
    passive = token._replace(form="ed", gap=(*(word for word in token.gap if word not in _DO), be))
    for end in range(verb + 2, min(len(sentence), verb + LONGEST_AGENT) + 1):
        thing = sentence[verb + 1 : end]
        yield _opening([*thing, *sentence[1:verb], passive, *sentence[end:]], sentence[0])


def _named_later(sentence: list[Token]) -> Iterator[list[Token]]:
    """As in "While it is warm, the dough rises" as "while the dough is warm, it rises"."""
    if sum(token.is_name for token in sentence) > 1:
        return
    for at, token in enumerate(sentence[:_LATEST_PRONOUN]):
        if token.key not in _PRONOUNS:
            continue
        for place in range(at + 1, len(sentence)):
            if begins_clause(sentence, place):
                for stop in range(place + 1, min(len(sentence), place + 4)):
                    first = sentence[place]
                    named = [_bare(first, MARKS), *sentence[place + 1 : stop]]
                    pronoun = token._replace(gap=tuple(word for word in first.gap if word in MARKS))
                    yield [*sentence[:at], *named, *sentence[at + 1 : place], pronoun, *sentence[stop:]]


def _because(sentence: list[Token]) -> Iterator[list[Token]]:
    """As in "They moved because rents rose" as "because rents rose, they moved"."""
    for at in range(1, len(sentence) - 1):
        if sentence[at].key == "because" and not any(token.key == "not" for token in sentence):
            effect = sentence[:at]
            yield _opening([*sentence[at:], *_with_gap(_opening(effect, Token("")), ",")], sentence[0])


def _negated(
    token: Token, after: Sequence[Token], wanted: set[str], lists: Equivalents
) -> Iterator[list[Token]]:
    """As in "unsafe" as "not safe", "failed to come" as "did not come"."""
    if token.is_name or ":" in token.key:
        return
    if token.key == "fail" and after and "to" in after[0].gap:
        yield [_NOT._replace(gap=token.gap)]
    if token.key in _WITHOUT or (token.key == "lack" and token.form):
        yield [_NOT._replace(gap=token.gap)]
    opposite = lists.opposites.get(token.key, "")
    if opposite in wanted:
        yield [_NOT._replace(gap=token.gap), Token(opposite, token.form, token.text)]
    word = token.text.lower()
    # "Informed" is a verb, and not the opposite of "formed".
    for prefix in _OF_VERBS if token.form else _PREFIXES:
        key = lists.key(word.removeprefix(prefix)) if word.startswith(prefix) else ""
        if key in wanted:
            yield [_NOT._replace(gap=token.gap), Token(key, token.form, token.text)]
