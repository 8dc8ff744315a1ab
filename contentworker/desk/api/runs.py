"""Runs in the API: the list, one of them, cancel, forget."""

from datetime import UTC, datetime

from contentworker.articles import forgetting
from contentworker.articles.outcome import find_run, outcome, timeline
from contentworker.articles.outcome import listed as listed_runs
from contentworker.desk import runs as pages
from contentworker.desk.api.base import Call, ProblemError
from contentworker.desk.api.operations_models import (
    CancelledRun,
    ForgottenArticle,
    RunPage,
    RunQuery,
    RunShown,
    RunStep,
    RunSummary,
)

__all__ = ["cancel", "forget", "listed", "read"]


def listed(call: Call) -> RunPage:
    """A page of the list."""
    asked: RunQuery = call.query
    page = listed_runs(call.desk.machinery.client(), **dict(asked))
    items = (
        RunSummary(
            id=each.id,
            article_id=each.subject,
            step=each.step,
            state=each.state,
            began=_moment(each.began),
            reached=_moment(each.reached),
        )
        for each in page.lines
    )
    return RunPage(items=tuple(items), next=page.after)


def read(call: Call) -> RunShown:
    """One run with its timeline."""
    client = call.desk.machinery.client()
    run = find_run(client, call.id)
    if run is None:
        raise ProblemError(404, "There is no such run (any more).")
    told = outcome(run)
    names = ("step", "reasons", "scores", "verdicts", "cost", "failure", "escalation_id")
    steps = tuple(
        RunStep(**{**each._asdict(), "reached": _moment(each.reached)}) for each in timeline(client, run)
    )
    state = "ended" if run.is_final else "open"
    shown = {name: told[name] for name in names}
    return RunShown.model_validate(
        {"id": run.id, "article_id": run.subject, "state": state, "steps": steps, **shown}
    )


def cancel(call: Call) -> CancelledRun:
    """Stop a run, and perhaps have a person asked instead."""
    machinery = call.desk.machinery
    try:
        run, removed = forgetting.cancel(machinery.client(), call.id)
    except forgetting.NoRunError:
        raise ProblemError(404, "There is no such run (any more).") from None
    except forgetting.EndedError as error:
        raise ProblemError(409, f"{error}.") from None
    if call.body.escalate:
        forgetting.escalate_instead(machinery.app, run)
    return CancelledRun(id=run.id, step=run.step, messages_removed=removed)


def forget(call: Call) -> ForgottenArticle:
    """Remove everything of an article."""
    removed, records = pages.forget_article(call.desk, call.body.article_id)
    return ForgottenArticle(**removed._asdict(), records=records)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
