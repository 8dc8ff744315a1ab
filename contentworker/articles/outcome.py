"""The runs of articles in Redis, what became of one, and what it found out about the article."""

from collections.abc import Iterator
from typing import Any

from contentworker import config
from contentworker.editorial.detector.result import renewed
from contentworker.editorial.escalations.result import FindingKind, NewFinding
from contentworker.runtime.records.runs import Run, RunLine, Runs

__all__ = ["findings", "listed", "open_runs", "outcome"]

EVALUATIONS: tuple[FindingKind, ...] = ("score", "detection")


def open_runs(client: Any) -> Runs:
    """The runs in Redis, each kept for `retention.runs_seconds`."""
    return Runs(client, config.load().retention.runs_seconds)


def listed(client: Any, state: str | None = None, article_id: str | None = None) -> list[RunLine]:
    """Where runs stand, the newest last: those that are `open` or `ended`, and of one article."""
    return [
        run
        for run in open_runs(client).read()
        if article_id in {None, run.subject} and state in {None, "ended" if run.is_final else "open"}
    ]


def outcome(run: Run) -> dict[str, Any]:
    """What became of a run: its end, the reasons, the scores, the accepted text."""
    scores, detections = run.parts("evaluate", "score"), run.parts("evaluate", "detection")
    rewrites = [*run.parts("rewrite", "result").values()]
    return {
        "run_id": run.id,
        "article_id": run.subject,
        "outcome": run.step if run.is_final else "running",
        "step": run.step,
        "progress": run.progress(),
        "reasons": run.data.get("reasons", []),
        "scores": {str(number): score["score"] for number, score in scores.items()},
        "verdicts": {str(number): renewed(each)["verdict"] for number, each in detections.items()},
        "cost": sum(rewrite["cost"] for rewrite in rewrites),
        "failure": run.data.get("failure"),
        "escalation_id": run.data.get("escalation_id"),
        "text": rewrites[-1]["text"] if run.step == "accepted" else None,
    }


def findings(run: Run) -> Iterator[NewFinding]:
    """Whole results of a run's steps, each with the text that its offsets are in."""
    rewrites = run.parts("rewrite", "result")
    texts = {0: run.data["article"]["content"], **{n: each["text"] for n, each in rewrites.items()}}
    for kind in EVALUATIONS:
        for number, result in run.parts("evaluate", kind).items():
            yield NewFinding(kind, number, texts[number], result)
    for number, rewrite in rewrites.items():
        yield NewFinding("rewrite", number, texts[0], rewrite)
