"""The steps of a run: their names, the ids of their tasks, and the messages that begin each one.

    evaluate:0 → rewrite:1 → evaluate:1 → rewrite:2 → … → escalate

A run can end after each of them. The id of a step's task follows from the run and the step: a step that is
sent twice is recognized, a rewrite is paid once, and `forget` knows every result to delete.
"""

import json
from collections.abc import Iterator
from typing import Any

from celery import current_app, group

from contentworker import config
from contentworker.editorial.detector.result import renewed
from contentworker.editorial.escalations.result import MAX_EVIDENCE_BYTES
from contentworker.editorial.settings import MOST_REWRITES
from contentworker.runtime.records.runs import Run, step_id

__all__ = ["ESCALATE", "PROCESS", "evaluation", "rewriting", "send", "task_ids", "task_ids_of"]

PROCESS = "tasks.pipeline.process_content"
ESCALATE = "escalate"
MOST_REFUSALS = 50
"""Refusals of the guard that one record shows: a person reads no more, and a record has a size limit."""
MOST_DETAIL_CHARACTERS = 200
"""Longest detail of one: an address in an article may have thousands of characters."""


def evaluation(number: int) -> str:
    """The step that judges the article (0) or its rewrite of this number."""
    return f"evaluate:{number}"


def rewriting(number: int) -> str:
    """The step that makes the rewrite of this number, from 1."""
    return f"rewrite:{number}"


def task_ids(run_id: str) -> Iterator[str]:
    """Ids of all tasks that a run can have sent, under any settings."""
    numbers = range(MOST_REWRITES + 1)
    parts = [f"{evaluation(number)}/{half}" for number in numbers for half in ("detection", "score")]
    for part in (*parts, *(f"{rewriting(number)}/" for number in numbers[1:]), f"{ESCALATE}/"):
        yield step_id(run_id, part)
        yield step_id(run_id, f"{part}/then")


def task_ids_of(run_id: str, step: str) -> list[str]:
    """Ids of the tasks that do the work of a step."""
    parts = ("detection", "score") if step.startswith("evaluate:") else ("",)
    return [step_id(run_id, f"{step}/{part}") for part in parts]


def send(run: Run) -> None:
    """Send the messages of the step at which a run stands; nothing if it has ended."""
    kind, _, number = run.step.partition(":")
    article = run.data["article"]
    if kind == "evaluate":
        if number != "0":
            article = {**article, "content": run.data[f"rewrite:{number}/result"]["text"]}
        text = {name: article[name] for name in ("content", "media_type")} | _scope(article)
        more = {name: article[name] for name in ("questions", "url", "today")}
        halves = (("detect_ai", "detection", text), ("score_aeo", "score", {**text, **more}))
        group(
            _task(run, f"evaluation.{task}", arguments, "take_evaluation", number=int(number), part=part)
            for task, part, arguments in halves
            if f"{run.step}/{part}" not in run.data
        ).apply_async()
    elif kind == "rewrite":
        arguments = {
            **{name: article[name] for name in ("content", "media_type", "questions", "url", "today")},
            **_scope(article),
            "mode": config.load().pipeline.mode,
            "recommendations": run.data["evaluate:0/score"]["recommendations"],
        }
        _task(run, "rewrite.generate_rewrite", arguments, "take_rewrite", number=int(number)).apply_async()
    elif kind == ESCALATE:
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
        _task(run, "escalation.escalate_to_human", arguments, "close").apply_async()


def _scope(article: dict[str, Any]) -> dict[str, Any]:
    """The scope if one was given. Workers of an earlier version do not take the argument, nor did runs."""
    return {"scope": article["scope"]} if "scope" in article else {}


def _task(run: Run, task: str, arguments: dict[str, Any], then: str, **more: Any) -> Any:
    """A step's task, with the task that takes its result, and `fail` for a final failure of either."""
    headers = {"run_id": run.id, "article_id": run.subject}
    name = f"{run.step}/{more.get('part', '')}"
    failed = _pipeline("fail", run_id=run.id, step=run.step).set(headers=headers)
    following = _pipeline(then, run_id=run.id, **more)
    following.set(headers=headers, task_id=step_id(run.id, f"{name}/then"), link_error=[failed.clone()])
    begun = current_app.signature(f"tasks.{task}", kwargs=arguments, immutable=True)
    return begun.set(headers=headers, task_id=step_id(run.id, name), link=[following], link_error=[failed])


def _pipeline(task: str, **arguments: Any) -> Any:
    return current_app.signature(f"tasks.pipeline.{task}", kwargs=arguments)


def _evidence(run: Run, rewrites: list[dict[str, Any]]) -> dict[str, Any]:
    """What led to the escalation, without the texts: the record has them anyway."""
    evidence: dict[str, Any] = {"reasons": run.data["reasons"], "failure": run.data.get("failure")}
    shown = {
        "detection": ("verdict", "meaning", "probability", "abstained", "warnings"),
        "score": ("score", "confidence", "recommendations"),
    }
    for key, value in sorted(run.data.items()):
        if names := shown.get(key.partition("/")[2]):
            shown_part = renewed(value) if key.endswith("/detection") else value
            evidence[key] = {name: shown_part[name] for name in names if name in shown_part}
    evidence["rewrites"] = [
        {
            **{name: each.get(name) for name in ("changed", "model", "provider", "cost", "mode")},
            "refusals": [_short(why) for part in each["changes"] for why in part["refusals"]][:MOST_REFUSALS],
        }
        for each in rewrites
    ]
    # Many rewrites, or letters that JSON writes as \uXXXX. The record's findings have all of it anyway.
    if len(json.dumps(evidence)) > MAX_EVIDENCE_BYTES:
        for part in (*evidence.values(), *evidence["rewrites"]):
            if isinstance(part, dict):
                part.pop("recommendations", None)
                part.pop("refusals", None)
    return evidence


def _short(refusal: dict[str, Any]) -> dict[str, Any]:
    """A refusal with the beginning of its detail."""
    return {**refusal, "detail": refusal["detail"][:MOST_DETAIL_CHARACTERS]}
