"""The default queue: an article's whole way, as steps that send the next ones. None waits for another.

Not a Celery chord: who dies after it has claimed a chord's body and before it has sent it leaves a claim of
at least six seconds, and a header that comes back sooner, as it does here, neither sends the body nor comes
again. So each header calls `take_evaluation` instead, and whoever sees both parts moves the run on.
"""

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from celery import current_app, group, shared_task
from pydantic import BaseModel, Field, StrictStr

from contentworker import config
from contentworker.editorial import MediaType
from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.detector import Detection
from contentworker.editorial.escalations.result import ArticleId
from contentworker.errors import ContentError, ContentWorkerError
from contentworker.runtime import log_context
from contentworker.runtime.runs import Run, Runs, step_id
from tasks.base import IdempotentTask

__all__ = ["PipelineStart", "close", "describe", "fail", "process_content", "take_evaluation", "take_rewrite"]

Question = Annotated[StrictStr, Field(min_length=1)]
NAMESPACE = uuid.UUID("6c1c5a3e-6a3f-5a0e-9a53-7f0f8f1b6d11")
MOST_REFUSALS = 50
"""Of those that a record shows a person."""


class PipelineStart(BaseModel):
    """The run of an article; the same one each time that the same article is sent."""

    run_id: str
    article_id: str
    step: str = Field(description="Where it stands: `evaluate:0`, `rewrite:1`, …, or how it has ended.")


@shared_task(base=IdempotentTask)
def process_content(
    article_id: ArticleId,
    content: StrictStr,
    media_type: MediaType | None = None,
    questions: list[Question] | None = None,
    url: StrictStr | None = None,
) -> PipelineStart:
    """Begin the way of an article, once for the same text under the same thresholds; answer at once.

    How it ends: `python -m contentworker runs show RUN_ID`.

    Raises:
        ContentError: an argument that cannot be worked on, by name. Never retried.
    """
    from contentworker.editorial import policy

    log_context.bind(article_id=article_id)
    settings = config.load()
    size = len(content.encode("utf-8", "surrogatepass"))
    if size > settings.content.max_bytes:
        raise ContentError("content", f"at most {settings.content.max_bytes} bytes of UTF-8, not {size}")
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    run_id = str(uuid.uuid5(NAMESPACE, f"{article_id}\n{digest}\n{policy.version(settings.pipeline)}"))
    log_context.bind(run_id=run_id)
    article = {
        "content": content,
        "media_type": media_type,
        "questions": questions,
        "url": url,
        "today": datetime.now(UTC).date().isoformat(),
    }
    _runs().create(run_id, article_id, "evaluate:0", {"article": article})
    run = _runs().find(run_id)
    if run is None:
        raise ContentWorkerError("the run was removed while it began")
    # Also for a run that is there: whoever began it may have died before it sent this, or Redis lost it.
    # Every step bears a repeat, and a rewrite is claimed under its id.
    _send(run)
    return PipelineStart(run_id=run_id, article_id=article_id, step=run.step)


@shared_task(base=IdempotentTask)
def describe(run_id: Annotated[StrictStr, Field(max_length=200)]) -> dict[str, Any]:
    """Say where a run stands or how it has ended, as `runs show` does; `unknown` where there is none."""
    from contentworker.articles import outcome

    run = _runs().find(run_id)
    return outcome(run) if run else {"run_id": run_id, "outcome": "unknown"}


@shared_task(base=IdempotentTask)
def take_evaluation(result: dict[str, Any], *, run_id: str, number: int, part: str) -> None:
    """Keep one half of an evaluation; with both, decide."""
    from contentworker.editorial import policy

    step = f"evaluate:{number}"
    _runs().note(run_id, f"{step}/{part}", result)
    run = _runs().find(run_id)
    if run is None or not {f"{step}/detection", f"{step}/score"} <= run.data.keys():
        return
    settings = config.load().pipeline
    before = _evaluation(run, 0)
    if number == 0:
        decision = policy.first(*before, settings)
    else:
        after = _evaluation(run, number)
        decision = policy.after_rewrite(before, after, number=number, refusals=0, settings=settings)
    _follow(run_id, step, number, decision)


@shared_task(base=IdempotentTask)
def take_rewrite(rewrite: dict[str, Any], *, run_id: str, number: int) -> None:
    """Keep a rewrite and have it evaluated; where nothing of it passed the guard, decide without."""
    from contentworker.editorial import policy

    step = f"rewrite:{number}"
    kept = {f"{step}/result": rewrite}
    if rewrite["changed"]:
        _move(run_id, step, f"evaluate:{number}", kept)
        return
    run = _runs().find(run_id)
    if run is None:
        return
    before = _evaluation(run, 0)
    refusals = sum(len(each["refusals"]) for each in rewrite["changes"])
    settings = config.load().pipeline
    decision = policy.after_rewrite(before, None, number=number, refusals=refusals, settings=settings)
    _follow(run_id, step, number, decision, kept)


@shared_task(base=IdempotentTask)
def fail(task_id: str, *, run_id: str, step: str) -> None:
    """A step has failed for good: a person decides. Sent by Celery as the step's errback."""
    error = current_app.backend.get_result(task_id)
    name = type(error).__name__ if isinstance(error, BaseException) else "Unknown"
    reason = {"InterruptedTaskError": "interrupted", "OverBudgetError": "over_budget"}.get(name, "failed")
    # Only our own errors are known to quote nothing of an article.
    said = str(error)[:500] if isinstance(error, ContentWorkerError) else ""
    failure = {"failure": {"step": step, "error": name, "message": said}}
    if step == "escalate":
        _runs().move(run_id, step, "failed", failure)
        return
    _move(run_id, step, "escalate", {**failure, "reasons": [reason]})


@shared_task(base=IdempotentTask)
def close(record: dict[str, Any], *, run_id: str) -> None:
    """A person has been asked. Also after a failure whose dead letter was replayed."""
    for step in ("escalate", "failed"):
        _runs().move(run_id, step, "escalated", {"escalation_id": record["id"]})


def _evaluation(run: Run, number: int) -> tuple[Detection, AeoScore]:
    """Both halves of an evaluation; both are there."""
    return (
        Detection.model_validate(run.data[f"evaluate:{number}/detection"]),
        AeoScore.model_validate(run.data[f"evaluate:{number}/score"]),
    )


def _runs() -> Runs:
    return Runs(current_app.backend.client, config.load().retention.runs_seconds)


def _follow(run_id: str, step: str, number: int, decision: Any, data: dict[str, Any] | None = None) -> None:
    to = {
        "pass": "passed",
        "accept": "accepted",
        "rewrite": f"rewrite:{number + 1}",
        "escalate": "escalate",
    }[decision.action]
    _move(run_id, step, to, {**(data or {}), "reasons": list(decision.reasons)})


def _move(run_id: str, step: str, to: str, data: dict[str, Any]) -> None:
    """Move the run on and send its next step, again where whoever moved it may have died before it could."""
    _runs().move(run_id, step, to, data)
    run = _runs().find(run_id)
    if run is not None and run.came_from == step:
        _send(run)


def _send(run: Run) -> None:
    """Send the messages of the step that a run stands at."""
    kind, _, number = run.step.partition(":")
    article = run.data["article"]
    if kind == "evaluate":
        if number != "0":
            article = {**article, "content": run.data[f"rewrite:{number}/result"]["text"]}
        text = {name: article[name] for name in ("content", "media_type")}
        more = {name: article[name] for name in ("questions", "url", "today")}
        halves = (("detect_ai", "detection", text), ("score_aeo", "score", {**text, **more}))
        group(
            _step(
                run,
                f"tasks.evaluation.{task}",
                arguments,
                take_evaluation.s(run_id=run.id, number=int(number), part=part),
                part,
            )
            for task, part, arguments in halves
            if f"{run.step}/{part}" not in run.data
        ).apply_async()
    elif kind == "rewrite":
        names = ("content", "media_type", "questions", "url", "today")
        arguments = {
            **{name: article[name] for name in names},
            "mode": config.load().pipeline.mode,
            "recommendations": run.data["evaluate:0/score"]["recommendations"],
        }
        taken = take_rewrite.s(run_id=run.id, number=int(number))
        _step(run, "tasks.rewrite.generate_rewrite", arguments, taken).apply_async()
    elif kind == "escalate":
        rewrites = [*run.parts("rewrite", "result").values()]
        arguments = {
            "article_id": run.subject,
            "reason": run.data["reasons"][0],
            "evidence": _evidence(run, rewrites),
            "content": article["content"],
            "media_type": article["media_type"],
            "rewrite": rewrites[-1]["text"] if rewrites and rewrites[-1]["changed"] else None,
            "run_id": run.id,
        }
        _step(run, "tasks.escalation.escalate_to_human", arguments, close.s(run_id=run.id)).apply_async()


def _step(run: Run, task: str, arguments: dict[str, Any], then: Any, part: str = "") -> Any:
    """A step's task under its own id, with what follows its end and what follows its final failure."""
    headers = {"run_id": run.id, "article_id": run.subject}
    name = f"{run.step}/{part}"
    failed = fail.s(run_id=run.id, step=run.step).set(headers=headers)
    # The end of what follows is to be no silence, either.
    then = then.set(headers=headers, task_id=step_id(run.id, f"{name}/then"), link_error=[failed.clone()])
    signature = current_app.signature(task, kwargs=arguments, immutable=True)
    return signature.set(headers=headers, task_id=step_id(run.id, name), link=[then], link_error=[failed])


def _evidence(run: Run, rewrites: list[dict[str, Any]]) -> dict[str, Any]:
    """What led to a person, without the texts, which the record has anyway."""
    evidence: dict[str, Any] = {"reasons": run.data["reasons"], "failure": run.data.get("failure")}
    for key, value in sorted(run.data.items()):
        if key.endswith("/detection"):
            evidence[key] = {
                name: value[name] for name in ("verdict", "probability", "abstained", "warnings")
            }
        elif key.endswith("/score"):
            evidence[key] = {name: value[name] for name in ("score", "confidence", "recommendations")}
    evidence["rewrites"] = [
        {
            **{name: each.get(name) for name in ("changed", "model", "provider", "cost", "mode")},
            "refusals": [why for part in each["changes"] for why in part["refusals"]][:MOST_REFUSALS],
        }
        for each in rewrites
    ]
    return evidence
