"""A reason for several differences at once: the same is said with other forms of the words.

As in "There has been a sharp rise in prices" and "Prices have risen sharply". Each word that only one text
has needs a relative in the other one, or says next to nothing, as "make" and "it" do. What limits a statement
(names, numbers and their units, negations, quantities, doubts, directions, causes, who said it) has to stand
in both texts, and names and numbers in the same order.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from contentworker.editorial.rewriting.meaning.equivalents import Equivalents
from contentworker.editorial.rewriting.meaning.normalising import Token

__all__ = ["RULES", "is_reworded", "is_share", "letters_shared"]

RULES = frozenset({"words", "order", "negations", "modality"})
"""Rules whose differences a rewording may explain."""
_SHORTEST_FAMILY = 4
_CHANGED_BY_ENDINGS = 2
"""Letters at its end that a root may lose before an ending: "decide", "decision"."""
_CAUSES = frozenset({"because", "because_of"})
_SHARES = frozenset({"one", "part"})
_Counts = Counter[str]


def is_reworded(before: Sequence[Token], after: Sequence[Token], lists: Equivalents) -> bool:
    """Whether every word that one text has more often than the other is said there by another form."""
    if not lists.is_english or _exact(before) != _exact(after):
        return False
    old, new = (Counter(token.key for token in tokens) for tokens in (before, after))
    if not _limits_agree(old - new, new - old, lists):
        return False
    gone, added = _rest(before, old - new, lists), _rest(after, new - old, lists)
    if not (gone or added):
        return False  # with the same words in another order, nothing tells who does what to whom
    if _is_about_another(gone, added, lists) or _is_turned_round(before, after, lists):
        return False
    if gone and added and all(any(lists.may_stand_for(word.key, new.key) for new in added) for word in gone):
        return False  # nor is it told by words of the same form
    return _are_said(gone, after, lists) and _are_said(added, before, lists)


def _exact(tokens: Sequence[Token]) -> list[str]:
    """Names, numbers, what is counted and shares of a whole, in their order."""
    return [
        token.key
        for at, token in enumerate(tokens)
        if token.is_name
        or ":" in token.key
        or (at and tokens[at - 1].key.startswith("number:"))
        or is_share(tokens, at)
    ]


def is_share(tokens: Sequence[Token], at: int) -> bool:
    """Whether a vague word takes a part of a whole: "one of the oldest" is not "the oldest"."""
    return tokens[at].key in _SHARES and at + 1 < len(tokens) and "of" in tokens[at + 1].gap


def _limits_agree(gone: _Counts, added: _Counts, lists: Equivalents) -> bool:
    """Whether words that limit a statement are the same ones, but for one conjunction for its preposition."""
    lost, put = ([key for key in counts.elements() if key in lists.limiting] for counts in (gone, added))
    if len(lost) == len(put) == 1:
        return any({*lost, *put} <= group for group in lists.clause_words)
    if put or len(lost) > 1:
        return False
    # "Fast" and "quickly", or what may go.
    return all(key in lists.times or any(lists.may_stand_for(key, other) for other in added) for key in lost)


def _rest(tokens: Sequence[Token], counts: _Counts, lists: Equivalents) -> list[Token]:
    return [
        token
        for token in tokens
        if counts[token.key] and not (token.is_name or ":" in token.key or token.key in lists.limiting)
    ]


def _is_about_another(gone: Sequence[Token], added: Sequence[Token], lists: Equivalents) -> bool:
    """Whether one pronoun stands for another, or one vague word."""
    keys = [{token.key for token in tokens} for tokens in (gone, added)]
    persons = [{number for number, person in enumerate(lists.persons) if person & words} for words in keys]
    if all(persons) and persons[0] != persons[1]:
        return True
    return all(keys) and keys[0] | keys[1] <= lists.vague


def _is_turned_round(before: Sequence[Token], after: Sequence[Token], lists: Equivalents) -> bool:
    """Whether what comes first and what causes what may have changed places."""
    both = {token.key for token in before} & {token.key for token in after}
    if not both & ((lists.orders - lists.adjuncts) | _CAUSES):
        return False
    order = [[token.key for token in tokens if token.key in both - lists.vague] for tokens in (before, after)]
    return order[0] != order[1]


def _are_said(words: Iterable[Token], others: Sequence[Token], lists: Equivalents) -> bool:
    """Whether each word says next to nothing, or has a relative in the other text."""
    return all(
        word.key in lists.vague
        or any(_is_relative(word, other, lists) for other in others if other.key != word.key)
        for word in words
    )


def _is_relative(word: Token, other: Token, lists: Equivalents) -> bool:
    if lists.may_stand_for(word.key, other.key):
        return True
    written = word.text.lower(), other.text.lower()
    if written[0] == written[1]:
        return False  # one of them begins a phrase: "gave up", which is not "gave"
    return any(_are_family(one, two, lists.endings) for one, two in ((word.key, other.key), written))


def _are_family(one: str, other: str, endings: frozenset[str]) -> bool:
    """Whether two words are a root with other endings: "decide" and "decision", not "compare", "company"."""
    shared = letters_shared(one, other)
    roots = range(max(_SHORTEST_FAMILY, shared - _CHANGED_BY_ENDINGS), shared + 1)
    return any({one[root:], other[root:]} <= endings for root in roots)


def letters_shared(one: str, other: str) -> int:
    """How many letters two words have in common at their beginning."""
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
