"""Decides about an article by its scores and the thresholds of `[pipeline]`. No side effects."""

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.detector.result import Detection
from contentworker.editorial.settings import PipelineSettings

__all__ = ["Decision", "after_rewrite", "first", "version"]

RULES = "2"
"""Version of the rules below. Raise it when they change: then the same article is judged again."""

SEVERITY = {"no_sign": 0, "abstained": 1, "ai": 2}
Action = Literal["pass", "accept", "rewrite", "escalate"]


class Decision(BaseModel):
    """What to do, and why. The first reason names the escalation."""

    model_config = ConfigDict(frozen=True)

    action: Action
    reasons: tuple[str, ...] = Field(description="Slugs: `ai_suspected`, `below_threshold`, …")


def version(settings: PipelineSettings) -> str:
    """Version of the rules and thresholds together."""
    return hashlib.sha256(f"{RULES}\n{settings.model_dump_json()}".encode()).hexdigest()[:12]


def first(detection: Detection, score: AeoScore, settings: PipelineSettings) -> Decision:
    """Judge an article as it was sent. The detector's verdict alone rejects nothing: a person looks."""
    if detection.verdict in settings.escalated_verdicts:
        return Decision(action="escalate", reasons=("ai_suspected",))
    if score.score >= settings.min_aeo_score:
        return Decision(action="pass", reasons=("reached_threshold",))
    if settings.max_rewrites == 0:
        return Decision(action="escalate", reasons=("below_threshold",))
    return Decision(action="rewrite", reasons=("below_threshold",))


def after_rewrite(
    before: tuple[Detection, AeoScore],
    after: tuple[Detection, AeoScore] | None,
    *,
    number: int,
    refusals: int,
    settings: PipelineSettings,
) -> Decision:
    """Judge rewrite `number` (from 1). `after` is None if the guard refused all of it."""
    reasons = []
    if after is None:
        if not refusals:  # another try would find nothing either
            return Decision(action="escalate", reasons=("below_threshold", "nothing_to_rewrite"))
        reasons.append("rewrite_refused")
    else:
        # Rounded: 1.2 - 1.1 is a little less than 0.1.
        if round(after[1].score - before[1].score, 6) < settings.min_gain:
            reasons.append("rewrite_not_better")
        probability_before = 1 if before[0].probability is None else before[0].probability
        if SEVERITY[after[0].verdict] > SEVERITY[before[0].verdict] or (
            (after[0].probability or 0) > probability_before + settings.max_detector_rise
        ):
            reasons.append("rewrite_reads_like_ai")
        if not reasons:
            return Decision(action="accept", reasons=("better",))
    action: Action = "rewrite" if number < settings.max_rewrites else "escalate"
    return Decision(action=action, reasons=tuple(reasons))
