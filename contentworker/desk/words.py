"""What the desk says in plain words."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.detector import Detection
from contentworker.editorial.detector.result import renewed
from contentworker.editorial.escalations.choosing import Decided
from contentworker.editorial.escalations.result import Escalation
from contentworker.editorial.settings import PipelineSettings

__all__ = [
    "LATER",
    "REASONS",
    "RULES",
    "SAID",
    "VERDICTS",
    "about",
    "clock",
    "due_in_words",
    "field_in_words",
    "judgement",
    "reason_in_words",
    "step_in_words",
    "summary",
    "why",
]

REASONS = {
    "ai_suspected": "May be written by a model",
    "below_threshold": "Scores too low",
    "cancelled": "The run was cancelled",
    "failed": "A step failed",
    "interrupted": "The rewrite was interrupted",
    "over_budget": "No money is left for a rewrite today",
    "rewrite_not_better": "The rewrite won too little",
    "rewrite_reads_like_ai": "The rewrite reads like a model's",
    "rewrite_refused": "The guard refused the rewrite",
}
"""This project's own reasons; another application may have others."""

VERDICTS = {"ai": "Maybe a model", "no_sign": "No sign of a model", "abstained": "Cannot be judged"}
"""The detector never accuses, and never says that a person wrote an article."""

RULES = {
    "article": "“The” and “a” are exchanged",
    "chatty": "The model talks instead of writing",
    "direction": "A direction is turned round",
    "empty": "Nothing is left",
    "language": "Another language",
    "length": "The length is far from the original's",
    "links": "A link differs",
    "markup": "Formatting was added",
    "modality": "“May”, “must” or the like differs",
    "names": "A name differs",
    "negations": "A “not” differs",
    "number": "Singular and plural are exchanged",
    "numbers": "A number differs",
    "order": "The order differs",
    "quotations": "A quotation differs",
    "repetition": "It repeats itself",
    "second opinion": "A second model says that the meaning differs",
    "sentences": "There are several sentences for one",
    "tense": "The tense differs",
    "too long": "Too long to be checked",
    "unchecked": "The second model could not check it",
    "words": "Words differ without a reason",
}
"""The guard's rules (docs/rewriting.md) in plain words."""

SAID = {
    "withdrawn": "Undone: the article is open again.",
    "choices": "Your choices are kept.",
    "reopened": "The article is open again, and the platform is told.",
    "put_back": "Put back, with your choices: others can take it, and it is due later.",
    "judging": "The text is being judged. The result is shown above it: load the page again in a moment.",
    "comment": "Your comment is there.",
}
"""What the page says after an action, by the word in its address."""

LATER = {"1": "in 1 hour", "4": "in 4 hours", "24": "tomorrow", "72": "in 3 days"}
"""When an article that an editor leaves may be due, by hours."""
SOON_MINUTES, MOST_MINUTES = 240, 100
LANGUAGES = {"de": "German", "en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "nl": "Dutch"}
MEDIA_TYPES = {"html": "Web page", "markdown": "Markdown", "text": "Text"}


def field_in_words(name: str) -> str:
    """A field of the desk's forms."""
    number = name.removeprefix("own")
    return {"note": "Note", "text": "Comment"}.get(name, f"Own words for change {number}")


def about(record: Escalation, score: AeoScore | None) -> str:
    """What kind of text it is."""
    parts = [MEDIA_TYPES.get(record.media_type or "", "")]
    if score:
        parts += [f"{score.words:,} words", LANGUAGES.get(score.language, score.language)]
    return ", ".join(filter(None, parts))


def summary(changes: list[Decided]) -> str:
    """What the text is, as it is chosen now. `desk.js` says the same while a person chooses."""
    taken, own = (sum(each.kind == kind for each in changes) for kind in ("rewrite", "own"))
    if not changes:
        return "The text is as it came."
    sentences = f"{taken} {'change' if taken == 1 else 'changes'} of the rewrite" if taken else ""
    parts = [part for part in (sentences, f"{own} in own words" if own else "") if part]
    return f"Your text: {', '.join(parts)}, the rest as written." if parts else "Your text: all as written."


def due_in_words(due_at: datetime, now: datetime) -> tuple[str, str]:
    """When an article is due, and how that is shown: `bad` if it is late, `warn` if soon."""
    minutes = round((due_at - now).total_seconds() / 60)
    size = abs(minutes)
    hours = f"{size / 60:.0f} h" if size < 48 * 60 else f"{size / 1440:.0f} days"
    span = f"{size} min" if size < MOST_MINUTES else hours
    if minutes < 0:
        return f"{span} late", "bad"
    return f"in {span}", "warn" if minutes < SOON_MINUTES else ""


def judgement(found: Mapping[str, Any]) -> str:
    """What was found out about the text as it is chosen now; empty if nothing was."""
    parts = []
    if "score" in found:
        parts.append(f"{found['score']['score']:.1f} points")
    if "detection" in found:
        parts.append(VERDICTS[renewed(found["detection"])["verdict"]].lower())
    return ", ".join(parts)


def reason_in_words(reason: str) -> str:
    """A reason for a list."""
    return REASONS.get(reason, reason.replace("_", " ").capitalize())


ENDS = {
    "escalate": "A person is about to be asked",
    "passed": "Passed as it is",
    "accepted": "Rewrite accepted",
    "escalated": "A person is asked",
    "cancelled": "Cancelled",
    "failed": "Failed",
}
"""Steps of a run without a number."""


def step_in_words(step: str) -> str:
    """A step of a run for a list or a timeline."""
    kind, _, number = step.partition(":")
    if kind == "evaluate":
        return "Judging the article" if number == "0" else f"Judging rewrite {number}"
    return f"Rewrite {number}" if kind == "rewrite" else ENDS.get(step, step)


def why(
    record: Escalation,
    score: AeoScore | None,
    detection: Detection | None,
    scores: list[float],
    settings: PipelineSettings,
) -> str:
    """Why a person is asked, with the threshold as it is set now."""
    said = reason_in_words(record.reason)
    if record.reason == "ai_suspected" and detection and detection.probability is not None:
        return f"{said}: {detection.probability:.0%} probable; you are asked from {detection.ai_from:.0%} on."
    if record.reason == "below_threshold" and score:
        return f"{said}: {score.score:.1f} points; {settings.min_aeo_score:g} are needed."
    if record.reason == "rewrite_not_better" and len(scores) > 1:
        needed = f"it must win {settings.min_gain:g}"
        return f"{said}: from {scores[0]:.1f} to {scores[-1]:.1f} points; {needed}."
    return f"{said}."


def clock(moment: datetime, now: datetime) -> str:
    """A moment in UTC, without the date if it is today."""
    return f"{moment:%H:%M}" if moment.date() == now.date() else f"{moment:%d %b %H:%M}"
