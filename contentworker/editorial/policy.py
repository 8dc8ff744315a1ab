"""What becomes of an article, by its scores and the thresholds of `[pipeline]`. No side effects."""

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.detector.result import Detection
from contentworker.editorial.settings import PipelineSettings

__all__ = ["Decision", "after_rewrite", "first", "version"]

RULES = "1"
"""Of the rules below: a change of theirs is a new version, under which an article is judged anew."""

SEVERITY = {"human": 0, "uncertain": 1, "ai": 2}


class Decision(BaseModel):
    """What to do, and why. The first reason names the escalation."""

    model_config = ConfigDict(frozen=True)

    action: Literal["pass", "accept", "rewrite", "escalate"]
    reasons: tuple[str, ...] = Field(description="Slugs: `ai_suspected`, `below_threshold`, …")


def version(settings: PipelineSettings) -> str:
    """Of rules and thresholds together."""
    return hashlib.sha256(f"{RULES}\n{settings.model_dump_json()}".encode()).hexdigest()[:12]


def first(detection: Detection, score: AeoScore, settings: PipelineSettings) -> Decision:
    """Judge an article as it was sent. A verdict of the detector's alone rejects nothing: a person looks."""
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
    """Judge rewrite `number` (from 1). `after` is None where the guard let nothing of it pass."""
    if after is None:
        reasons: tuple[str, ...] = (
            ("rewrite_refused",) if refusals else ("below_threshold", "nothing_to_rewrite")
        )
        if not refusals:  # another try would find nothing either
            return Decision(action="escalate", reasons=reasons)
    else:
        found = []
        if after[1].score < before[1].score + settings.min_gain:
            found.append("rewrite_not_better")
        if SEVERITY[after[0].verdict] > SEVERITY[before[0].verdict] or (
            (after[0].probability or 0) > (before[0].probability or 1) + settings.max_detector_rise
        ):
            found.append("rewrite_reads_like_ai")
        reasons = tuple(found)
        if not reasons:
            return Decision(action="accept", reasons=("better",))
    return Decision(action="rewrite" if number < settings.max_rewrites else "escalate", reasons=reasons)
