"""What editors see and do: the list, an article with its layers, choices, decisions and undo."""

import re
from contextlib import suppress
from typing import Any, NamedTuple

from starlette.responses import Response

from contentworker.desk.marking import Mark, Part, of_document, of_source, word_diff
from contentworker.desk.web import Ask, Refused, page, to
from contentworker.desk.words import REASONS, VERDICTS, reason_in_words, why
from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.detector import Detection
from contentworker.editorial.document import Document, detect_media_type, parse
from contentworker.editorial.escalations.choosing import Decided, as_chosen, decided, latest_rewrite
from contentworker.editorial.escalations.reading import Filter, Order
from contentworker.editorial.escalations.result import ChoiceKind, Escalation, Finding
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ConflictError, ContentError

__all__ = ["choose", "comment", "decide", "queue", "review", "take", "take_next", "withdraw"]

LAYERS = {"rewrite": "Rewrite", "score": "Score", "who": "Who wrote it", "history": "History"}
KINDS: tuple[ChoiceKind, ...] = ("original", "rewrite", "own")
AT_ONCE = 50
RECOMMENDATIONS = 3
"""Most that are marked: more of them cover the text."""


class Line(NamedTuple):
    """One change of the rewrite, as its form shows it."""

    number: int
    outcome: str
    diff: list[tuple[str, str]]
    rules: list[str]
    choice: str
    own: str


def queue(ask: Ask) -> Response:
    """The list: oldest first, with filters."""
    state = ask.query.get("state", "open")
    mine = state == "mine"
    wanted = Filter(
        state=None if state == "all" else "open" if mine else state,
        reason=ask.query.get("reason") or None,
        language=ask.query.get("language") or None,
        text=ask.query.get("text") or None,
        held_by=ask.name if mine else None,
    )
    order: Order = "changed" if state == "settled" else "oldest"
    found = ask.desk.store.read(wanted, order=order, after=ask.query.get("after") or None, limit=AT_ONCE)
    shown = {name: ask.query.get(name, "") for name in ("reason", "language", "text")}
    return page(
        ask, "queue.html", lines=found.lines, after=found.after, state=state, asked=shown,
        count=ask.desk.store.open_count(), in_words=reason_in_words, reasons=REASONS,
        verdicts=VERDICTS,
    )  # fmt: skip


def take_next(ask: Ask) -> Response:
    """Take the oldest open article that no one else has taken."""
    for line in ask.desk.store.every(Filter(state="open")):
        with suppress(ConflictError, ContentError):  # settled or forgotten since it was listed
            if line.held_by in {None, ask.name} and _hold(ask, line.id, take_over=False) == ask.name:
                return to(f"/review/{line.id}")
    raise Refused(200, "Nothing waits", "No article is open, or others have taken all of them.")


def review(ask: Ask) -> Response:
    """An article with one layer of marks."""
    record, findings = _record(ask)
    layer = ask.query.get("layer", "rewrite")
    if layer not in LAYERS:
        layer = "rewrite"
    rewrite = latest_rewrite(record, findings)
    score, detection = _first(findings, "score", AeoScore), _first(findings, "detection", Detection)
    scores = [each.content["score"] for each in findings if each.kind == "score"]
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
    return page(
        ask, "review.html", record=record, layer=layer, layers=LAYERS, blocks=_blocks(record, marks),
        why=why(record, score, detection, scores, ask.desk.settings.pipeline), in_words=reason_in_words,
        verdicts=VERDICTS, score=score, scores=scores, detection=detection, recommendations=recommendations,
        changes=changes, lines=_lines(changes) if layer == "rewrite" else [],
        rewrite=rewrite and rewrite.content, decisions=ask.desk.settings.desk.decisions,
        saved=ask.query.get("saved", ""),
    )  # fmt: skip


def choose(ask: Ask) -> Response:
    """Keep the choices of the form."""
    record, findings = _record(ask)
    _keep_choices(ask, record, findings, _version(ask))
    return to(f"/review/{record.id}?saved=choices")


def decide(ask: Ask) -> Response:
    """Keep the choices of the form, and settle with the text that comes of them."""
    word = ask.form.get("decision", "")
    decision = ask.desk.settings.desk.decisions.get(word)
    if decision is None:
        raise Refused(400, "There is no such decision", "Go back, and choose one of the buttons.")
    note = ask.form.get("note", "").strip()
    if decision.needs_note and not note:
        raise Refused(400, f"“{decision.label}” needs a note", "Go back, and write what should change.")
    record, findings = _record(ask)
    version = _version(ask)
    if record.state == "open":
        try:
            version = _keep_choices(ask, record, findings, version)
        except ConflictError:
            # Perhaps the same form, sent twice at once: then `settle` finds its own decision.
            if _record(ask)[0].state == "open":
                raise
        record, findings = _record(ask)
    rewrite = latest_rewrite(record, findings)
    text = as_chosen(record, rewrite) if decision.publishes and rewrite else None
    seconds = ask.desk.settings.desk.undo_seconds
    ask.desk.store.settle(record.id, word, ask.name, note, text, version=version, undo_seconds=seconds)
    is_asked = ask.desk.announce(seconds)
    return to(f"/review/{record.id}?saved={'settled' if is_asked else 'later'}")


def withdraw(ask: Ask) -> Response:
    """Undo a decision."""
    ask.desk.store.withdraw(_id(ask), ask.name)
    return to(f"/review/{_id(ask)}?saved=withdrawn")


def comment(ask: Ask) -> Response:
    """Add a comment."""
    ask.desk.store.comment(_id(ask), ask.name, ask.form.get("text", ""))
    return to(f"/review/{_id(ask)}?layer=history&saved=comment")


def take(ask: Ask) -> Response:
    """Take an article, or take it over from another person."""
    _hold(ask, _id(ask), take_over=True)
    return to(f"/review/{_id(ask)}")


def _id(ask: Ask) -> str:
    return ask.path["id"]


def _hold(ask: Ask, escalation_id: str, *, take_over: bool) -> str:
    seconds = 60 * ask.desk.settings.desk.hold_minutes
    return ask.desk.store.hold(escalation_id, ask.name, seconds, take_over=take_over).by


def _record(ask: Ask) -> tuple[Escalation, list[Finding]]:
    record = ask.desk.store.find(_id(ask))
    if record is None:
        raise ContentError("escalation_id", "there is no such record (any more)")
    return record, ask.desk.store.findings(record.id)


def _version(ask: Ask) -> int:
    version = ask.form.get("version", "")
    if not re.fullmatch(r"[0-9]{1,9}", version):
        raise Refused(400, "This is no form of the desk", "Open the article again, and do it there.")
    return int(version)


def _keep_choices(ask: Ask, record: Escalation, findings: list[Finding], version: int) -> int:
    """Record what differs from the choices in force; return the record's version."""
    rewrite = latest_rewrite(record, findings)
    if rewrite is None:
        return version
    chosen: dict[int, tuple[ChoiceKind, str]] = {}
    for each in decided(record, rewrite):
        kind = next((kind for kind in KINDS if kind == ask.form.get(f"choice{each.number}")), None)
        own = ask.form.get(f"own{each.number}", "").strip() if kind == "own" else ""
        if kind and (kind, own) != (each.kind, each.own):
            chosen[each.number] = (kind, own)
    if not chosen:
        return version
    return ask.desk.store.choose(record.id, ask.name, rewrite.id, chosen, version=version)


def _lines(changes: list[Decided]) -> list[Line]:
    return [
        Line(
            each.number,
            each.change.outcome,
            list(word_diff(each.change.original, each.change.rewritten)),
            [f"{refusal.rule}: {refusal.detail}" for refusal in each.change.refusals],
            each.kind,
            each.own if each.kind == "own" else each.change.original,
        )
        for each in changes
    ]


def _changed(changes: list[Decided]) -> list[Mark]:
    return [
        Mark(
            each.change.start, each.change.end, "kept" if each.text is None else "new", each.number, each.text
        )
        for each in changes
    ]


def _blocks(record: Escalation, marks: list[Mark]) -> list[tuple[str, list[Part]]]:
    """The article's latest text to show: of a page its headings and sentences, of anything else all of it."""
    originals = [each.text for each in record.texts if each.kind == "original"]
    if not originals:
        return []
    source = originals[-1]
    if (record.media_type or detect_media_type(source)) == "html" and (document := _parsed(source)):
        return list(of_document(document, marks))
    return [("div", list(of_source(source, marks)))]


def _parsed(source: str) -> Document | None:
    try:
        return parse(source, media_type="html", settings=ContentSettings())
    except ContentError:
        return None


def _first(findings: list[Finding], kind: str, model: Any) -> Any:
    """The latest result about the article as it came."""
    found = [each.content for each in findings if each.kind == kind and each.number == 0]
    return model.model_validate(found[-1]) if found else None
