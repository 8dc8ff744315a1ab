"""The score: every criterion once, weights shared out, penalties, caps, and what to do first."""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Literal, NamedTuple

from contentworker.editorial.aeo import content, matching, penalties, provenance
from contentworker.editorial.aeo import questions as relevance
from contentworker.editorial.aeo.analysis import WHOLE_ARTICLE, Advice, Analysis, Finding
from contentworker.editorial.aeo.result import (
    AeoScore,
    Cap,
    Criterion,
    EvidenceGrade,
    NotScored,
    Penalty,
    QuestionScore,
    Recommendation,
)
from contentworker.editorial.aeo.rubric import PROMOTIONAL_LIMIT, RUBRIC, RUBRIC_VERSION, STUFFING_LIMIT
from contentworker.editorial.document import Document
from contentworker.editorial.settings import ContentSettings

__all__ = ["score"]

_BY_QUESTION: dict[str, Callable[[Analysis, matching.Match], Finding]] = {
    "question_relevance": relevance.question_relevance,
    "heading_match": relevance.heading_match,
    "answer_directness": relevance.answer_directness,
}
_BY_ARTICLE: dict[str, Callable[[Analysis], Finding]] = {
    "structure": content.structure,
    "self_containment": content.self_containment,
    "statistics": content.statistics,
    "sources": content.sources,
    "readability": content.readability,
    "freshness": provenance.freshness,
    "structured_data": provenance.structured_data,
}
_WEIGHTS = {row.name: row.weight for row in RUBRIC}
_LLMS_TXT = NotScored(
    name="llms.txt",
    note="Not looked for: scoring uses no network. It would not count: Google's AI features need none.",
)
_CAP_ADVICE = {
    "noindex": "Remove noindex: a page that is not indexed is never shown.",
    "nosnippet": "Remove nosnippet: an engine that may not show the text cannot quote it.",
    "stub": "Write more: an engine needs a passage it can quote.",
    "empty": "Write the article.",
}
Matches = list[tuple[str, matching.Match | None]]
"""Each question with where the article meets it; None if it cannot be judged."""


class _Loss(NamedTuple):
    """A penalty: the most points it takes off, and which share of them (the finding's score) it does."""

    name: str
    limit: float
    finding: Finding
    grade: EvidenceGrade

    @property
    def points(self) -> float:
        return self.limit * (self.finding.score or 0.0)


def score(
    document: Document,
    *,
    questions: Sequence[str] = (),
    url: str | None = None,
    today: date,
    settings: ContentSettings,
) -> AeoScore:
    """Judge how ready an article is for answer engines, 0 to 100 points.

    Without `questions` one is inferred from the headings or the title. `url` is the article's own address:
    links to its domain are no external sources, and its last part may match a question. `today` is the day
    that freshness is judged by; the clock is never read.

    Raises:
        ContentError: a question is not text, is too long, or is one too many.
    """
    asked = relevance.check_questions(questions, settings)
    analysis = Analysis(document, url=url, today=today, settings=settings)
    warnings: list[str] = []
    matches = _match_questions(analysis, asked, warnings)
    findings, by_question = _judge_questions(analysis, matches)
    if document.words:
        findings |= {name: judge(analysis) for name, judge in _BY_ARTICLE.items()}
    judged = {name: finding for name, finding in findings.items() if finding.score is not None}
    stuffed = penalties.stuffing(analysis, [found.terms for _, found in matches if found])
    losses = [
        _Loss("stuffing", STUFFING_LIMIT, stuffed, "medium"),
        _Loss("promotional", PROMOTIONAL_LIMIT, penalties.promotional(analysis), "weak"),
    ]
    caps = penalties.caps(document, settings)
    low = document.words < settings.low_confidence_words or not document.is_certain
    _warn(analysis, warnings)
    return AeoScore(
        score=_total(judged, losses, caps),
        questions=tuple(by_question),
        question_inferred=not asked and bool(matches),
        compared_by=_compared_by(analysis),
        weakest_question=_weakest(by_question),
        found=document.state,
        language=document.language,
        words=document.words,
        confidence="low" if low else "normal",
        criteria=tuple(_criteria(findings, settings.max_evidence_per_criterion)),
        penalties=tuple(
            Penalty(
                name=loss.name,
                points=round(loss.points, 1),
                limit=loss.limit,
                evidence=tuple(loss.finding.evidence[: settings.max_evidence_per_criterion]),
            )
            for loss in losses
            if loss.finding.score
        ),
        caps=tuple(caps),
        not_scored=(_LLMS_TXT,),
        warnings=tuple(warnings),
        recommendations=tuple(_recommend(analysis, judged, losses, caps)),
        rubric_version=RUBRIC_VERSION,
    )


def _compared_by(analysis: Analysis) -> Literal["words", "word_vectors", "encoder"]:
    if analysis.encoded:
        return "encoder"
    return "word_vectors" if analysis.vectors else "words"


def _match_questions(analysis: Analysis, asked: list[str], warnings: list[str]) -> Matches:
    document = analysis.document
    if not asked:
        inferred = relevance.infer_question(document)
        if inferred is None:
            if document.words:
                warnings.append(
                    "No question was given, and no heading or title suggests one: criteria 1-3 are left out."
                )
            return []
        asked = [inferred]
    matches: Matches = []
    for question in asked:
        best = None
        if relevance.is_other_language(question, document.language):
            warnings.append(
                f"The question “{question}” is not in the article's language ({document.language}): "
                "criteria 1-3 cannot judge it."
            )
        else:
            best = matching.match(analysis, question)
            if not best.terms.words:
                warnings.append(f"The question “{question}” has no words to look for.")
        matches.append((question, best if best and best.terms.words and document.words else None))
    return matches


def _judge_questions(analysis: Analysis, matches: Matches) -> tuple[dict[str, Finding], list[QuestionScore]]:
    """Criteria 1-3 as means over the questions, with the evidence and advice of the weakest."""
    rows: list[dict[str, Finding]] = []
    scores = []
    for question, found in matches:
        judged = {name: judge(analysis, found) for name, judge in _BY_QUESTION.items()} if found else {}
        scores.append(
            QuestionScore(question=question, **{name: _rounded(judged.get(name)) for name in _BY_QUESTION})
        )
        if judged:
            rows.append(judged)
    if not rows:
        return {}, scores
    findings = {
        name: Finding(
            math.fsum(row[name].score or 0.0 for row in rows) / len(rows), finding.evidence, finding.advice
        )
        for name, finding in min(rows, key=_weighted).items()
    }
    return findings, scores


def _weighted(findings: dict[str, Finding]) -> float:
    return math.fsum(_WEIGHTS[name] * (finding.score or 0.0) for name, finding in findings.items())


def _weight_in_use(judged: Iterable[str]) -> float:
    return math.fsum(_WEIGHTS[name] for name in judged)


def _rounded(finding: Finding | None) -> float | None:
    return None if finding is None or finding.score is None else round(min(1.0, max(0.0, finding.score)), 4)


def _total(judged: dict[str, Finding], losses: Sequence[_Loss], caps: Sequence[Cap]) -> float:
    weight = _weight_in_use(judged)
    points = 100 * _weighted(judged) / weight if weight else 0.0
    points -= math.fsum(loss.points for loss in losses)
    return round(max(0.0, min(points, 100.0, *(cap.limit for cap in caps))), 1)


def _weakest(scores: list[QuestionScore]) -> str | None:
    judged = [each for each in scores if each.question_relevance is not None]
    if len(judged) < 2:  # noqa: PLR2004 (one is the strongest as well)
        return None
    return min(
        judged, key=lambda each: sum(_WEIGHTS[name] * getattr(each, name) for name in _BY_QUESTION)
    ).question


def _warn(analysis: Analysis, warnings: list[str]) -> None:
    document = analysis.document
    if document.state == "no_article":
        warnings.append("The page seems to hold no article: only menus, teasers or a form.")
    elif document.state == "several_articles":
        warnings.append("The page holds several articles: score each by itself.")
    elif not document.is_certain:
        warnings.append("It is not certain which part of the page is the article.")
    if not document.words:
        warnings.append("The article has no text.")
    elif document.words < analysis.settings.low_confidence_words:
        warnings.append(
            f"Only {document.words} words: less certain below {analysis.settings.low_confidence_words}."
        )
    if document.words and document.language not in ("en", "und"):
        warnings.append(
            f"The rubric's evidence is English; for “{document.language}” some criteria are left out."
        )
    if document.words and _compared_by(analysis) == "words":
        warnings.append(
            f"There are no word vectors for “{document.language}”: questions are compared by words alone."
        )
    if any(each.value > analysis.today for each in document.metadata.dates):
        warnings.append("A date of the article lies in the future and was not counted.")


def _criteria(findings: dict[str, Finding], most_evidence: int) -> list[Criterion]:
    return [
        Criterion(
            name=row.name,
            title=row.title,
            weight=row.weight,
            score=_rounded(findings.get(row.name)),
            evidence=tuple(findings[row.name].evidence[:most_evidence]) if row.name in findings else (),
            evidence_grade=row.evidence_grade,
            source=row.source,
        )
        for row in RUBRIC
    ]


def _recommend(
    analysis: Analysis, judged: dict[str, Finding], losses: Sequence[_Loss], caps: Sequence[Cap]
) -> list[Recommendation]:
    """What to do, by the points it can win; equal gains stay in the order of the rubric."""
    capped = _total(judged, losses, []) - _total(judged, losses, caps)
    advice = [
        _recommendation(analysis, cap.name, Advice(_CAP_ADVICE[cap.name]), max(0.0, capped), "official")
        for cap in caps
    ]
    share = 100 / (_weight_in_use(judged) or 100)
    for row in RUBRIC:
        finding = judged.get(row.name)
        if row.weight and finding and finding.advice and finding.score is not None:
            gain = share * row.weight * (1 - finding.score)
            advice.append(_recommendation(analysis, row.name, finding.advice, gain, row.evidence_grade))
    advice += [
        _recommendation(analysis, loss.name, loss.finding.advice, loss.points, loss.grade)
        for loss in losses
        if loss.points and loss.finding.advice
    ]
    capping = {cap.name for cap in caps}
    advice.sort(key=lambda item: (item.criterion not in capping, -item.gain))
    return advice[: analysis.settings.max_recommendations]


def _recommendation(
    analysis: Analysis, criterion: str, advice: Advice, gain: float, grade: EvidenceGrade
) -> Recommendation:
    place = advice.place
    return Recommendation(
        criterion=criterion,
        text=advice.text,
        start=place.start if place else None,
        end=place.end if place else None,
        place=analysis.path_at(place.start) if place else WHOLE_ARTICLE,
        gain=round(min(100.0, gain), 1),
        evidence_grade=grade,
    )
