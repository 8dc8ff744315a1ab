"""An article with its layers, as an editor reads it."""

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from starlette.responses import Response

from contentworker.desk.marking import MOST_STEPS, Mark, Part, diff_steps, of_document, of_source, word_diff
from contentworker.desk.queue import moment_number
from contentworker.desk.settling import record_of
from contentworker.desk.web import Ask, page
from contentworker.desk.words import (
    LATER,
    RULES,
    SAID,
    VERDICTS,
    about,
    due_in_words,
    judgement,
    summary,
    why,
)
from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.detector import Detection
from contentworker.editorial.document import Document, parse
from contentworker.editorial.escalations.choosing import Decided, decided, latest_rewrite, text_now
from contentworker.editorial.escalations.database import sha256
from contentworker.editorial.escalations.result import Escalation, Finding
from contentworker.editorial.parsing.sources import detect_media_type, text_read
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ContentError

__all__ = ["find", "first_content", "review"]

LAYERS = {"rewrite": "Rewrite", "score": "Score", "who": "Who wrote it", "history": "History"}
RECOMMENDATIONS = 3
"""Most that are marked: more of them cover the text."""
MOST_STEPS_OF_A_PAGE = 8 * MOST_STEPS
"""For all changes together: two seconds if they are hostile, and 1,000 sentences of 25 words otherwise."""
PARSED_AT_ONCE = 8
"""Parsed pages that are kept: one of 2 MB takes seconds to parse, and some 20 MB of memory."""


class Line(NamedTuple):
    """One change of the rewrite, as its form shows it."""

    number: int
    outcome: str
    diff: tuple[tuple[str, str], ...]
    rules: list[str]
    choice: str
    own: str


def find(ask: Ask) -> tuple[Escalation, list[Finding]]:
    """The article of the address, and what was found out about it.

    Raises:
        ContentError: there is none.
    """
    return record_of(ask.desk, ask.path["id"])


def review(ask: Ask) -> Response:
    """An article with one layer of marks."""
    record, findings = find(ask)
    layer = ask.query.get("layer", "")
    # On a phone, the article comes first and each layer hides it; elsewhere both are there.
    shows = "side" if layer in LAYERS else "text"
    layer = layer if layer in LAYERS else "rewrite"
    rewrite = latest_rewrite(record, findings)
    score, detection = _first(findings, "score", AeoScore), _first(findings, "detection", Detection)
    scores = _scores(findings)
    text = text_now(record, findings)
    judged: dict[str, Any] = {
        each.kind: each.content for each in findings if text and each.text_sha256 == sha256(text)
    }
    recommendations = score.recommendations[:RECOMMENDATIONS] if score else ()
    changes = decided(record, rewrite) if rewrite else []
    marks: list[Mark] = []
    if layer == "rewrite":
        marks = _changed(changes)
    elif layer == "score":
        marks = [
            Mark(each.start, each.end, "score", number)
            for number, each in enumerate(recommendations, 1)
            if each.start is not None and each.end is not None
        ]
    elif layer == "who" and detection:
        marks = [
            Mark(each.start, each.end, "ai" if each.share > 0 else "person") for each in detection.sentences
        ]
    desk = ask.desk.settings.desk
    # Never for who came by a link: another person may have typed the same name.
    undoable = _undoable(ask) if ask.may("editor") else None
    saved = ask.query.get("saved", "")
    note = _note_taken_back(ask, record) if saved == "withdrawn" else ""
    return page(
        ask, "review.html", record=record, layer=layer, layers=LAYERS, shows=shows,
        blocks=_blocks(record, marks, ask.desk.settings.content),
        why=why(record, score, detection, scores, ask.desk.settings.pipeline),
        passes_from=ask.desk.settings.pipeline.min_aeo_score, verdicts=VERDICTS, score=score, scores=scores,
        detection=detection, recommendations=recommendations, about=about(record, score),
        title=record.title or "",
        asked=score.weakest_question or score.questions[0].question if score and score.questions else "",
        changes=changes, lines=_lines(changes) if layer == "rewrite" else {}, summary=summary(changes),
        passed=sum(each.change.outcome == "rewritten" for each in changes),
        rewrite=rewrite and rewrite.content, decisions=desk.decisions, saved=saved, said=SAID.get(saved, ""),
        note=note, seconds_left=_seconds_to(ask, record.withdrawable_until),
        hold_seconds=round(desk.hold_minutes * 60), seen=moment_number(record.updated_at),
        judged=judgement(judged), laters=LATER,
        due=record.due_at and due_in_words(record.due_at, ask.desk.store.now()),
        undoable=undoable,
        undoable_seconds=_seconds_to(ask, undoable.withdrawable_until) if undoable else 0,
        log=sorted(_log(record), key=lambda entry: entry[0], reverse=True),
    )  # fmt: skip


def _note_taken_back(ask: Ask, record: Escalation) -> str:
    """The note of the decision that this person took back, to go on with."""
    settled = [each for each in record.history if each.what == "settled" and each.by == ask.name]
    return settled[-1].note if settled else ""


def _undoable(ask: Ask) -> Escalation | None:
    """The article before this one, if its decision can be taken back."""
    before = ask.query.get("before")
    record = ask.desk.store.find(before) if before else None
    return record if record and record.withdrawable_until and record.settled_by == ask.name else None


def _seconds_to(ask: Ask, until: datetime | None) -> int:
    return max(0, round((until - ask.desk.store.now()).total_seconds())) if until else 0


def _lines(changes: list[Decided]) -> dict[int, Line]:
    diffs = dict(_diffs(changes))
    return {
        each.number: Line(
            each.number,
            each.change.outcome,
            diffs[each.number],
            [
                f"{RULES.get(refusal.rule, refusal.rule)}: {refusal.detail}"
                for refusal in each.change.refusals
            ],
            each.kind,
            each.own if each.kind == "own" else each.change.original,
        )
        for each in changes
    }


def _diffs(changes: list[Decided]) -> Iterator[tuple[int, tuple[tuple[str, str], ...]]]:
    """The changes word by word, as far as a page has time for that; the others as a whole."""
    left = MOST_STEPS_OF_A_PAGE
    for each in changes:
        before, after = each.change.original, each.change.rewritten
        left -= diff_steps(before, after)
        yield each.number, _diff(before, after) if left >= 0 else (("gone", before), ("new", after))


@lru_cache(2_000)
def _diff(before: str, after: str) -> tuple[tuple[str, str], ...]:
    return tuple(word_diff(before, after))


def _changed(changes: list[Decided]) -> list[Mark]:
    return [
        Mark(
            each.change.start, each.change.end, "kept" if each.text is None else "new", each.number, each.text
        )
        for each in changes
    ]


def _log(record: Escalation) -> Iterator[tuple[datetime, str, str]]:
    """What happened to an article: when, what, and who did it."""
    for each in record.history:
        note = f", “{each.note}”" if each.note else ""
        yield each.at, f"{each.what}{': ' if each.decision else ''}{each.decision}{note}", each.by
    # What is typed is kept again and again: of one person, the latest for each change.
    for choice in {(each.change, each.by): each for each in record.choices}.values():
        yield choice.at, f"chose {choice.choice} for change {choice.change}", choice.by
    for sent in record.notifications:
        yield sent.updated_at, f"{sent.channel}: {sent.state}", ""


def _blocks(record: Escalation, marks: list[Mark], settings: ContentSettings) -> list[tuple[str, list[Part]]]:
    """The article's latest text to show: of a page its headings and sentences, of anything else all of it."""
    originals = [each for each in record.texts if each.kind == "original"]
    if not originals:
        return []
    source = text_read(originals[-1].text)
    if (record.media_type or detect_media_type(source)) == "html" and (document := _parsed(source, settings)):
        return list(of_document(document, marks))
    return [("div", list(of_source(source, marks)))]


@lru_cache(PARSED_AT_ONCE)
def _parsed(source: str, settings: ContentSettings) -> Document | None:
    try:
        return parse(source, media_type="html", settings=settings)
    except ContentError:
        return None


def _scores(findings: list[Finding]) -> list[float]:
    """Points in the latest run, of the article as it came and of its rewrites. Earlier texts do not count."""
    found = [each for each in findings if each.kind == "score" and not each.run_id.startswith("desk/")]
    latest = next((each.run_id for each in reversed(found)), None)
    return [each.content["score"] for each in found if each.run_id == latest]


def _first(findings: list[Finding], kind: str, model: Any) -> Any:
    content = first_content(findings, kind)
    return model.model_validate(content) if content else None


def first_content(findings: list[Finding], kind: str) -> dict[str, Any]:
    """The latest result about the article as it came; empty if there is none."""
    found = (each.content for each in reversed(findings) if each.kind == kind and each.number == 0)
    return next(found, {})
