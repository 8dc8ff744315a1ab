"""The score: every criterion once, weights shared out, penalties, caps, and what to do first."""

import math
from collections.abc import Callable, Sequence
from datetime import date

from contentworker.editorial.aeo import content, penalties, provenance
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
from contentworker.editorial.aeo.rubric import (
    PROMOTIONAL_LIMIT,
    RUBRIC,
    RUBRIC_VERSION,
    STUFFING_LIMIT,
)
from contentworker.editorial.document import Document
from contentworker.editorial.settings import ContentSettings

__all__ = ["score"]

_BY_QUESTION: dict[str, Callable[[Analysis, relevance.Match], Finding]] = {
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
_NOT_SCORED = (
    NotScored(
        name="llms.txt",
        note="Not looked for: scoring uses no network. It would not count: Google's AI features need none.",
    ),
)
_CAP_ADVICE = {
    "noindex": "Remove noindex: a page that is not indexed is never shown.",
    "nosnippet": "Remove nosnippet: an engine that may not show the text cannot quote it.",
    "stub": "Write more: an engine needs a passage it can quote.",
    "empty": "Write the article.",
}


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
    links to its domain are no external sources. `today` is the day that freshness is judged by; the clock is
    never read. Raises ContentError if a question is no text, too long, or one too many.
    """
    asked = relevance.check_questions(questions, settings)
    analysis = Analysis(document, url=url, today=today, settings=settings)
    warnings: list[str] = []
    matches = _match_questions(analysis, asked, warnings)
    findings, by_question = _judge_questions(analysis, matches)
    if document.words:
        findings |= {name: judge(analysis) for name, judge in _BY_ARTICLE.items()}
    judged = {name: finding for name, finding in findings.items() if finding.score is not None}
    penalty_findings = _judge_penalties(analysis, matches)
    caps = penalties.caps(document, settings)
    points = _total(judged, [(limit, finding) for _, limit, finding, _ in penalty_findings], caps)
    low = document.words < settings.low_confidence_words
    _warn(analysis, low, warnings)
    return AeoScore(
        score=points,
        questions=tuple(by_question),
        question_inferred=not asked and bool(matches),
        weakest_question=_weakest(by_question),
        language=document.language,
        words=document.words,
        confidence="low" if low else "normal",
        criteria=tuple(_criteria(findings, settings)),
        penalties=tuple(_penalty(*found, settings) for found in penalty_findings if found[2].score),
        caps=tuple(caps),
        not_scored=_NOT_SCORED,
        warnings=tuple(warnings),
        recommendations=tuple(_recommend(analysis, judged, penalty_findings, caps, points)),
        rubric_version=RUBRIC_VERSION,
    )


def _match_questions(
    analysis: Analysis, asked: list[str], warnings: list[str]
) -> list[tuple[str, relevance.Match | None]]:
    """Each question with where the article meets it; None where the languages differ."""
    document = analysis.document
    inferred = None if asked else relevance.infer_question(document)
    if not asked and inferred is None:
        if document.words:
            warnings.append(
                "No question was given, and no heading or title suggests one: criteria 1-3 are left out."
            )
        return []
    matched: list[tuple[str, relevance.Match | None]] = []
    for question in asked or [inferred or ""]:
        if relevance.is_other_language(question, document.language):
            warnings.append(
                f"The question “{question}” is not in the article's language ({document.language}): "
                "criteria 1-3 cannot judge it."
            )
            matched.append((question, None))
            continue
        found = relevance.match(analysis, question)
        if not found.terms.words:
            warnings.append(f"The question “{question}” has no words to look for.")
        matched.append((question, found if found.terms.words and document.words else None))
    return matched


def _judge_questions(
    analysis: Analysis, matches: list[tuple[str, relevance.Match | None]]
) -> tuple[dict[str, Finding], list[QuestionScore]]:
    """Criteria 1-3 as means over the questions, with the evidence and advice of the weakest."""
    rows: list[tuple[float, dict[str, Finding]]] = []
    scores = []
    for question, found in matches:
        judged = {name: judge(analysis, found) for name, judge in _BY_QUESTION.items()} if found else {}
        scores.append(
            QuestionScore(question=question, **{name: _rounded(judged.get(name)) for name in _BY_QUESTION})
        )
        if judged:
            rows.append((_weighted(judged), judged))
    if not rows:
        return {}, scores
    weakest = min(rows, key=lambda row: row[0])[1]
    findings = {
        name: Finding(
            math.fsum(judged[name].score or 0.0 for _, judged in rows) / len(rows),
            finding.evidence,
            finding.advice,
        )
        for name, finding in weakest.items()
    }
    return findings, scores


def _judge_penalties(
    analysis: Analysis, matches: list[tuple[str, relevance.Match | None]]
) -> list[tuple[str, float, Finding, EvidenceGrade]]:
    """Name, most points, share of them lost, and evidence grade of each penalty."""
    asked = [found.terms for _, found in matches if found]
    return [
        ("stuffing", STUFFING_LIMIT, penalties.stuffing(analysis, asked), "medium"),
        ("promotional", PROMOTIONAL_LIMIT, penalties.promotional(analysis), "official"),
    ]


def _weighted(findings: dict[str, Finding]) -> float:
    return math.fsum(row.weight * (findings[row.name].score or 0.0) for row in RUBRIC if row.name in findings)


def _weight_in_use(judged: dict[str, Finding]) -> float:
    return math.fsum(row.weight for row in RUBRIC if row.name in judged)


def _rounded(finding: Finding | None) -> float | None:
    return None if finding is None or finding.score is None else round(min(1.0, max(0.0, finding.score)), 4)


def _total(judged: dict[str, Finding], penalty: list[tuple[float, Finding]], caps: list[Cap]) -> float:
    weight = _weight_in_use(judged)
    points = 100 * _weighted(judged) / weight if weight else 0.0
    points -= math.fsum(limit * (finding.score or 0.0) for limit, finding in penalty)
    return round(max(0.0, min(points, 100.0, *(cap.limit for cap in caps))), 1)


def _weakest(scores: list[QuestionScore]) -> str | None:
    judged = [found for found in scores if found.question_relevance is not None]
    if len(judged) < 2:
        return None
    weights = {row.name: row.weight for row in RUBRIC}
    return min(
        judged, key=lambda found: sum(weights[name] * getattr(found, name) for name in _BY_QUESTION)
    ).question


def _warn(analysis: Analysis, low: bool, warnings: list[str]) -> None:
    document = analysis.document
    if not document.words:
        warnings.append("The article has no text.")
    elif low:
        warnings.append(
            f"Only {document.words} words: less certain below {analysis.settings.low_confidence_words}."
        )
    if document.words and document.language not in ("en", "und"):
        warnings.append(
            f"The rubric's evidence is English; for “{document.language}” some criteria are left out."
        )
    if any(found.value > analysis.today for found in document.metadata.dates):
        warnings.append("A date of the article lies in the future and was not counted.")


def _criteria(findings: dict[str, Finding], settings: ContentSettings) -> list[Criterion]:
    most = settings.max_evidence_per_criterion
    return [
        Criterion(
            name=row.name,
            title=row.title,
            weight=row.weight,
            score=_rounded(findings.get(row.name)),
            evidence=tuple(findings[row.name].evidence[:most]) if row.name in findings else (),
            evidence_grade=row.evidence_grade,
            source=row.source,
        )
        for row in RUBRIC
    ]


def _penalty(
    name: str, limit: float, finding: Finding, grade: EvidenceGrade, settings: ContentSettings
) -> Penalty:
    points = round(limit * (finding.score or 0.0), 1)
    return Penalty(
        name=name,
        points=points,
        limit=limit,
        evidence=tuple(finding.evidence[: settings.max_evidence_per_criterion]),
    )


def _recommend(
    analysis: Analysis,
    judged: dict[str, Finding],
    penalty_findings: list[tuple[str, float, Finding, EvidenceGrade]],
    caps: list[Cap],
    points: float,
) -> list[Recommendation]:
    """What to do, by the points it can win; equal gains stay in the order of the rubric."""
    found: list[Recommendation] = []
    uncapped = _total(judged, [(limit, finding) for _, limit, finding, _ in penalty_findings], [])
    for cap in caps:
        gain = max(0.0, uncapped - points)
        found.append(_recommendation(analysis, cap.name, Advice(_CAP_ADVICE[cap.name]), gain, "official"))
    share = 100 / (_weight_in_use(judged) or 100)
    for row in RUBRIC:
        finding = judged.get(row.name)
        if finding and finding.advice and finding.score is not None:
            gain = share * row.weight * (1 - finding.score)
            found.append(_recommendation(analysis, row.name, finding.advice, gain, row.evidence_grade))
    for name, limit, finding, grade in penalty_findings:
        if finding.score and finding.advice:
            found.append(_recommendation(analysis, name, finding.advice, limit * finding.score, grade))
    capping = {cap.name for cap in caps}
    found.sort(key=lambda item: (item.criterion not in capping, -item.gain))
    return found[: analysis.settings.max_recommendations]


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
