"""From an article and recommendations to a rewrite: what the model is asked, and what the article gets."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import ndiff
from typing import Any, NamedTuple

from contentworker.editorial.aeo import Recommendation
from contentworker.editorial.document import Document, Passage, Sentence
from contentworker.editorial.parsing.sentences import sentence_spans
from contentworker.editorial.ranges import Ranges
from contentworker.editorial.rewriting import checking
from contentworker.editorial.rewriting.guard import is_unchanged, refusals
from contentworker.editorial.rewriting.model import (
    Completion,
    Model,
    ModelNotRunError,
    ModelRefusesError,
    ModelUncertainError,
)
from contentworker.editorial.rewriting.prompts import Message, messages, without_fences
from contentworker.editorial.rewriting.result import Change, Left, LeftReason, Mode, Refusal, Rewrite
from contentworker.editorial.rewriting.splicing import splice
from contentworker.editorial.settings import LlmSettings
from contentworker.errors import ContentError

__all__ = ["rewrite"]

Complete = Callable[[Sequence[Message], int, dict[str, Any] | None], Completion]
"""From messages, the most tokens of an answer and its JSON schema, if it has one."""

SHORTEST_WORDS = 5
TOKENS_PER_WORD = 2.5
SPARE_TOKENS = 20
"""Added to the limit of an answer, so that short ones are not cut off."""
THROUGHOUT = frozenset({"readability", "self_containment", "stuffing", "promotional"})
"""Criteria that may fail in every sentence: a recommendation without a place is for the whole article."""


class _Unit(NamedTuple):
    """What the model is asked about at once: a sentence, or the sentences of a paragraph."""

    text: str
    start: int
    end: int
    words: int
    reason: LeftReason | None
    """Why no model may touch it."""
    advice: tuple[str, ...] = ()


def rewrite(
    document: Document,
    recommendations: Sequence[Recommendation],
    *,
    model: Model,
    mode: Mode,
    settings: LlmSettings,
    question: str | None = None,
    complete: Complete | None = None,
    fallback: Complete | None = None,
    is_time_over: Callable[[], bool] = lambda: False,
) -> Rewrite:
    """Have a model work on the recommended places of an article.

    Args:
        document: The article.
        recommendations: Those of its AEO score: the places to ask about, in their order.
        model: The model to ask.
        mode: `edit` by sentence; `restructure` and `answer_first` by paragraph, which need a provider.
        settings: The sentence budget.
        question: The question that `answer_first` should answer.
        complete: Called instead of `model.complete`, to count and to limit the calls.
        fallback: Asked once about each unit whose answer the guard's rules refuse.
        is_time_over: Called before each question. Once it is true, the rest is left.

    Raises:
        ContentError: `mode` needs a provider.
        ModelRefusesError: the model cannot be used.
        ModelNotRunError, ModelUncertainError: it failed at the first question; later it leaves the rest.
    """
    if mode != "edit" and model.is_embedded:
        raise ContentError(
            "mode", f"{mode} needs a provider: set `llm.base_url`; the embedded model can only edit"
        )
    started = time.monotonic()
    asking = _Asking(complete or model.complete, fallback, checks=settings.check and not model.is_embedded)
    units, left = _chosen(document, recommendations, mode, settings.max_sentences)
    changes: list[Change] = []
    for number, unit in enumerate(units):
        if is_time_over():
            left += _rest(units[number:], "time")
            break
        asked = messages(mode, unit.text, question=question, advice=unit.advice, small=model.is_embedded)
        try:
            answer = asking.ask(asked, round(TOKENS_PER_WORD * unit.words) + SPARE_TOKENS)
        except (ModelNotRunError, ModelUncertainError):
            if not changes:
                raise
            left += _rest(units[number:], "model")  # but keep what was paid for
            break
        changes.append(asking.judged(unit, answer, asked, document.language, is_paragraph=mode != "edit"))
        if asking.is_over:
            left += _rest(units[number + 1 :], "model")
            break
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
        prompt_tokens=asking.prompt_tokens,
        completion_tokens=asking.completion_tokens,
        cost=asking.cost,
        seconds=time.monotonic() - started,
    )


def _rest(units: Iterable[_Unit], reason: LeftReason) -> list[Left]:
    return [Left(reason=reason, start=unit.start, end=unit.end) for unit in units]


def _chosen(
    document: Document, recommendations: Sequence[Recommendation], mode: Mode, max_sentences: int
) -> tuple[list[_Unit], list[Left]]:
    """The units to ask about, the most useful first, and what is recommended but left."""
    quoted = Ranges(document.quotations)
    units = [
        _unit(document, run, quoted)
        for passage in document.passages
        for run in (_paragraphs(document, passage) if mode != "edit" else zip(passage.sentences, strict=True))
    ]
    chosen: dict[tuple[int, int], _Unit] = {}
    left: dict[tuple[int, int], Left] = {}
    sentences = 0
    for advice in recommendations:
        for unit in units:
            place = unit.start, unit.end
            if not _is_meant(unit, advice) or place in left:
                continue
            if place not in chosen:
                size, reason = len(sentence_spans(unit.text)), unit.reason
                if reason is None and sentences + size > max_sentences:
                    reason = "budget"
                if reason is not None:
                    left[place] = Left(reason=reason, start=unit.start, end=unit.end)
                    continue
                chosen[place] = unit
                sentences += size
            known = chosen[place]
            if advice.text not in known.advice:
                chosen[place] = known._replace(advice=(*known.advice, advice.text))
    return list(chosen.values()), list(left.values())


def _is_meant(unit: _Unit, advice: Recommendation) -> bool:
    if advice.start is None or advice.end is None:
        return advice.criterion in THROUGHOUT
    return unit.start < advice.end and advice.start < unit.end


def _paragraphs(document: Document, passage: Passage) -> Iterator[Sequence[Sentence]]:
    """The sentences of a passage, in runs with nothing but a blank between them."""
    run: list[Sentence] = []
    for sentence in passage.sentences:
        between = document.source[run[-1].end : sentence.start] if run else ""
        if run and (between.strip() or between.count("\n") > 1 or sentence.kind != run[-1].kind):
            yield run
            run = []
        run.append(sentence)
    if run:
        yield run


def _unit(document: Document, run: Sequence[Sentence], quoted: Ranges) -> _Unit:
    start, end = run[0].start, run[-1].end
    text = " ".join(sentence.text for sentence in run)
    words = sum(sentence.words for sentence in run)
    reason: LeftReason | None = None
    if run[0].kind == "quote" or quoted.meet(start, end):
        reason = "quotation"
    elif run[0].kind == "cell" or " ".join(document.source[start:end].split()) != " ".join(text.split()):
        reason = "markup"
    elif words < SHORTEST_WORDS:
        reason = "short"
    return _Unit(text, start, end, words, reason)


class _Asking:
    """Calls of the models for one article, what they cost, and what becomes of their answers."""

    def __init__(self, complete: Complete, fallback: Complete | None, *, checks: bool) -> None:
        self._complete, self._fallback, self._checks = complete, fallback, checks
        self.prompt_tokens = self.completion_tokens = 0
        self.cost = 0.0
        self.is_over = False
        """Whether a model failed after an answer, so that asking on makes no sense."""

    def ask(
        self,
        asked: Sequence[Message],
        max_tokens: int,
        *,
        schema: dict[str, Any] | None = None,
        complete: Complete | None = None,
    ) -> Completion:
        """Ask a model, by default the first one, and count the cost."""
        answer = (complete or self._complete)(asked, max_tokens, schema)
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        self.cost += answer.cost
        return answer

    def judged(
        self, unit: _Unit, answer: Completion, asked: Sequence[Message], language: str, *, is_paragraph: bool
    ) -> Change:
        """What becomes of an answer. Asks the fallback if it is refused, and checks what is accepted."""
        change = _judged(unit, answer, language, is_paragraph=is_paragraph)
        if change.outcome == "refused" and self._fallback is not None:
            limit = round(TOKENS_PER_WORD * unit.words) + SPARE_TOKENS
            try:
                second = self.ask(asked, limit, complete=self._fallback)
            except (ModelNotRunError, ModelRefusesError, ModelUncertainError):
                return change  # the first model may still answer for the next one
            change = _judged(unit, second, language, is_paragraph=is_paragraph)
        if change.outcome != "rewritten" or not self._checks:
            return change
        try:
            messages_ = checking.check_messages(unit.text, change.rewritten)
            opinion = self.ask(messages_, checking.MOST_TOKENS, schema=checking.SCHEMA).text
        except ModelRefusesError:
            broken: Sequence[Refusal] = [checking.UNCHECKED]
        except (ModelNotRunError, ModelUncertainError):
            broken, self.is_over = [checking.UNCHECKED], True
        else:
            broken = checking.second_opinion(opinion)
        if not broken:
            return change
        return change.model_copy(update={"outcome": "refused", "refusals": tuple(broken)})


def _judged(unit: _Unit, answer: Completion, language: str, *, is_paragraph: bool) -> Change:
    text = " ".join(without_fences(answer.text).split())
    broken = refusals(unit.text, text, language, is_paragraph=is_paragraph)
    return Change(
        original=unit.text,
        rewritten=text,
        outcome="refused" if broken else "unchanged" if is_unchanged(unit.text, text) else "rewritten",
        refusals=broken,
        start=unit.start,
        end=unit.end,
        model=answer.model,
    )


def _put(document: Document, changes: Iterable[Change]) -> str:
    """The source with each accepted change in its place, and nothing else touched."""
    accepted = (change for change in changes if change.outcome == "rewritten")
    replacements = ((change.start, change.end, change.rewritten) for change in accepted)
    return splice(document.source, replacements, document.media_type)


def _diff(changes: Iterable[Change]) -> Iterator[str]:
    for change in changes:
        if change.outcome == "rewritten":
            before, after = (
                [text[start:end] for start, end in sentence_spans(text)]
                for text in (change.original, change.rewritten)
            )
            yield from (line for line in ndiff(before, after) if line[0] in "+-")
