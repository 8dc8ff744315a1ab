"""How a word that both texts have is bound to the rest: its tense, voice, number, direction and article."""

from collections.abc import Sequence
from itertools import pairwise

from contentworker.editorial.rewriting.meaning.equivalents import Equivalents
from contentworker.editorial.rewriting.meaning.normalising import Token
from contentworker.editorial.rewriting.meaning.turning import (
    BE,
    COMPOUNDING,
    MARKS,
    NUMERIC,
    PARTICIPLES,
    PASTS,
    RELATIVE,
    TENSES,
    auxiliaries,
    begins_sentence,
    sentence_at,
)

__all__ = ["bound_differently", "is_scrambled"]

_DIRECTIONS = frozenset({"to", "from", "by"})
_AFTER_WHICH_FORMS_DIFFER = frozenset({"stop", "remember", "forget", "regret"})
"""Stopped smoking, stopped to smoke."""

_OWNING = {"has": "present", "have": "present", "had": "past"}
"""Tenses before what is no verb."""

_Bound = tuple[str, str, str] | None


def bound_differently(  # noqa: C901, PLR0911 (one kind of bond each)
    before: Sequence[Token], after: Sequence[Token], old: int, new: int, lists: Equivalents
) -> _Bound:
    """What differs between the bindings of a token at `old` and at `new`: rule, as it was, as it is."""
    if not lists.is_english:
        return None
    was, now = before[old], after[new]
    words = auxiliaries(before, old, lists), auxiliaries(after, new, lists)
    if was.key in lists.negations:
        return None  # the verb behind it is looked at with the same words
    if "to" in was.gap + now.gap and "and" in was.gap + now.gap and {was.form, now.form} & PASTS:
        return "tense", _shown(was.gap, was), _shown(now.gap, now)
    # "Hurt" may be any of its forms; "when it is cooked" and "when cooked".
    is_shortened = all(token.form in (*PARTICIPLES, "=") for token in (was, now)) and all(
        _follows_conjunction(tokens, place, lists) for tokens, place in ((before, old), (after, new))
    )
    if (
        not is_shortened
        and was.key != "known_as"
        and "=" not in (was.form, now.form)
        and _tense_differs(before, after, old, new, words)
    ):
        return "tense", _shown(words[0], was), _shown(words[1], now)
    if was.gap != now.gap and (
        _limits_differently(before, after, old, new) or _is_another_verb(before, after, old, new, lists)
    ):
        return "words", f"{before[old - 1].text} {_shown(was.gap, was)}", _shown(now.gap, now)
    if _is_about_another(before, after, old, new):
        return "order", f"{before[old - 1].text} {_shown(was.gap, was)}", f"{after[new - 1].text} {now.text}"
    is_again = _is_named_again(before, old) or _is_named_again(after, new)
    if (
        {was.form, now.form} == {"", "s"}
        and not is_again
        and was.key not in lists.movable
        and not _agrees(before, after, old, new, words, lists)
        and not _is_corrected(before, old, lists)
        and not (_is_generic(before, old, after, new) or _is_generic(after, new, before, old))
        and not (_is_compounded(before, old, after, new) or _is_compounded(after, new, before, old))
    ):
        return "number", was.text, now.text
    shown = _shown(was.gap, was), _shown(now.gap, now)
    if {was.form, now.form} == {"ing", ""} and old and before[old - 1].key in _AFTER_WHICH_FORMS_DIFFER:
        return "words", *shown
    if _direction_differs(was, now):
        return "direction", *shown
    articles = [set(token.gap) & lists.articles for token in (was, now)]
    if all(articles) and not is_again and len({bool(each & lists.definite) for each in articles}) > 1:
        return "article", *shown
    return None


def _limits_differently(  # noqa: PLR0911 (one exception each)
    before: Sequence[Token], after: Sequence[Token], old: int, new: int
) -> bool:
    """Whether a clause limits in one text only: "drivers who drink", "drivers, who drink,"."""
    if not (old and new) or before[old - 1].key != after[new - 1].key:
        return False
    if before[old - 1].is_name or ":" in before[old - 1].key:
        return False
    sides = ((before, old), (after, new))
    if not all(
        RELATIVE.intersection(text[at].gap)
        or (text[at].form in ("ing", "en", "ed") and set(text[at].gap) <= {","})
        for text, at in sides
    ):
        return False
    bare = [text[at] for text, at in sides if not RELATIVE.intersection(text[at].gap)]
    if before[old - 1].form in PASTS or (
        # "The council, which met in May, left" and "the council met in May and left"
        len(bare) == 1
        and bare[0].form == "ed"
        and not any(BE.intersection(text[at].gap) for text, at in sides)
    ):
        return False
    apart = [text[at].gap[:1] == (",",) for text, at in sides]
    if apart[0] == apart[1] or any("." in text[at].gap for text, at in sides):
        return False
    text, at = sides[0] if apart[0] else sides[1]
    begin, _ = sentence_at(text, at)
    if not RELATIVE.intersection(text[at].gap) and any("," in token.gap for token in text[begin + 1 : at]):
        return False  # the comma is the end of an insertion
    is_one = any(
        {"a", "an"}.intersection(word for each in text[max(0, at - 3) : at] for word in each.gap)
        for text, at in sides
    )
    return not is_one


def _is_another_verb(
    before: Sequence[Token], after: Sequence[Token], old: int, new: int, lists: Equivalents
) -> bool:
    """Whether the verb before has a particle in one text only: "to hand in the keys", "to hand the keys"."""
    if not (old and new) or before[old - 1].key != after[new - 1].key:
        return False
    if ":" in before[old].key or before[old].text[:1].isupper():
        return False  # a time, as in "moved on Monday"
    known = lists.particles.get(before[old - 1].key, frozenset())
    sides = (before[old].gap, after[new].gap), (after[new].gap, before[old].gap)
    return any(gap and gap[0] in known and gap[0] not in other for gap, other in sides)


def _is_about_another(before: Sequence[Token], after: Sequence[Token], old: int, new: int) -> bool:
    """Whether "which" or "who" follows another word: "it hit a boat, which sank", "it, which sank"."""
    if not (old and new) or before[old - 1].key == after[new - 1].key:
        return False
    if not all(
        {"which", "who", "whose", "whom"}.intersection(text[at].gap)
        for text, at in ((before, old), (after, new))
    ):
        return False
    heads = before[old - 1].key, after[new - 1].key
    return all(head in {token.key for token in text} for text in (before, after) for head in heads)


def _follows_conjunction(tokens: Sequence[Token], place: int, lists: Equivalents) -> bool:
    if place and tokens[place - 1].key in lists.pronouns:
        place -= 1
    return place > 0 and tokens[place - 1].key in lists.adjuncts


def _is_generic(tokens: Sequence[Token], place: int, others: Sequence[Token], other: int) -> bool:
    """Whether a sentence is about all of a kind: "a tiger is an animal", "tigers are animals"."""
    many = others[other]
    sides = ((tokens, place), (others, other))
    near = [{word for each in text[max(0, at - 1) : at + 1] for word in each.gap} for text, at in sides]
    if not {"a", "an"}.intersection(near[0]) or many.form != "s" or {"a", "an", "the"}.intersection(many.gap):
        return False
    if "is" in near[0] and "are" in near[1]:
        return True  # the noun of a predicate
    behind = [text[at + 1] for text, at in sides if at + 1 < len(text)]
    if not (begins_sentence(tokens, place) and begins_sentence(others, other)) or len(behind) < 2:  # noqa: PLR2004
        return False
    is_state = "is" in behind[0].gap and "are" in behind[1].gap and behind[0].form in ("", "s")
    return is_state or (behind[0].form == "s" and not behind[1].form and not (behind[0].gap or behind[1].gap))


def _is_corrected(tokens: Sequence[Token], place: int, lists: Equivalents) -> bool:
    """Whether its number is wrong: "many student", "bees dances"; or says nothing, after "no"."""
    if not place:
        return False
    token, before = tokens[place], tokens[place - 1]
    if before.key in lists.negations:
        return True
    if token.form:
        return before.form == token.form and not token.gap
    return before.key in lists.plural or (before.key.startswith("number:") and before.key != "number:1")


def is_scrambled(gap: Sequence[str], lists: Equivalents) -> bool:
    """Whether function words stand as in no sentence: "the the", "by from by", "a of"."""
    words = [word for word in gap if word not in MARKS]
    return any(one == other or one in lists.articles for one, other in pairwise(words))


def _shown(gap: Sequence[str], token: Token) -> str:
    return " ".join([*(word for word in gap if word not in MARKS), token.text])


def _is_named_again(tokens: Sequence[Token], place: int) -> bool:
    """Whether a text names the same thing a second time, as "the" one."""
    return sum(token.key == tokens[place].key for token in tokens) > 1


def _tense_differs(
    before: Sequence[Token], after: Sequence[Token], old: int, new: int, words: tuple[tuple[str, ...], ...]
) -> bool:
    was, now = before[old], after[new]
    tenses = [_tense(token, gap) for token, gap in zip((was, now), words, strict=True)]
    if all(tenses) and len(set(tenses)) > 1:
        return True
    if {_finite(was, words[0]), _finite(now, words[1])} == {"past", "present"}:
        return True
    voices = [bool(BE.intersection(gap)) for gap in words]
    participles = [token.form in PARTICIPLES for token in (was, now)]
    if not any(voice and participle for voice, participle in zip(voices, participles, strict=True)):
        return False
    if voices[0] == voices[1] and all(participles):
        return False
    if not all(token.form in ("ed", "en", "pa") for token in (was, now)):
        # One is passive, the other is no participle at all.
        return {was.form, now.form} != {"ing", "ed"}
    # "Which was built" and "built": the other one has to be a participle as well.
    bare, other = (now, words[1]) if voices[0] else (was, words[0])
    return not (
        bare.form == "en"
        or RELATIVE.intersection((*words[0], *words[1]))
        or MARKS.intersection((*was.gap, *now.gap))
        or "and" in other
        or begins_sentence(before, old)
        or begins_sentence(after, new)
    )


def _tense(token: Token, gap: Sequence[str]) -> str:
    """The tense that the last auxiliary shows, or a form that can only be a past, else nothing."""
    for word in reversed(gap):
        if word in _OWNING and token.key.startswith(NUMERIC):
            return _OWNING[word]
        if word in ("have", "has") and {"did", "does"}.intersection(gap):
            return "past perfect" if "did" in gap else "perfect"
        if word in TENSES:
            # "He has went" is wrong for "he went" or "he has gone".
            return "" if token.form == "pa" and TENSES[word] == "perfect" else TENSES[word]
        if word == "to":
            return ""
    return "past" if token.form == "pa" else ""


def _finite(token: Token, gap: Sequence[str]) -> str:
    """What a form shows that no auxiliary explains: "closed" and "closes"."""
    if any(word in TENSES or word in BE or word == "to" for word in gap):
        return ""
    return {"ed": "past", "pa": "past", "s": "present", "": "present", "?": "present"}.get(token.form, "")


def _agrees(  # noqa: PLR0917 (both texts, both places)
    before: Sequence[Token],
    after: Sequence[Token],
    old: int,
    new: int,
    words: tuple[tuple[str, ...], ...],
    lists: Equivalents,
) -> bool:
    """Whether "need" and "needs" differ since another word does: a verb goes with its subject."""
    if {*words[0], *words[1]} & {"to", "do", "does", "did", *RELATIVE} or before[old].key in lists.modals:
        return True
    if old + 1 < len(before) and new + 1 < len(after):
        gaps = set(before[old + 1].gap), set(after[new + 1].gap)
        if all(gap & {*lists.articles, "that"} and not gap & (MARKS | {"of", "and"}) for gap in gaps):
            return True  # "the chart shows the": no noun stands before an article
    for step in (-1, 1):
        if 0 <= old + step < len(before) and 0 <= new + step < len(after):
            one, two = before[old + step], after[new + step]
            if {one.key, two.key} & (lists.pronouns | lists.modals):
                return True
            if one.key == two.key and {one.form, two.form} == {"", "s"}:
                return True
    return False


def _is_compounded(tokens: Sequence[Token], place: int, others: Sequence[Token], other: int) -> bool:
    """Whether a plural after a preposition is a singular before the same noun: "ban on cars", "car ban"."""
    if not other or place + 1 >= len(tokens) or tokens[place].form or tokens[place + 1].gap:
        return False
    before = range(max(0, other - 4), other)
    return any(
        others[at].key == tokens[place + 1].key
        and any(COMPOUNDING.intersection(each.gap) for each in others[at + 1 : other + 1])
        for at in before
    )


def _direction_differs(was: Token, now: Token) -> bool:
    directions = [_DIRECTIONS.intersection(token.gap) for token in (was, now)]
    if all(directions) and not directions[0] & directions[1]:
        return True
    if not was.key.startswith(NUMERIC):
        return False
    # Before a quantity each of them says something else: by 5, to 5, for 5, in 5.
    kinds = [set(token.gap) & {"to", "by", "from", "for", "with"} for token in (was, now)]
    others = [set(token.gap) & {"in", "on", "of", "at"} for token in (was, now)]
    return kinds[0] != kinds[1] and all(kind or other for kind, other in zip(kinds, others, strict=True))
