"""The same said in another order or construction: what the guard turns round before it compares.

Each turn gives another reading of a text that says the same: the active for a passive, a verb for a noun with
a verb that says nothing. A turn is tried, and counts only if the texts differ less by it.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from contentworker.editorial.rewriting.meaning.equivalents import Equivalents
from contentworker.editorial.rewriting.meaning.normalising import Token

__all__ = [
    "BE",
    "COMPOUNDING",
    "COORDINATORS",
    "LONGEST_AGENT",
    "MARKS",
    "NOUN_ENDINGS",
    "NUMERIC",
    "PARTICIPLES",
    "PASTS",
    "RELATIVE",
    "TENSES",
    "auxiliaries",
    "begins_clause",
    "begins_sentence",
    "ends_clause",
    "is_adverb",
    "said_in_order",
    "sentence_at",
    "turns",
]

LONGEST_AGENT = 9
LONGEST_NOUN_PHRASE = 14
LONGEST_SPEAKER = 4
NOUN_ENDINGS = ("tion", "ment", "sion", "ance", "ence", "al", "ure", "ysis", "ing", "y")
COORDINATORS = frozenset({"and", "but", "or"})
_JOINED = frozenset({",", "and", "or"})
MARKS = frozenset({",", ";", ":", "."})
BE = frozenset({"am", "is", "are", "was", "were", "be", "been", "being", "'s"})
TENSES = {
    **dict.fromkeys(("am", "is", "are", "do", "does", "'s"), "present"),
    **dict.fromkeys(("was", "were", "did"), "past"),
    **dict.fromkeys(("has", "have"), "perfect"),
    "had": "past perfect",
}
COMPOUNDING = frozenset({"of", "for", "at", "on", "in"})
"""Prepositions for which a noun before another one stands: "a ban on cars", "a car ban"."""
PARTICIPLES = frozenset({"ed", "en"})
PASTS = frozenset({"ed", "pa"})
RELATIVE = frozenset({"which", "that", "who", "whom", "whose", "where"})
NUMERIC = ("number:", "fraction:", "ordinal:", "date:", "decade:", "time:", "unit:")


def begins_clause(tokens: Sequence[Token], place: int) -> bool:
    """Whether a mark or "and" stands before the token, or nothing."""
    return place == 0 or bool(MARKS.union(COORDINATORS).intersection(tokens[place].gap))


def ends_clause(tokens: Sequence[Token], place: int) -> bool:
    """Whether a clause ends before `place`."""
    return place >= len(tokens) or begins_clause(tokens, place)


def begins_sentence(tokens: Sequence[Token], place: int) -> bool:
    """Whether the token is the first of a sentence."""
    return place == 0 or "." in tokens[place].gap


def sentence_at(tokens: Sequence[Token], place: int) -> tuple[int, int]:
    """Where the sentence of a token begins, and where the next one does."""
    start = next(at for at in range(place, -1, -1) if begins_sentence(tokens, at))
    return start, next(
        (at for at in range(place + 1, len(tokens)) if begins_sentence(tokens, at)), len(tokens)
    )


def is_adverb(token: Token, lists: Equivalents) -> bool:
    """Whether a token may stand between an auxiliary and its verb, and says nothing about who does what."""
    is_manner = token.text.lower().endswith("ly") and not token.is_name
    return token.key in lists.movable or (is_manner and token.key not in lists.fixed)


def auxiliaries(tokens: Sequence[Token], place: int, lists: Equivalents) -> tuple[str, ...]:
    """Function words before a token and before what may stand between them: not, modals, adverbs."""
    words: tuple[str, ...] = ()
    for at in range(place, max(-1, place - 4), -1):
        gap = tokens[at].gap
        marks = [number for number, word in enumerate(gap) if word in MARKS]
        words = (*gap[marks[-1] + 1 if marks else 0 :], *words)
        if marks or not at:
            break
        before = tokens[at - 1]
        if not (before.key == "not" or before.key in lists.modals or is_adverb(before, lists)):
            break
    return words


def turns(tokens: Sequence[Token], lists: Equivalents) -> Iterator[list[Token]]:
    """Other readings of a text, each with one construction turned round."""
    yield from _verbs(tokens, lists)
    yield from _nominal(tokens)
    yield from _cleft(tokens)
    yield from _subject_once(tokens)
    yield from _active(tokens, lists)


def said_in_order(tokens: Sequence[Token], lists: Equivalents) -> list[Token]:
    """The text with each speaker in front: `"…," said Ann` as `Ann said "…"`."""
    found: list[Token] = []
    starts = [at for at in range(len(tokens)) if begins_sentence(tokens, at)]
    for start, end in pairwise([*starts, len(tokens)]):
        found += _said(tokens[start:end], lists)
    return found


def _says(token: Token, lists: Equivalents) -> bool:
    """Whether it is a verb of saying or finding, and no noun: "the report", "a claim"."""
    return token.key in lists.say and not lists.articles.intersection(token.gap)


def _tells(token: Token, lists: Equivalents) -> bool:
    """The same, or a verb of finding, behind who does it."""
    return _says(token, lists) or token.key in lists.findings


def _parenthetical(sentence: Sequence[Token], lists: Equivalents) -> Sequence[Token]:
    """As in "The plan, he says, is good" as "he says the plan is good"."""
    for verb in range(2, len(sentence) - 1):
        if (
            not _tells(sentence[verb], lists)
            or "," not in sentence[verb + 1].gap
            or sentence[verb].form == "ing"
            or sentence[verb + 1].key.startswith("quote:")
        ):
            continue
        for start in range(verb - 1, max(0, verb - LONGEST_SPEAKER - 1), -1):
            gap = sentence[start].gap
            if "," in gap and not (RELATIVE | COORDINATORS).intersection(gap):
                first = sentence[start]._replace(gap=tuple(word for word in gap if word != ","))
                after = sentence[verb + 1]._replace(
                    gap=tuple(word for word in sentence[verb + 1].gap if word != ",")
                )
                rest = [*sentence[:start], after, *sentence[verb + 2 :]]
                return [first, *sentence[start + 1 : verb + 1], *rest]
            if MARKS.intersection(gap):
                break
    return sentence


def _is_adjunct(token: Token, lists: Equivalents) -> bool:
    return not lists.adjuncts.union(lists.spans).isdisjoint({token.key, *token.gap})


def _said(sentence: Sequence[Token], lists: Equivalents) -> Sequence[Token]:
    sentence = _parenthetical(sentence, lists)
    size = len(sentence)
    for start in range(size - 1, max(0, size - LONGEST_AGENT - 1), -1):
        gap = sentence[start].gap
        if not (sentence[start - 1].key.startswith("quote:") or "," in gap) or COORDINATORS.intersection(gap):
            continue
        tail = sentence[start:]
        verb = next((at for at, token in enumerate(tail) if (_tells if at else _says)(token, lists)), None)
        if verb is None or tail[verb].form in ("ing", "en") or verb > LONGEST_AGENT // 2:
            return sentence
        if verb:
            speaker, rest = tail[:verb], tail[verb + 1 :]
        else:
            stop = next(
                (
                    at
                    for at in range(2, len(tail))
                    if {tail[at].key, *tail[at].gap} & (lists.adjuncts | MARKS)
                ),
                len(tail),
            )
            if (
                stop < len(tail)
                and "," in tail[stop].gap
                and not (tail[stop].form == "ing" or COORDINATORS.intersection(tail[stop].gap))
            ):
                stop = len(tail)  # "said Ann, the mayor"
            speaker, rest = tail[1:stop], tail[stop:]
        if not speaker:
            return sentence
        if verb and rest and _is_adjunct(sentence[0], lists) and not _is_adjunct(rest[0], lists):
            return sentence  # "in a letter, Ann said that it was late"
        opening = tuple(word for word in sentence[0].gap if word in MARKS)
        first = speaker[0]._replace(gap=(*opening, *(w for w in speaker[0].gap if w not in MARKS)))
        content = sentence[0]._replace(gap=(",", *(w for w in sentence[0].gap if w not in MARKS)))
        said = tail[verb]._replace(gap=tuple(word for word in tail[verb].gap if word not in MARKS))
        return [first, *speaker[1:], said, *rest, content, *sentence[1:start]]
    return sentence


def _verbs(tokens: Sequence[Token], lists: Equivalents) -> Iterator[list[Token]]:
    """As in "Made an adjustment" as "adjustment" with the form of the verb that says nothing."""
    for at, token in enumerate(tokens[:-1]):
        if token.key not in lists.light or token.is_name:
            continue
        size = 2 if tokens[at + 1].key in ("its", "their", "his", "her", "our", "my") else 1
        noun = tokens[at + size] if at + size < len(tokens) else None
        if noun is not None and not (MARKS | {"to"}).intersection(noun.gap):
            turned = noun._replace(form=token.form or "?", gap=token.gap)
            yield [*tokens[:at], turned, *tokens[at + size + 1 :]]


def _nominal(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "The arrival of the train" as "the train" and "arrival", which may then be a verb."""
    for at in range(len(tokens) - 1):
        if "of" not in tokens[at + 1].gap or not tokens[at].text.lower().endswith(NOUN_ENDINGS):
            continue
        for end in range(at + 2, min(len(tokens), at + 5) + 1):
            owner = tokens[at + 1]._replace(gap=tokens[at].gap)
            noun = tokens[at]._replace(form="noun", gap=())
            yield [*tokens[:at], owner, *tokens[at + 2 : end], noun, *tokens[end:]]


def _cleft(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "It was the storm that broke it" as "the storm broke it"."""
    for at in range(len(tokens) - 1):
        if tokens[at].key != "it" or not begins_clause(tokens, at) or not BE.intersection(tokens[at + 1].gap):
            continue
        for that in range(at + 2, min(len(tokens), at + LONGEST_AGENT)):
            if {"that", "who", "which"}.intersection(tokens[that].gap):
                first = tokens[at + 1]
                gap = (*tokens[at].gap, *(word for word in first.gap if word not in BE))
                yield [*tokens[:at], first._replace(gap=gap), *tokens[at + 2 :]]
                if first.key == "not":
                    # "It was not until May that it opened" as "it did not open until May"
                    _, end = sentence_at(tokens, that)
                    head = tokens[that]._replace(gap=tokens[at].gap)
                    for verb in range(that + 1, min(end, that + 5)):
                        yield [
                            *tokens[:at],
                            head,
                            *tokens[that + 1 : verb],
                            first,
                            *tokens[verb:end],
                            *tokens[at + 2 : that],
                            *tokens[end:],
                        ]
                break


def _subject_once(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """As in "The mill is old. The mill is tall." with its second subject left out."""
    starts = [at for at in range(len(tokens)) if begins_sentence(tokens, at)]
    for first, again in pairwise(starts):
        if tokens[first].key == tokens[again].key and again + 1 < len(tokens):
            after = tokens[again + 1]
            marks = tuple(word for word in tokens[again].gap if word in MARKS)
            yield [*tokens[:again], after._replace(gap=(*marks, *after.gap)), *tokens[again + 2 :]]


def _passive(tokens: Sequence[Token], place: int, lists: Equivalents) -> bool:
    token = tokens[place]
    may_be = token.form in (*PARTICIPLES, "=") or token.text.lower() in lists.bare_participles
    return may_be and bool(BE.intersection(auxiliaries(tokens, place, lists)))


def _active(tokens: Sequence[Token], lists: Equivalents) -> Iterator[list[Token]]:
    """The text with a passive put into the active: "Y was built by X" as "X built Y"."""
    for verb in range(1, len(tokens)):
        if not _passive(tokens, verb, lists):
            continue
        for by in range(verb + 1, min(len(tokens), verb + LONGEST_AGENT)):
            if "by" not in tokens[by].gap:
                continue
            sentence, _ = sentence_at(tokens, verb)
            starts = [sentence, *(at for at in range(sentence + 1, verb) if begins_clause(tokens, at))]
            # Not the conjunction: "when the bell is rung by Ann".
            behind = [at + 1 for at in range(sentence, verb - 1) if tokens[at].key in lists.adjuncts]
            for start in dict.fromkeys((sentence, *starts[-2:], *behind[-1:])):
                for end in range(by + 1, min(len(tokens), by + LONGEST_NOUN_PHRASE) + 1):
                    yield _turned(tokens, start, verb, by, end, lists)


def _turned(  # noqa: PLR0917 (places in the text, in its order)
    tokens: Sequence[Token], start: int, verb: int, by: int, end: int, lists: Equivalents
) -> list[Token]:
    words = auxiliaries(tokens, verb, lists)
    tense = next((TENSES[word] for word in words if word in TENSES), "")
    # Of a present the passive does not tell whether the active ends in s.
    form = {"past": "ed"}.get(tense, tokens[verb].form if tense.startswith(("past", "perf")) else "?")
    kept = tuple(word for word in tokens[verb].gap if word not in BE)
    opening = tuple(word for word in tokens[start].gap if word in MARKS or word in COORDINATORS)
    agent = [
        tokens[by]._replace(gap=(*opening, *(w for w in tokens[by].gap if w != "by"))),
        *tokens[by + 1 : end],
    ]
    if len(agent) == 1 and agent[0].key == "her":
        agent = [agent[0]._replace(key="she")]
    last = verb  # "is washed, cut and dried by"
    while last + 1 < by and tokens[last + 1].form in PARTICIPLES and set(tokens[last + 1].gap) <= _JOINED:
        last += 1
    others = [token._replace(form=form) for token in tokens[verb + 1 : last + 1]]
    middle = [tokens[verb]._replace(form=form, gap=kept), *others, *tokens[last + 1 : by]]
    patient = [
        tokens[start]._replace(gap=tuple(word for word in tokens[start].gap if word not in opening)),
        *tokens[start + 1 : verb],
    ]
    # What stands between the patient and the verb - not, modals, adverbs - belongs to the verb.
    moved = 0
    while len(patient) > 1 and (
        patient[-1].key == "not" or patient[-1].key in lists.modals or is_adverb(patient[-1], lists)
    ):
        middle.insert(0, patient.pop()._replace(gap=()))
        moved += 1
    moved += 1 + last - verb
    return [*tokens[:start], *agent, *middle[:moved], *patient, *middle[moved:], *tokens[end:]]
