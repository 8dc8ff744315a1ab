"""What editors do with an article: choices, comments, holds, decisions and undo."""

import re
from collections.abc import Iterator

from starlette.responses import JSONResponse, Response

from contentworker.articles.judging import ask_to_judge
from contentworker.desk.queue import hold
from contentworker.desk.review import find, first_content
from contentworker.desk.settling import settle
from contentworker.desk.web import Ask, Refused, to
from contentworker.desk.words import LATER
from contentworker.editorial.escalations.choosing import decided, latest_rewrite, text_now
from contentworker.editorial.escalations.database import sha256
from contentworker.editorial.escalations.result import ChoiceKind, Escalation, Finding
from contentworker.editorial.parsing.sources import detect_media_type, text_read
from contentworker.errors import ConflictError

__all__ = [
    "choose",
    "comment",
    "decide",
    "judge",
    "keep",
    "keep_hold",
    "put_back",
    "reopen",
    "take",
    "withdraw",
]

KINDS: tuple[ChoiceKind, ...] = ("original", "rewrite", "own")


def choose(ask: Ask) -> Response:
    """Keep the choices of the form."""
    record, findings = find(ask)
    _keep_choices(ask, record, findings, _version(ask))
    return to(f"/review/{record.id}?saved=choices")


def keep(ask: Ask) -> Response:
    """Keep what a person types, for a script: the record's new version. Blank own words wait."""
    record, findings = find(ask)
    version = _keep_choices(ask, record, findings, _version(ask), or_blank=True)
    return JSONResponse({"version": version})


def decide(ask: Ask) -> Response:
    """Keep the choices of the form, and settle with the text that comes of them."""
    word = ask.form.get("decision", "")
    decision = ask.desk.settings.desk.decisions.get(word)
    if decision is None:
        raise Refused(400, "There is no such decision", "Go back, and choose one of the buttons.")
    note = ask.form.get("note", "").strip()
    if decision.needs_note and not note:
        raise Refused(400, f"“{decision.label}” needs a note", "Go back, and write what should change.")
    record, findings = find(ask)
    version = _version(ask)
    if record.state == "open":
        try:
            version = _keep_choices(ask, record, findings, version)
        except ConflictError:
            # Perhaps the same form, sent twice at once: then `settle` finds its own decision.
            if find(ask)[0].state == "open":
                raise
    seconds = ask.desk.settings.desk.undo_seconds
    _, is_asked = settle(ask.desk, record.id, word, ask.name, note, version=version, undo_seconds=seconds)
    return to(f"/review/{record.id}?saved={'settled' if is_asked else 'later'}")


def withdraw(ask: Ask) -> Response:
    """Undo the decision that the person saw."""
    ask.desk.store.withdraw(ask.path["id"], ask.name, event_id=ask.form.get("event", ""))
    return to(f"/review/{ask.path['id']}?saved=withdrawn")


def reopen(ask: Ask) -> Response:
    """Reopen an article whose decision the platform knows, and tell the platform."""
    if not ask.desk.store.reopen(ask.path["id"], ask.name, event_id=ask.form.get("event", "")):
        return to(f"/review/{ask.path['id']}?saved=withdrawn")
    is_asked = ask.desk.announce(0)
    return to(f"/review/{ask.path['id']}?saved={'reopened' if is_asked else 'later'}")


def judge(ask: Ask) -> Response:
    """Keep the choices of the form, and have the text that comes of them judged."""
    record, findings = find(ask)
    if record.state == "open":
        _keep_choices(ask, record, findings, _version(ask))
        record, findings = find(ask)
    text = text_now(record, findings)
    if text is None:
        raise Refused(400, "There is no text to judge", "The article was sent here without it.")
    score = first_content(findings, "score")
    is_sent = ask_to_judge(
        ask.desk.machinery.app,
        record={"escalation_id": record.id, "article_id": record.article_id, "text_sha256": sha256(text)},
        number=1 + max((each.number for each in findings), default=0),
        text=text,
        media_type=record.media_type or detect_media_type(text_read(text)),
        # The same questions, so that the scores can be compared.
        questions=[
            each["question"] for each in score.get("questions", ()) if not score.get("question_inferred")
        ],
    )
    if not is_sent:
        raise Refused(
            503, "Not now", "Redis cannot be reached, so nothing judges the text. Try it again later."
        )
    return to(f"/review/{record.id}?saved=judging")


def comment(ask: Ask) -> Response:
    """Add a comment."""
    ask.desk.store.comment(ask.path["id"], ask.name, ask.form.get("text", ""))
    return to(f"/review/{ask.path['id']}?layer=history&saved=comment")


def put_back(ask: Ask) -> Response:
    """Keep the choices of the form, and leave the article for later, or for others."""
    hours = ask.form.get("hours", "")
    if hours not in LATER:
        raise Refused(400, "There is no such time", "Go back, and choose one of the list.")
    record, findings = find(ask)
    _keep_choices(ask, record, findings, _version(ask))
    ask.desk.store.put_back(record.id, ask.name, float(hours))
    return to("/review?saved=put_back")


def take(ask: Ask) -> Response:
    """Take an article, or take it over from another person."""
    hold(ask, ask.path["id"], take_over=True)
    return to(f"/review/{ask.path['id']}")


def keep_hold(ask: Ask) -> Response:
    """Take an article, or keep it, and answer the script with who has it now."""
    return JSONResponse({"by": hold(ask, ask.path["id"], take_over=False)})


def _version(ask: Ask) -> int:
    version = ask.form.get("version", "")
    if not re.fullmatch(r"[0-9]{1,9}", version):
        raise Refused(400, "This is no form of the desk", "Open the article again, and do it there.")
    return int(version)


def _keep_choices(
    ask: Ask, record: Escalation, findings: list[Finding], version: int, *, or_blank: bool = False
) -> int:
    """Record what differs from the choices in force; return the record's version."""
    rewrite = latest_rewrite(record, findings)
    chosen = dict(_chosen(ask, record, rewrite, or_blank=or_blank)) if rewrite else {}
    if not rewrite or not chosen:
        return version
    return ask.desk.store.choose(record.id, ask.name, rewrite.id, chosen, version=version)


def _chosen(
    ask: Ask, record: Escalation, rewrite: Finding, *, or_blank: bool
) -> Iterator[tuple[int, tuple[ChoiceKind, str]]]:
    """What of the form differs from the choices in force, by the number of the change."""
    for each in decided(record, rewrite):
        kind = next((kind for kind in KINDS if kind == ask.form.get(f"choice{each.number}")), None)
        own = ask.form.get(f"own{each.number}", "").strip() if kind == "own" else ""
        is_blank = or_blank and kind == "own" and not own
        if kind and not is_blank and (kind, own) != (each.kind, each.own):
            yield each.number, (kind, own)
