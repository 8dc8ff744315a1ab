"""Moves a run from step to step: the work of the tasks in `tasks/pipeline.py`.

Not a Celery chord: a worker that dies between claiming the chord's body and sending it leaves a claim of at
least six seconds, and a header task that is delivered again sooner, as it is here, neither sends the body nor
comes again. So both halves of an evaluation call `take_evaluation`; the one that sees both moves the run on.
"""

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any

from celery import current_app

from contentworker import config
from contentworker.articles import steps
from contentworker.articles.outcome import open_runs
from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.detector import Detection
from contentworker.errors import ContentError, ContentWorkerError
from contentworker.runtime.logs import context as log_context
from contentworker.runtime.records.runs import Run, Runs

__all__ = ["begin", "close", "fail", "take_evaluation", "take_rewrite"]

NAMESPACE = uuid.UUID("6c1c5a3e-6a3f-5a0e-9a53-7f0f8f1b6d11")
"""Namespace of the ids of runs. With another value, every article would get a second run."""
MOST_MESSAGE_CHARACTERS = 500


def begin(article_id: str, article: dict[str, Any]) -> Run:
    """Begin a run, or find the one that the same text under the same thresholds has; send its step.

    `article` holds the arguments of `process_content`; `scope` only if it was given.
    """
    from contentworker.editorial import policy

    log_context.bind(article_id=article_id)
    settings = config.load()
    text = article["content"].encode("utf-8", "surrogatepass")
    if len(text) > settings.content.max_bytes:
        raise ContentError("content", f"at most {settings.content.max_bytes} bytes of UTF-8, not {len(text)}")
    version = policy.version(settings.pipeline)
    identity = [article_id, hashlib.sha256(text).hexdigest(), version]
    # Another scope is another article. Without one, the id is that of earlier versions.
    identity += [article["scope"]] if "scope" in article else []
    run_id = str(uuid.uuid5(NAMESPACE, "\n".join(identity)))
    log_context.bind(run_id=run_id)
    article = {**article, "today": datetime.now(UTC).date().isoformat()}
    runs = _runs()
    runs.create(run_id, article_id, steps.evaluation(0), {"article": article})
    run = runs.find(run_id)
    if run is None:
        raise ContentWorkerError(f"run {run_id} was removed while it began: send the article again")
    # Also for a run that exists: its first worker may have died before this line, or Redis lost the message.
    # Every step can be repeated, and a rewrite is claimed under its id.
    kind, _, number = run.step.partition(":")
    if kind == "evaluate" and _decide(run_id, int(number)):  # both halves are there, so nothing would be sent
        return runs.find(run_id) or run
    steps.send(run)
    return run


def take_evaluation(result: dict[str, Any], *, run_id: str, number: int, part: str) -> None:
    """Keep one half of an evaluation; once both halves are there, decide."""
    _runs().note(run_id, f"{steps.evaluation(number)}/{part}", result)
    _decide(run_id, number)


def _decide(run_id: str, number: int) -> bool:
    """Move a run on from an evaluation; return False if a half of it is not there yet."""
    from contentworker.editorial import policy

    step = steps.evaluation(number)
    run = _runs().find(run_id)
    if run is None or not {f"{step}/detection", f"{step}/score"} <= run.data.keys():
        return False
    settings = config.load().pipeline
    before = _evaluation(run, 0)
    if number == 0:
        decision = policy.first(*before, settings)
    else:
        after = _evaluation(run, number)
        decision = policy.after_rewrite(before, after, number=number, refusals=0, settings=settings)
    _follow(run_id, step, number, decision)
    return True


def take_rewrite(rewrite: dict[str, Any], *, run_id: str, number: int) -> None:
    """Keep a rewrite and have it evaluated; if the guard refused all of it, decide at once."""
    from contentworker.editorial import policy

    step = steps.rewriting(number)
    kept = {f"{step}/result": rewrite}
    if rewrite["changed"]:
        _move(run_id, step, steps.evaluation(number), kept)
        return
    run = _runs().find(run_id)
    if run is None:
        return
    refusals = sum(len(each["refusals"]) for each in rewrite["changes"])
    settings = config.load().pipeline
    decision = policy.after_rewrite(
        _evaluation(run, 0), None, number=number, refusals=refusals, settings=settings
    )
    _follow(run_id, step, number, decision, kept)


def fail(task_id: str, *, run_id: str, step: str) -> None:
    """Escalate a run whose step failed for good; Celery sends this as the errback of the step's task.

    If the step is the escalation itself, the run has failed.
    """
    # A result backend rebuilds an error by its class only if the class's module is imported.
    from contentworker.runtime.records import spending  # noqa: F401
    from contentworker.runtime.worker import claims  # noqa: F401

    error = current_app.backend.get_result(task_id)
    name = type(error).__name__ if isinstance(error, BaseException) else "Unknown"
    # Other errors may quote the article.
    message = str(error)[:MOST_MESSAGE_CHARACTERS] if isinstance(error, ContentWorkerError) else ""
    failure = {"failure": {"step": step, "error": name, "message": message}}
    if step == steps.ESCALATE:
        _runs().move(run_id, step, "failed", failure)
    else:
        reason = getattr(error, "escalation_reason", "failed")
        _move(run_id, step, steps.ESCALATE, {**failure, "reasons": [reason]})


def close(record: dict[str, Any], *, run_id: str) -> None:
    """End a run whose escalation is recorded, also one that had failed and whose dead letter was replayed."""
    for step in (steps.ESCALATE, "failed"):
        _runs().move(run_id, step, "escalated", {"escalation_id": record["id"]})


def _evaluation(run: Run, number: int) -> tuple[Detection, AeoScore]:
    """Both halves of an evaluation that is complete."""
    step = steps.evaluation(number)
    return (
        Detection.model_validate(run.data[f"{step}/detection"]),
        AeoScore.model_validate(run.data[f"{step}/score"]),
    )


def _runs() -> Runs:
    return open_runs(current_app.backend.client)


def _follow(run_id: str, step: str, number: int, decision: Any, data: dict[str, Any] | None = None) -> None:
    to = {
        "pass": "passed",
        "accept": "accepted",
        "rewrite": steps.rewriting(number + 1),
        "escalate": steps.ESCALATE,
    }[decision.action]
    _move(run_id, step, to, {**(data or {}), "reasons": list(decision.reasons)})


def _move(run_id: str, step: str, to: str, data: dict[str, Any]) -> None:
    """Move the run on and send its next step: again if a worker moved it and died before it could send."""
    _runs().move(run_id, step, to, data)
    run = _runs().find(run_id)
    if run is not None and run.came_from == step:
        steps.send(run)
