"""The rubric as one table: weights, limits, and what each row rests on.

The shares within criterion 1 and the ratio of criteria 1 and 2 follow a fit to half of the shared Natural
Questions (research/aeo/fit.py). The other weights are set by hand after the evidence named here.
"""

from dataclasses import dataclass

from contentworker.editorial.aeo.result import EvidenceGrade

__all__ = [
    "ENCODER_SHARE",
    "JOINT_SHARE",
    "NEARNESS_SHARE",
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

RUBRIC_VERSION = "4"

# What criterion 1 is made of. Nearness is by word vectors; where a language has none, words are the whole.
NEARNESS_SHARE = 0.25
# The same with the encoder, whose nearness says more.
ENCODER_SHARE = 0.7
# And this is what the part by words is made of: the fitted values, rounded.
PASSAGE_SHARE = 0.5
JOINT_SHARE = 0.4
SENTENCE_SHARE = 0.05
OPENING_SHARE = 0.05

STUFFING_LIMIT = 12.0
# Shown, and takes nothing off: one study finds that cited pages have more of it, our own analysis no effect.
PROMOTIONAL_LIMIT = 0.0
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
        "question_relevance", "Question relevance", 40, "strong",
        "Wan et al., ACL 2024 (arXiv 2402.11782), and C-SEO Bench (arXiv 2506.11097): relevance to the "
        "question decides; a study of 2 million citations: match of prompt and content +.37, three times the "
        "next signal",
    ),
    Row(
        "heading_match", "Heading and title match", 12, "medium",
        "Own analysis of 205 ChatGPT-search runs: title-question overlap is the best feature (AUC .667); "
        "a heading that answers the question: cited 41 % against 29 %; titles and slugs match in over 60 %",
    ),
    Row(
        "answer_directness", "Answer directness", 16, "medium",
        "Own analysis of 433 Google AI Mode answers (first block: median 42 words); Microsoft, October 2025; "
        "C-SEO Bench: position in the context dominates",
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
        "statistics", "Statistics", 4, "weak",
        "GEO, KDD 2024 (arXiv 2311.09735): 25.2 against 19.3; C-SEO Bench: most such methods are ineffective",
    ),
    Row(
        "sources", "Sources and quotations", 4, "weak",
        "GEO: quotations 27.2, sources 24.6 against 19.3; Wan et al. and C-SEO Bench find little effect",
    ),
    Row(
        "readability", "Readability", 4, "weak",
        "GEO: fluency 24.7, easy words 22.0 against 19.3; C-SEO Bench: most such methods are ineffective",
    ),
    Row(
        "freshness", "Freshness and provenance", 3, "medium",
        "Recency bias (arXiv 2509.11353): dates move rankings; but one engine prefers older pages, and dates "
        "and authors show no effect in our own analysis",
    ),
    Row(
        "structured_data", "Structured data", 0, "weak",
        "No effect: 1,885 pages that added JSON-LD against 4,000 controls (Ahrefs, May 2026)",
    ),
)  # fmt: skip


def ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high`, a straight line between; `low` < `high`."""
    return min(1.0, max(0.0, (value - low) / (high - low)))
