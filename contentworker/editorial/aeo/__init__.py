"""How ready an article is to be found, quoted and attributed by answer engines. See docs/aeo.md."""

from contentworker.editorial.aeo.result import (
    AeoScore,
    Cap,
    Criterion,
    Evidence,
    EvidenceGrade,
    NotScored,
    Penalty,
    QuestionScore,
    Recommendation,
)
from contentworker.editorial.aeo.scoring import score

__all__ = [
    "AeoScore",
    "Cap",
    "Criterion",
    "Evidence",
    "EvidenceGrade",
    "NotScored",
    "Penalty",
    "QuestionScore",
    "Recommendation",
    "score",
]
