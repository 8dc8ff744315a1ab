"""Other ways to say what is possible, necessary, wished or a condition, as readings for `differences`.

As in `constructions`, each reading is a whole text, and counts only if the texts differ less by it.
"""

from collections.abc import Iterator, Sequence

from contentworker.editorial.rewriting.meaning.equivalents import Equivalents
from contentworker.editorial.rewriting.meaning.normalising import Token
from contentworker.editorial.rewriting.meaning.turning import MARKS, begins_clause, begins_sentence

__all__ = ["modals"]

_IF, _NOT, _MAY, _MUST = (Token(word, text=word) for word in ("if", "not", "may", "must"))
_ABLE = frozenset({"can", "could", "will", "would", "may"})
_CAN = Token("can", text="can")
_IT_IS = {
    "necessary": (_MUST,), "unnecessary": (_NOT, _MUST), "essential": (_MUST,), "vital": (_MUST,),
    "possible": (_CAN,), "impossible": (_CAN, _NOT),
}  # fmt: skip
_ANYONE = Token("you", text="you")
_LONGEST_SUBJECT = 5
_ALLOWED = frozenset({"allow", "allowed"})
_FRONTED = frozenset({"had", "were"})


def modals(tokens: Sequence[Token], lists: Equivalents) -> Iterator[list[Token]]:
    """Other readings of an English text."""
    if not lists.is_english:
        return
    for at, token in enumerate(tokens[:-1]):
        if begins_sentence(tokens, at):
            yield from _fronted(tokens, at)
            yield from _impersonal(tokens, at)
        if token.key == "unless":
            for place in _behind_subject(tokens, at + 1):
                yield [*tokens[:at], _marked(_IF, token), *tokens[at + 1 : place], _NOT, *tokens[place:]]
        elif token.key == "so_that":
            yield from _purpose(tokens, at)
        elif token.key in _ALLOWED and at and tokens[at - 1].key == "not":
            for modal in ("may", "must", "can"):
                yield [*tokens[: at - 1], Token(modal, text=modal), _NOT, *tokens[at + 1 :]]


def _marked(token: Token, first: Token) -> Token:
    """The token with the marks that stand before another one."""
    return token._replace(gap=tuple(word for word in first.gap if word in MARKS))


def _behind_subject(tokens: Sequence[Token], start: int) -> Iterator[int]:
    """Places where the verb may stand, if a subject begins at `start`."""
    for place in range(start + 1, min(len(tokens), start + _LONGEST_SUBJECT)):
        if begins_clause(tokens, place):
            return
        yield place


def _fronted(tokens: Sequence[Token], at: int) -> Iterator[list[Token]]:
    """As in "Should you need help" as "if you need help", "Had it left" as "if it had left"."""
    first = tokens[at]
    if first.key == "should":
        yield [*tokens[:at], _marked(_IF, first), *tokens[at + 1 :]]
    fronted = tuple(word for word in first.gap if word in _FRONTED)
    if fronted:
        bare = first._replace(gap=tuple(word for word in first.gap if word not in MARKS | _FRONTED))
        for place in _behind_subject(tokens, at):
            verb = tokens[place]._replace(gap=(*fronted, *tokens[place].gap))
            yield [
                *tokens[:at],
                _marked(_IF, first),
                bare,
                *tokens[at + 1 : place],
                verb,
                *tokens[place + 1 :],
            ]


def _impersonal(tokens: Sequence[Token], at: int) -> Iterator[list[Token]]:
    """As in "It is possible that it is ill" as "it may be ill", "It is necessary to go" as "you must go"."""
    first = tokens[at]
    if first.key == "perhaps":
        for place in _behind_subject(tokens, at + 1):
            yield [*tokens[:at], *tokens[at + 1 : place], _MAY, *tokens[place:]]
    if first.key in ("probably", "perhaps"):
        for place in _behind_subject(tokens, at + 1):
            if tokens[place].key == "will":
                yield [*tokens[:place], *tokens[place + 1 :]]
    if first.key == "it" and at + 2 < len(tokens) and tokens[at + 1].key in _IT_IS:
        then, rest = _IT_IS[tokens[at + 1].key], tokens[at + 2 :]
        if "for" in rest[0].gap:
            for place in _behind_subject(tokens, at + 2):
                yield [*tokens[:at], _marked(rest[0], first), *tokens[at + 3 : place], *then, *tokens[place:]]
        else:
            yield [*tokens[:at], _marked(_ANYONE, first), *then, *rest]


def _purpose(tokens: Sequence[Token], at: int) -> Iterator[list[Token]]:
    """As in "He ran so that he could catch it" as "he ran to catch it"."""
    if at + 3 < len(tokens) and tokens[at + 2].key in _ABLE:
        yield [*tokens[:at], tokens[at + 3]._replace(gap=("to",)), *tokens[at + 4 :]]
