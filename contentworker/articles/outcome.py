"""The runs of articles in Redis, what became of one, and what it found out about the article."""

import re
import uuid
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

from contentworker import config
from contentworker.articles.steps import task_ids_of
from contentworker.editorial.detector.result import renewed
from contentworker.editorial.escalations.result import FindingKind, NewFinding
from contentworker.runtime.records.runs import Run, RunPage, Runs, State

__all__ = ["StepPassed", "find_run", "findings", "listed", "open_runs", "outcome", "timeline"]

ATTEMPT = re.compile(rb'"attempt": (\d{1,9}), "task_id": "[0-9a-f-]{36}"\}')
"""End of a stored result."""
ATTEMPT_BYTES = 100
EVALUATIONS: tuple[FindingKind, ...] = ("score", "detection")


def open_runs(client: Any) -> Runs:
    """The runs in Redis, each kept for `retention.runs_seconds`."""
    return Runs(client, config.load().retention.runs_seconds)


def find_run(client: Any, run_id: str) -> Run | None:
    """The run of this id; None if there is none (any more), or if it is none of an article."""
    try:
        uuid.UUID(run_id)  # the ids of its tasks follow from it
    except ValueError:
        return None
    return open_runs(client).find(run_id)


def listed(
    client: Any,
    *,
    state: State | None = None,
    step: str | None = None,
    article_id: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> RunPage:
    """A page of the list of runs, the latest step first: those in a state, at a step, of one article.

    Raises:
        ContentError: `after` is no cursor, or `limit` is not 1 to 200.
    """
    runs = open_runs(client)
    if article_id is None:
        return runs.page(state, step, after, limit)
    # An article has few runs: one for each text and set of thresholds within a week.
    found = [
        run
        for run in sorted(runs.lines(runs.of(article_id)), key=lambda run: run.reached, reverse=True)
        if state in {None, run.state} and step in {None, run.step}
    ]
    return RunPage(found, None)


class StepPassed(NamedTuple):
    """A step that a run has reached, and what is known about the work of it."""

    step: str
    reached: float
    """Seconds since 1970 by Redis's clock."""
    seconds: float | None
    """How long the run was at it, waiting included; None if it is there still, or has ended there."""
    attempts: int | None
    """How often its task was tried; None if no result of it is kept (any more)."""
    cost: float | None
    tokens: int | None
    """Sent and received; None of a step that asks no model."""


def timeline(client: Any, run: Run) -> list[StepPassed]:
    """The steps of a run, in their order."""
    names = run.progress()
    with client.pipeline(transaction=False) as pipeline:
        keys = [[f"celery-task-meta-{task_id}" for task_id in task_ids_of(run.id, step)] for step in names]
        for key in (key for several in keys for key in several):
            pipeline.getrange(key, -ATTEMPT_BYTES, -1)  # not the article that may be in it
        ends = iter(pipeline.execute())
    passed = []
    for (step, following), several in zip(zip_longest(names, names[1:]), keys, strict=True):
        found = [ATTEMPT.search(next(ends)) for _ in several]
        rewrite = run.data.get(f"{step}/result", {})
        passed.append(
            StepPassed(
                step=step,
                reached=run.times[step],
                seconds=run.times[following] - run.times[step] if following else None,
                attempts=max((int(each[1]) for each in found if each), default=None),
                cost=rewrite.get("cost"),
                tokens=rewrite["prompt_tokens"] + rewrite["completion_tokens"] if rewrite else None,
            )
        )
    return passed


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
