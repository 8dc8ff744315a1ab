"""Runs of articles: the list, the timeline of one, and what people do with it."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from starlette.responses import Response

from contentworker.articles import forgetting, steps
from contentworker.articles.outcome import find_run, listed, open_runs, outcome, timeline
from contentworker.desk.dead_letters import noted
from contentworker.desk.web import Ask, Desk, Refused, page, to
from contentworker.desk.words import VERDICTS, reason_in_words, step_in_words
from contentworker.editorial.escalations.audit import hidden
from contentworker.editorial.escalations.result import Forgotten
from contentworker.errors import ConflictError
from contentworker.runtime.records.runs import FINAL, Run, RunPage, State

__all__ = ["cancel", "forget", "forget_article", "forget_page", "run", "runs"]

AT_ONCE = 50
FORGET_SECONDS = 5.0
"""Longest wait for tasks of an article that run: a person waits for the page. The command waits longer."""
MINUTE_SECONDS = 60
STATES: dict[str, State] = {"open": "open", "ended": "ended"}


def runs(ask: Ask) -> Response:
    """The list, the latest step first; `q` is the whole id of an article or of a run."""
    asked = {name: ask.query.get(name, "").strip() for name in ("q", "state", "step")}
    client = ask.desk.machinery.client()
    if asked["q"] and find_run(client, asked["q"]):
        return to(f"/runs/{asked['q']}")
    found: RunPage = listed(
        client,
        state=STATES.get(asked["state"]),
        step=asked["step"] or None,
        article_id=asked["q"] or None,
        after=ask.query.get("after") or None,
        limit=AT_ONCE,
    )
    more = urlencode({**{name: value for name, value in asked.items() if value}, "after": found.after or ""})
    return page(
        ask, "runs.html", lines=found.lines, after=found.after, more=more, asked=asked, names=_steps(ask),
        step_in_words=step_in_words, moment=_moment,
    )  # fmt: skip


def run(ask: Ask) -> Response:
    """One run: where it stands, how it got there, what it cost."""
    found = _run(ask)
    passed = timeline(ask.desk.machinery.client(), found)
    return page(
        ask, "run.html", run=found, told=outcome(found), passed=passed, may_act=_may_act(ask),
        may_forget=ask.may("operator"), is_open=not found.is_final, saved=ask.query.get("saved", ""),
        step_in_words=step_in_words, reason_in_words=reason_in_words, verdicts=VERDICTS, moment=_moment,
        took=took,
    )  # fmt: skip


def cancel(ask: Ask) -> Response:
    """Stop a run, and perhaps have a person asked instead."""
    machinery, run_id = ask.desk.machinery, ask.path["id"]
    escalate = ask.form.get("escalate") == "yes"
    try:
        found, _ = forgetting.cancel(machinery.client(), run_id)
    except forgetting.NoRunError:
        raise _gone(ask) from None
    except forgetting.EndedError as error:
        raise ConflictError("run_id", str(error)) from None
    if escalate:
        forgetting.escalate_instead(machinery.app, found)
    noted(ask, "run.escalate" if escalate else "run.cancel", run_id)
    return to(f"/runs/{run_id}?saved={'escalated' if escalate else 'cancelled'}")


def forget_page(ask: Ask) -> Response:
    """The question before an article is forgotten."""
    found = _run(ask)
    number = len(open_runs(ask.desk.machinery.client()).of(found.subject))
    return page(ask, "forget.html", run=found, number=number)


def forget(ask: Ask) -> Response:
    """Remove everything of a run's article."""
    found = _run(ask)
    removed, _ = forget_article(ask.desk, found.subject)
    noted(ask, "article.forget", hidden(found.subject))
    return page(ask, "forgotten.html", removed=removed, article_id=found.subject)


def forget_article(desk: Desk, article_id: str) -> tuple[forgetting.Removed, Forgotten]:
    """Remove everything of an article; return how much it was in Redis and in the database.

    The records first: if the database is away, nothing has changed, and the run's page can try it again.
    """
    record_ids = desk.store.ids_of(article_id)
    first = desk.store.forget(article_id)
    removed = forgetting.forget(desk.machinery.client(), article_id, FORGET_SECONDS, record_ids)
    again = dict(desk.store.forget(article_id))  # a task that ran may have made one
    return removed, Forgotten(**{name: number + again[name] for name, number in first})


def took(seconds: float) -> str:
    """A span of time for people: `120 ms`, `4.2 s`, `1:02:03`."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < MINUTE_SECONDS else str(timedelta(seconds=round(seconds)))


def _run(ask: Ask) -> Run:
    found = find_run(ask.desk.machinery.client(), ask.path["id"])
    if found is None:
        raise _gone(ask)
    return found


def _gone(ask: Ask) -> Refused:
    days = ask.desk.settings.retention.runs_seconds / 86_400
    what = f"It was forgotten, or ended more than {days:g} days ago. What people decided is kept longer."
    return Refused(404, "There is no such run (any more)", what)


def _may_act(ask: Ask) -> bool:
    return ask.may("editor") or ask.may("operator")


def _steps(ask: Ask) -> list[str]:
    """The steps that a run can be at, under the settings."""
    names = [steps.evaluation(0)]
    for number in range(1, ask.desk.settings.pipeline.max_rewrites + 1):
        names += [steps.rewriting(number), steps.evaluation(number)]
    return [*names, steps.ESCALATE, *FINAL]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
