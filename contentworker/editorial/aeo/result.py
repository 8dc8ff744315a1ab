"""The result of scoring one article; `AeoScore.model_validate_json` reads it back."""

from typing import Literal

from pydantic import Field

from contentworker.editorial import ArticleState, Result

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

EvidenceGrade = Literal["strong", "medium", "weak", "official"]

_START = "Where it begins: character offset into the source. None if it has no place of its own."
_END = "Where it ends: character offset into the source, exclusive. None if it has no place of its own."
_GRADE = (
    "How well research supports the criterion: strong (controlled, repeated), medium (one study or an older "
    "model), weak (observational, or contradicted), official (said by an engine's operator, untested)."
)


class Evidence(Result):
    """What in the article a sub-score rests on."""

    text: str = Field(description="Excerpt, clipped to the configured number of characters; may be empty.")
    start: int | None = Field(default=None, ge=0, description=_START)
    end: int | None = Field(default=None, ge=0, description=_END)
    note: str = Field(default="", description="What the excerpt shows.")


class Criterion(Result):
    """One row of the rubric and what the article got for it."""

    name: str = Field(description="Stable identifier, for example `question_relevance`.")
    title: str = Field(description="Its name for people.")
    weight: float = Field(
        ge=0, le=100, description="Its weight in the rubric; the weights of all rows add up to 100."
    )
    score: float | None = Field(
        ge=0, le=1, description="Sub-score from 0 to 1. None if it does not apply to this article."
    )
    evidence: tuple[Evidence, ...] = Field(description="What the sub-score rests on, most telling first.")
    evidence_grade: EvidenceGrade = Field(description=_GRADE)
    source: str = Field(description="Where the criterion comes from.")


class QuestionScore(Result):
    """How one target question fares. Each sub-score is None where it cannot be judged."""

    question: str = Field(description="The question, with its whitespace normalised.")
    question_relevance: float | None = Field(ge=0, le=1, description="Sub-score from 0 to 1.")
    heading_match: float | None = Field(ge=0, le=1, description="Sub-score from 0 to 1.")
    answer_directness: float | None = Field(ge=0, le=1, description="Sub-score from 0 to 1.")


class Penalty(Result):
    """Points taken off for what harms an article."""

    name: str = Field(description="`stuffing` or `promotional`.")
    points: float = Field(ge=0, le=12, description="Points taken off the total.")
    limit: float = Field(ge=0, le=12, description="Most points it can take off; 0: for information.")
    evidence: tuple[Evidence, ...] = Field(description="What the penalty rests on.")


class Cap(Result):
    """An upper limit on the total."""

    name: str = Field(description="`noindex`, `nosnippet`, `stub` or `empty`.")
    limit: float = Field(ge=0, le=100, description="The total is at most this many points.")
    reason: str = Field(description="Why the limit holds.")


class NotScored(Result):
    """What people ask about and the score leaves out on purpose."""

    name: str = Field(description="What it is, for example `llms.txt`.")
    weight: float = Field(default=0, ge=0, le=0, description="Always 0.")
    note: str = Field(description="Whether it was looked at, and why it does not count.")


class Recommendation(Result):
    """One thing to do, by a person or a model."""

    criterion: str = Field(description="Name of the criterion, penalty or cap that it improves.")
    text: str = Field(description="What to do. Any figure, quotation or source that is added has to be real.")
    start: int | None = Field(default=None, ge=0, description=_START)
    end: int | None = Field(default=None, ge=0, description=_END)
    place: str = Field(description="The headings above the place, outermost first; or `whole article`.")
    gain: float = Field(ge=0, le=100, description="Most points the total can win by it, before caps.")
    evidence_grade: EvidenceGrade = Field(description=_GRADE)


class AeoScore(Result):
    """Readiness of an article to be found, quoted and attributed by answer engines; no probability."""

    score: float = Field(ge=0, le=100, description="Total in points, rounded to one decimal.")
    questions: tuple[QuestionScore, ...] = Field(description="Each target question and its own sub-scores.")
    question_inferred: bool = Field(
        description="True if no question was given and one was read off the headings or title. Such scores "
        "run 11 to 22 points higher: never compare them with scores for given questions."
    )
    compared_by: Literal["words", "word_vectors", "encoder"] = Field(
        default="words",
        description="How criteria 1 and 3 compare a question with the text: by its words alone, also by word "
        "vectors, which know other words for the same, or in criterion 1 by the encoder. Compare only scores "
        "with the same value.",
    )
    weakest_question: str | None = Field(
        description="Of several questions, the one the article answers worst."
    )
    found: ArticleState = Field(
        default="article",
        description="What the page holds: an `article`, `no_article` (a login, a listing, a gallery), or "
        "`several_articles`. Only the first is judged well.",
    )
    language: str = Field(description="ISO 639 code of the article's language, or `und`.")
    words: int = Field(ge=0, description="Words of running text, headings left out.")
    confidence: Literal["normal", "low"] = Field(
        description="`low` if the article is too short to be judged well, or not certainly found on its page."
    )
    criteria: tuple[Criterion, ...] = Field(description="The ten criteria in the order of the rubric.")
    penalties: tuple[Penalty, ...] = Field(description="Penalties that took points off.")
    caps: tuple[Cap, ...] = Field(description="Limits on the total that hold for this article.")
    not_scored: tuple[NotScored, ...] = Field(description="What was left out on purpose.")
    warnings: tuple[str, ...] = Field(description="What a reader of the score has to know.")
    recommendations: tuple[Recommendation, ...] = Field(description="What to do, largest gain first.")
    rubric_version: str = Field(description="Scores of different versions are not comparable.")
