"""What has become of an article, for whoever asks: a command, or a task."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contentworker.runtime.runs import Run

__all__ = ["outcome"]


def outcome(run: "Run") -> dict[str, Any]:
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
        "scores": {str(number): found["score"] for number, found in scores.items()},
        "verdicts": {str(number): found["verdict"] for number, found in detections.items()},
        "cost": sum(each["cost"] for each in rewrites),
        "failure": run.data.get("failure"),
        "escalation_id": run.data.get("escalation_id"),
        "text": rewrites[-1]["text"] if run.step == "accepted" else None,
    }
