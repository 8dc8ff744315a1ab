"""From an article and recommendations to a rewrite: what is asked about, and what is put in its place."""

import html
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import ndiff
from typing import NamedTuple

from contentworker.editorial.aeo import Recommendation
from contentworker.editorial.document import Document, Passage, Sentence
from contentworker.editorial.parsing.sentences import sentence_spans
from contentworker.editorial.rewriting.guard import is_unchanged, refusals
from contentworker.editorial.rewriting.model import Completion, Model, ModelNotRunError, ModelUncertainError
from contentworker.editorial.rewriting.prompts import Message, messages
from contentworker.editorial.rewriting.result import Change, Left, LeftReason, Mode, Rewrite
from contentworker.editorial.settings import LlmSettings
from contentworker.errors import ContentError

__all__ = ["rewrite"]

Complete = Callable[[Sequence[Message], int], Completion]

SHORTEST_WORDS = 5
TOKENS_PER_WORD = 2.5
SPARE_TOKENS = 20
THROUGHOUT = frozenset({"readability", "self_containment", "stuffing", "promotional"})
"""May be wrong with every sentence: a recommendation without a place is then for the whole article."""


class _Unit(NamedTuple):
    """What the model is asked about at once: a sentence, or the sentences of a paragraph."""

    text: str
    start: int
    end: int
    words: int
    advice: tuple[str, ...]


class _Tokens:
    prompt = 0
    completion = 0


def rewrite(
    document: Document,
    recommendations: Sequence[Recommendation],
    *,
    model: Model,
    mode: Mode,
    settings: LlmSettings,
    question: str | None = None,
    complete: Complete | None = None,
    is_time_over: Callable[[], bool] = lambda: False,
) -> Rewrite:
    """Have a model work on the recommended places of an article.

    Args:
        document: The article.
        recommendations: Those of its AEO score; the places that they name are asked about, in their order.
        model: Who is asked.
        mode: `edit` sentence by sentence; `restructure` and `answer_first` by paragraph, by a provider alone.
        settings: The sentence budget.
        question: What `answer_first` is to answer.
        complete: What every question goes through instead of `model.complete`, to count and to limit.
        is_time_over: Asked before each; once it is true the rest is left.

    Raises:
        ContentError: `mode` needs a provider.
        ModelRefusesError: the model cannot be used.
        ModelNotRunError, ModelUncertainError: it failed at the first question; a later one leaves the rest.
    """
    if mode != "edit" and model.is_embedded:
        raise ContentError(
            "mode", f"{mode} needs a provider: set `llm.base_url`; the embedded model can only edit"
        )
    started = time.monotonic()
    ask = complete or model.complete
    units, left = _chosen(document, recommendations, mode, settings.max_sentences)
    changes: list[Change] = []
    tokens = _Tokens()
    for number, unit in enumerate(units):
        if is_time_over():
            left += _rest(units[number:], "time")
            break
        asked = messages(mode, unit.text, question=question, advice=unit.advice, small=model.is_embedded)
        try:
            found = ask(asked, round(TOKENS_PER_WORD * unit.words) + SPARE_TOKENS)
        except (ModelNotRunError, ModelUncertainError):
            if not changes:
                raise
            left += _rest(units[number:], "model")  # what was paid for is kept
            break
        tokens.prompt += found.prompt_tokens
        tokens.completion += found.completion_tokens
        changes.append(_judged(unit, found.text, document.language, is_paragraph=mode != "edit"))
    changes.sort(key=lambda change: change.start)
    text = _put(document, changes)
    return Rewrite(
        text=text,
        changed=text != document.source,
        changes=tuple(changes),
        diff=tuple(_diff(changes)),
        left=tuple(sorted(left, key=lambda item: item.start)),
        mode=mode,
        model=model.name,
        provider=model.provider,
        prompt_tokens=tokens.prompt,
        completion_tokens=tokens.completion,
        cost=model.cost(tokens.prompt, tokens.completion),
        seconds=time.monotonic() - started,
    )


def _rest(units: Iterable[_Unit], reason: LeftReason) -> list[Left]:
    return [Left(reason=reason, start=unit.start, end=unit.end) for unit in units]


def _chosen(
    document: Document, recommendations: Sequence[Recommendation], mode: Mode, max_sentences: int
) -> tuple[list[_Unit], list[Left]]:
    """The units to ask about, the most useful first, and what is recommended but left."""
    split = _sentences if mode == "edit" else _paragraphs
    units = [unit for passage in document.passages for unit in split(document, passage)]
    chosen: dict[tuple[int, int], _Unit] = {}
    left: dict[tuple[int, int], Left] = {}
    sentences = 0
    for advice in recommendations:
        for unit, reason in units:
            place = unit.start, unit.end
            if not _is_meant(unit, advice) or place in left:
                continue
            if place in chosen:
                known = chosen[place]
                if advice.text not in known.advice:
                    chosen[place] = known._replace(advice=(*known.advice, advice.text))
                continue
            size = len(sentence_spans(unit.text))
            if reason is None and sentences + size > max_sentences:
                reason = "budget"
            if reason is not None:
                left[place] = Left(reason=reason, start=unit.start, end=unit.end)
                continue
            chosen[place] = unit._replace(advice=(advice.text,))
            sentences += size
    return list(chosen.values()), list(left.values())


def _is_meant(unit: _Unit, advice: Recommendation) -> bool:
    if advice.start is None or advice.end is None:
        return advice.criterion in THROUGHOUT
    return unit.start < advice.end and advice.start < unit.end


def _sentences(document: Document, passage: Passage) -> Iterator[tuple[_Unit, LeftReason | None]]:
    for sentence in passage.sentences:
        unit = _Unit(sentence.text, sentence.start, sentence.end, sentence.words, ())
        yield unit, _reason_to_leave(document, [sentence])


def _paragraphs(document: Document, passage: Passage) -> Iterator[tuple[_Unit, LeftReason | None]]:
    """Sentences of a passage with nothing but a blank between them."""
    run: list[Sentence] = []
    for sentence in passage.sentences:
        between = document.source[run[-1].end : sentence.start] if run else ""
        if run and (between.strip() or between.count("\n") > 1 or sentence.kind != run[-1].kind):
            yield _paragraph(run), _reason_to_leave(document, run)
            run = []
        run.append(sentence)
    if run:
        yield _paragraph(run), _reason_to_leave(document, run)


def _paragraph(run: Sequence[Sentence]) -> _Unit:
    text = " ".join(sentence.text for sentence in run)
    return _Unit(text, run[0].start, run[-1].end, sum(sentence.words for sentence in run), ())


def _reason_to_leave(document: Document, run: Sequence[Sentence]) -> LeftReason | None:
    start, end = run[0].start, run[-1].end
    if run[0].kind == "quote" or any(item.start < end and start < item.end for item in document.quotations):
        return "quotation"
    text = " ".join(sentence.text for sentence in run)
    if run[0].kind == "cell" or " ".join(document.source[start:end].split()) != " ".join(text.split()):
        return "markup"
    if sum(sentence.words for sentence in run) < SHORTEST_WORDS:
        return "short"
    return None


def _judged(unit: _Unit, answer: str, language: str, *, is_paragraph: bool) -> Change:
    text = " ".join(answer.split())
    found = refusals(unit.text, text, language, is_paragraph=is_paragraph)
    unchanged = not found and is_unchanged(unit.text, text)
    return Change(
        original=unit.text,
        rewritten=text,
        outcome="refused" if found else "unchanged" if unchanged else "rewritten",
        refusals=found,
        start=unit.start,
        end=unit.end,
    )


def _put(document: Document, changes: Iterable[Change]) -> str:
    """The source with each accepted change in its place, and nothing else touched."""
    parts: list[str] = []
    position = 0
    for change in changes:
        if change.outcome != "rewritten":
            continue
        text = (
            html.escape(change.rewritten, quote=False) if document.media_type == "html" else change.rewritten
        )
        parts += [document.source[position : change.start], text]
        position = change.end
    return "".join([*parts, document.source[position:]])


def _diff(changes: Iterable[Change]) -> Iterator[str]:
    for change in changes:
        if change.outcome == "rewritten":
            before, after = (
                [text[start:end] for start, end in sentence_spans(text)]
                for text in (change.original, change.rewritten)
            )
            yield from (line for line in ndiff(before, after) if line[0] in "+-")
