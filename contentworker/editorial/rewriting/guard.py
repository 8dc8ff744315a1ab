"""Refuses a rewrite that does not say what the original says. A net, not a proof.

The thresholds come from a trial with the embedded model. `benchmarks/guard.py` measures how many damaged
rewrites pass and how many harmless ones are refused.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from contentworker.editorial.parsing.language import UNKNOWN, detect_language
from contentworker.editorial.parsing.sentences import sentence_spans, tokenize
from contentworker.editorial.rewriting.meaning.differences import Difference, differences
from contentworker.editorial.rewriting.meaning.equivalents import equivalents
from contentworker.editorial.rewriting.meaning.normalising import (
    abbreviated,
    acronyms_of,
    ends_open,
    names_of,
    plain,
    read,
)
from contentworker.editorial.rewriting.result import Refusal

__all__ = ["is_unchanged", "refusals"]

SENTENCE_LENGTH = (0.45, 1.35)
PARAGRAPH_LENGTH = (0.6, 1.5)
SPARE_CHARACTERS = 40
"""Room for an abbreviation in full, which makes a short sentence much longer."""
MOST_CHARACTERS = 20_000
"""Longer texts are not read word by word; a paragraph has a tenth of it."""
MOST_REPEATED = 0.12
REPEATED_WORDS = 4
SHORTEST_JUDGED_TOKENS = 6
"""Fewer words do not tell their language."""

_MARKUP = re.compile(r"[*_`#<>\[\]{}|~\\]|https?:|^\s*[-+](?=\s)|^\s*\d+[.)](?=\s)")
_CHATTY = re.compile(
    r"\s*(?:here(?:'s| is| are)\b|sure\b|certainly\b|of course\b|okay\b|ok[,.!]|absolutely\b|great\b[!,]"
    r"|i (?:have|can|cannot|can't|am|'m) |i'm |as an ai\b|as a language model\b|the rewritten\b|rewritten\b"
    r"|rewrite\s*:|revised\b|edited\b|note\s*:|hier \w+\b|gerne\b|aquí\b|claro\b|voici\b|bien sûr\b)",
    re.IGNORECASE,
)


def is_unchanged(original: str, rewritten: str) -> bool:
    """Whether the texts are the same but for typographic characters and blanks."""
    return plain(original) == plain(rewritten)


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
    yield from _meaning(original, rewritten, language, is_paragraph=is_paragraph)
    yield from _repetition(original, rewritten)
    if _CHATTY.match(rewritten) and not _CHATTY.match(original):
        yield "chatty", "it begins by talking to someone"
    new = set(_MARKUP.findall(rewritten)) - set(_MARKUP.findall(original))
    if new:
        yield "markup", f"new: {' '.join(sorted(new))}"
    yield from _language(original, rewritten, language)
    shortest, longest = PARAGRAPH_LENGTH if is_paragraph else SENTENCE_LENGTH
    ratio = len(rewritten) / max(1, len(original))
    if ratio < shortest or len(rewritten) > longest * len(original) + SPARE_CHARACTERS:
        yield "length", f"{ratio:.2f} times the original; allowed: {shortest} to {longest}"
    before, after = len(sentence_spans(original)), len(sentence_spans(rewritten))
    if not is_paragraph and after > before + 1:
        yield "sentences", f"{after} sentences for {before}"


def _meaning(original: str, rewritten: str, language: str, *, is_paragraph: bool) -> _Broken:
    """Differences without an allowed reason, one refusal for each kind."""
    before, after = plain(original), plain(rewritten)
    if before == after:
        return
    if max(len(before), len(after)) > MOST_CHARACTERS:
        yield "too long", f"more than {MOST_CHARACTERS:,} characters, and not the same"
        return
    acronyms = acronyms_of((before, after))
    before, after = abbreviated(before, acronyms), abbreviated(after, acronyms)
    lists = equivalents(language)
    if ends_open(after, lists) and not ends_open(before, lists):
        yield "order", f"it ends with {after.split()[-1][-20:]}"
        return
    names = names_of((before, after), language)
    old, new = (read(text, language, lists, names) for text in (before, after))
    by_rule: dict[str, list[Difference]] = {}
    for difference in differences(old, new, lists, is_paragraph=is_paragraph):
        by_rule.setdefault(difference.rule, []).append(difference)
    for rule, found in by_rule.items():
        gone = [word for each in found for word in each.gone]
        added = [word for each in found for word in each.new]
        yield rule, _gone_and_new(gone, added)


def _gone_and_new(gone: Iterable[str], new: Iterable[str]) -> str:
    parts = (("gone", [*islice(gone, 3)]), ("new", [*islice(new, 3)]))
    return "; ".join(f"{name}: {', '.join(words)}" for name, words in parts if words)


def _repetition(original: str, rewritten: str) -> _Broken:
    share = _repeated(tokenize(rewritten))
    if share > max(MOST_REPEATED, _repeated(tokenize(original))):
        yield "repetition", f"{share:.0%} of its runs of {REPEATED_WORDS} words are repeated"


def _repeated(tokens: list[str]) -> float:
    runs = [*zip(*(tokens[skipped:] for skipped in range(REPEATED_WORDS)), strict=False)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _language(original: str, rewritten: str, language: str) -> _Broken:
    tokens = tokenize(rewritten)
    known = language if language != UNKNOWN else detect_language(original, tokenize(original))
    answered = detect_language(rewritten, tokens) if len(tokens) >= SHORTEST_JUDGED_TOKENS else UNKNOWN
    if UNKNOWN not in (known, answered) and answered != known:
        yield "language", f"{answered}, not {known}"
