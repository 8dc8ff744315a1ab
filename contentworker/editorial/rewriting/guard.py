"""Refuses a rewrite that does not say what the original says. A net, not a proof.

The thresholds come from a trial with the embedded model. `benchmarks/guard.py` measures how many damaged
rewrites pass and how many harmless ones are refused.
"""

# ruff: noqa: RUF001 -- the punctuation of other languages is what it looks for

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path

from contentworker.editorial.aeo.terms import stemmer
from contentworker.editorial.parsing.language import STOP_WORDS, UNKNOWN, detect_language, lists, words
from contentworker.editorial.parsing.sentences import sentence_spans, tokenize
from contentworker.editorial.rewriting.result import Refusal

__all__ = ["is_unchanged", "refusals"]

UNCHANGED_SIMILARITY = 0.97
MOST_COMPARED_CHARACTERS = 3_000
"""Bounds the comparison by letter, which takes the square of the length. 120 words are a third of it."""
SENTENCE_LENGTH = (0.45, 1.35)
PARAGRAPH_LENGTH = (0.6, 1.5)
MOST_REPEATED = 0.12
REPEATED_WORDS = 4
MOST_NEW_CONTENT = 0.5
LEAST_RECALL = 0.75
SHORTEST_JUDGED_TOKENS = 6
"""Fewer words do not tell their language."""

# An address begins where a run of its characters does. A search from each of them would take the square of a
# long word.
_LINK = re.compile(
    r"(?:https?://|www\.)[^\s<>()\"']+|(?<![\w.+-])[\w.+-]++@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE
)
_NUMBER = re.compile(
    r"([$€£¥]?)\s?(?<![\w.,])(\d[\d.,\u00a0\u202f]*\d|\d)\s?(%|°\s?[CF]?|[A-Za-zµ€$£¥/²³]+)?"
)
_QUOTED = re.compile(r"“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|(?<!\w)\"([^\"]+)\"(?!\w)")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_I = re.compile(r"I(?:['’](?:m|ve|ll|d))?")
_MARKUP = re.compile(r"[*_`#<>\[\]{}|~\\]|https?:|^\s*[-+](?=\s)|^\s*\d+[.)](?=\s)")
_NOT_FROM = re.compile(r"n['’]t\b", re.IGNORECASE)
_CHATTY = re.compile(
    r"\s*(?:here(?:'s| is| are)\b|sure\b|certainly\b|of course\b|okay\b|ok[,.!]|absolutely\b|great\b[!,]"
    r"|i (?:have|can|cannot|can't|am|'m) |i'm |as an ai\b|as a language model\b|the rewritten\b|rewritten\b"
    r"|rewrite\s*:|revised\b|edited\b|note\s*:|hier \w+\b|gerne\b|aquí\b|claro\b|voici\b|bien sûr\b)",
    re.IGNORECASE,
)

NEGATIONS = words("negations")
COMPARISONS: dict[str, dict[str, str]] = {
    language: {word: kind for kind, text in kinds.items() for word in text.split()}
    for language, kinds in lists("comparisons").items()
}
NUMBER_WORDS: dict[str, dict[str, str]] = {
    language: {word: str(value) for value, word in enumerate(text.split(), 2)}
    | lists("other_numbers").get(language, {})
    for language, text in lists("numbers_from_two").items()
}
UNITS: dict[str, str] = {
    spelling: unit
    for unit, spellings in tomllib.loads(Path(__file__).with_name("units.toml").read_text("utf-8")).items()
    for spelling in spellings.split()
}
"""What each spelling of a unit counts as."""


def is_unchanged(original: str, rewritten: str) -> bool:
    """Whether the answer is so similar to the original that it is no rewrite."""
    if original == rewritten or max(len(original), len(rewritten)) > MOST_COMPARED_CHARACTERS:
        return original == rewritten
    return SequenceMatcher(None, original, rewritten, autojunk=False).ratio() > UNCHANGED_SIMILARITY


def refusals(
    original: str, rewritten: str, language: str, *, is_paragraph: bool = False
) -> tuple[Refusal, ...]:
    """Every rule that a rewrite of a sentence, or of a paragraph, breaks. Without any it may stand.

    Args:
        original: The original, plain text.
        rewritten: The model's answer, plain text.
        language: ISO 639 code of the article's language, or `und`.
        is_paragraph: More than a sentence: it may grow and shrink less, and may hold several sentences.
    """
    if not rewritten.strip():
        return (Refusal(rule="empty", detail="the model answered nothing"),)
    broken = _broken(original, rewritten, language, is_paragraph=is_paragraph)
    return tuple(Refusal(rule=rule, detail=detail) for rule, detail in broken)


_Broken = Iterator[tuple[str, str]]
"""Names of rules with details, which go to people: the facts that differ, never the text around them."""


def _broken(original: str, rewritten: str, language: str, *, is_paragraph: bool) -> _Broken:
    yield from _same("numbers", _numbers, original, rewritten, language)
    yield from _same("links", _links, original, rewritten, language)
    yield from _same("quotations", _quotations, original, rewritten, language)
    yield from _names(original, rewritten)
    yield from _same("negations", _negations, original, rewritten, language)
    yield from _same("comparisons", _comparisons, original, rewritten, language)
    yield from _repetition(original, rewritten)
    yield from _content(original, rewritten, language)
    if _CHATTY.match(rewritten) and not _CHATTY.match(original):
        yield "chatty", "it begins by talking to someone"
    new = set(_MARKUP.findall(rewritten)) - set(_MARKUP.findall(original))
    if new:
        yield "markup", f"new: {' '.join(sorted(new))}"
    yield from _language(original, rewritten, language)
    shortest, longest = PARAGRAPH_LENGTH if is_paragraph else SENTENCE_LENGTH
    ratio = len(rewritten) / max(1, len(original))
    if not shortest <= ratio <= longest:
        yield "length", f"{ratio:.2f} times the original; allowed: {shortest} to {longest}"
    before, after = len(sentence_spans(original)), len(sentence_spans(rewritten))
    if not is_paragraph and after > before + 1:
        yield "sentences", f"{after} sentences for {before}"


def _gone_and_new(gone: Iterable[str], new: Iterable[str]) -> str:
    parts = (("gone", [*islice(gone, 3)]), ("new", [*islice(new, 3)]))
    return "; ".join(f"{name}: {', '.join(words)}" for name, words in parts if words)


_Facts = Callable[[str, str], Counter[str]]


def _same(rule: str, facts: _Facts, original: str, rewritten: str, language: str) -> _Broken:
    before, after = facts(original, language), facts(rewritten, language)
    if before != after:
        yield rule, _gone_and_new((before - after).elements(), (after - before).elements())


def _numbers(text: str, language: str) -> Counter[str]:
    """Numbers with their units, such as 48 % and $3, also in words, but not those in links."""
    words = NUMBER_WORDS.get(language, {})
    text = _WORD.sub(lambda match: words.get(match[0].lower(), match[0]), _LINK.sub(" ", text))
    numbers: Counter[str] = Counter()
    for sign, number, unit in _NUMBER.findall(text):
        value = number.replace("\u00a0", "").replace("\u202f", "")
        numbers[f"{sign}{value}{UNITS.get(_bare(unit), '')}"] += 1
    return numbers


def _bare(unit: str) -> str:
    return unit.strip().lower().replace("° ", "°")


def _links(text: str, _language: str) -> Counter[str]:
    return Counter(match.rstrip(".,;:!?") for match in _LINK.findall(text))


def _quotations(text: str, _language: str) -> Counter[str]:
    return Counter(" ".join(next(filter(None, parts)).split()) for parts in _QUOTED.findall(text))


def _names(original: str, rewritten: str) -> _Broken:
    """Compare words with a capital in mid-sentence; the other side may have them at the beginning as well."""
    gone = _capitals(original, mid_sentence=True) - _capitals(rewritten, mid_sentence=False)
    new = _capitals(rewritten, mid_sentence=True) - _capitals(original, mid_sentence=False)
    if gone or new:
        yield "names", _gone_and_new(sorted(gone), sorted(new))


def _capitals(text: str, *, mid_sentence: bool) -> set[str]:
    capitals: set[str] = set()
    for start, end in sentence_spans(text):
        words = _WORD.findall(text, start, end)
        for word in words[1:] if mid_sentence else words:
            if word[0].isupper() and not _I.fullmatch(word):
                capitals.add(re.sub(r"['’]s$", "", word))
    return capitals


def _negations(text: str, language: str) -> Counter[str]:
    words = NEGATIONS.get(language, frozenset())
    count = sum(token in words for token in tokenize(text))
    if language == "en":
        count += len(_NOT_FROM.findall(text))
    return Counter({"negation": count} if count else {})


def _comparisons(text: str, language: str) -> Counter[str]:
    words = COMPARISONS.get(language, {})
    return Counter(words[token] for token in tokenize(text) if token in words)


def _repetition(original: str, rewritten: str) -> _Broken:
    share = _repeated(tokenize(rewritten))
    if share > max(MOST_REPEATED, _repeated(tokenize(original))):
        yield "repetition", f"{share:.0%} of its runs of {REPEATED_WORDS} words are repeated"


def _repeated(tokens: list[str]) -> float:
    runs = [*zip(*(tokens[skipped:] for skipped in range(REPEATED_WORDS)), strict=False)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _content(original: str, rewritten: str, language: str) -> _Broken:
    before, after = _content_stems(original, language), _content_stems(rewritten, language)
    if not before or not after:
        return
    new = len(after - before) / len(after)
    if new > MOST_NEW_CONTENT:
        yield "new words", f"{new:.0%} of its content words are new"
    recall = len(before & after) / len(before)
    if recall < LEAST_RECALL:
        yield "recall", f"only {recall:.0%} of the original's content words are left"


def _content_stems(text: str, language: str) -> set[str]:
    """Stems of the content words, without numbers and units, which have a rule of their own."""
    left_out = {*STOP_WORDS.get(language, ()), *NUMBER_WORDS.get(language, ()), *UNITS}
    stem = stemmer(language)
    tokens = tokenize(_LINK.sub(" ", text))
    return {stem(token) for token in tokens if token not in left_out and not token[0].isdigit()}


def _language(original: str, rewritten: str, language: str) -> _Broken:
    tokens = tokenize(rewritten)
    known = language if language != UNKNOWN else detect_language(original, tokenize(original))
    answered = detect_language(rewritten, tokens) if len(tokens) >= SHORTEST_JUDGED_TOKENS else UNKNOWN
    if UNKNOWN not in (known, answered) and answered != known:
        yield "language", f"{answered}, not {known}"
