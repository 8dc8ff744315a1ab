"""What the desk says in plain words."""

from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.detector import Detection
from contentworker.editorial.escalations.result import Escalation
from contentworker.editorial.settings import PipelineSettings

__all__ = ["REASONS", "VERDICTS", "reason_in_words", "step_in_words", "why"]

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
