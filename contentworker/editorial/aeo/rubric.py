"""The rubric as one table: weights, limits, and what each row rests on.

The shares within criterion 1 are fitted to half of the shared Natural Questions, and the weights of criteria
1 and 2 agree with that fit (research/aeo/fit.py). The others are set by hand after the evidence named here.
"""

from dataclasses import dataclass

from contentworker.editorial.aeo.result import EvidenceGrade

__all__ = [
    "JOINT_SHARE",
    "NOINDEX_CAP",
    "OPENING_SHARE",
    "PASSAGE_SHARE",
    "PROMOTIONAL_LIMIT",
    "RUBRIC",
    "RUBRIC_VERSION",
    "SENTENCE_SHARE",
    "STUB_CAP",
    "STUFFING_LIMIT",
    "Row",
    "ramp",
]

RUBRIC_VERSION = "3"

# What criterion 1 is made of: the fitted values, rounded.
PASSAGE_SHARE = 0.5
JOINT_SHARE = 0.4
SENTENCE_SHARE = 0.05
OPENING_SHARE = 0.05

STUFFING_LIMIT = 12.0
PROMOTIONAL_LIMIT = 4.0
NOINDEX_CAP = 15.0
STUB_CAP = 25.0


@dataclass(frozen=True, slots=True)
class Row:
    """One criterion: its weight (all weights add up to 100), and how well it is supported by what."""

    name: str
    title: str
    weight: float
    evidence_grade: EvidenceGrade
    source: str


RUBRIC: tuple[Row, ...] = (
    Row(
        "question_relevance", "Question relevance", 26, "strong",
        "Wan et al., ACL 2024 (arXiv 2402.11782): models choose by relevance to the question",
    ),
    Row(
        "heading_match", "Heading and title match", 16, "medium",
        "Own analysis of 205 ChatGPT-search runs: title-question overlap is the best feature (AUC .667)",
    ),
    Row(
        "answer_directness", "Answer directness", 14, "medium",
        "Own analysis of 433 Google AI Mode answers (first block: median 42 words); Microsoft, October 2025",
    ),
    Row(
        "structure", "Structure", 10, "official",
        "Microsoft, October 2025: clear headings, short sections, lists and tables (untested)",
    ),
    Row(
        "self_containment", "Self-contained passages", 7, "official",
        "Microsoft, October 2025: passages that make sense alone, no vague claims (untested)",
    ),
    Row(
        "statistics", "Statistics", 7, "medium",
        "GEO, KDD 2024 (arXiv 2311.09735), Table 1: statistics 25.2 against a baseline of 19.3",
    ),
    Row(
        "sources", "Sources and quotations", 6, "medium",
        "GEO, KDD 2024, Table 1: quotations 27.2, sources 24.6 against 19.3; Wan et al. find little effect",
    ),
    Row(
        "readability", "Readability", 5, "medium",
        "GEO, KDD 2024, Table 1: fluency 24.7, easy words 22.0 against 19.3",
    ),
    Row(
        "freshness", "Freshness and provenance", 5, "strong",
        "Recency bias (arXiv 2509.11353): dates move rankings; authors show no effect in our own analysis",
    ),
    Row(
        "structured_data", "Structured data", 4, "weak",
        "GEO-16 (arXiv 2509.10762), observational; Google: no special schema is required",
    ),
)  # fmt: skip


def ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high`, a straight line between; `low` < `high`."""
    return min(1.0, max(0.0, (value - low) / (high - low)))
