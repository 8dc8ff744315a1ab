"""How ready an article is to be found, quoted and attributed by answer engines. See docs/aeo.md.

Here are the results only, which whoever sends or reads a score needs; `aeo.scoring.score` makes them.
"""

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
]
