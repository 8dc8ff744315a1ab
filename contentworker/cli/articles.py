"""`content-worker runs …`: look at the runs of articles, stop one, forget an article."""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import click
from celery.states import FAILURE

from contentworker.articles import forgetting
from contentworker.articles.outcome import listed, open_runs, outcome
from contentworker.articles.steps import task_ids_of
from contentworker.cli import connection, ids
from contentworker.cli.connection import Connect
from contentworker.cli.errors import PlainErrorsGroup
from contentworker.cli.exit_codes import ExitCode
from contentworker.cli.retries import Retries, where_to_look
from contentworker.printable import json_text, lines, one_line
from contentworker.runtime.records.runs import Run, Runs

__all__ = ["cancel", "end_of", "follow", "forget", "runs"]

POLL_SECONDS = 0.1


@click.group(cls=PlainErrorsGroup)
def runs() -> None:
    """The runs of articles through the pipeline."""


@runs.command("list")
@click.option("--state", type=click.Choice(["open", "ended", "all"]), default="all", show_default=True)
@click.option("--step", help="Only runs at this step, such as rewrite:1 or passed.")
@click.option("--article", "article_id", help="Only runs of this article.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line.")
@click.pass_obj
def list_command(
    connect: Connect,
    /,
    state: Literal["open", "ended", "all"],
    step: str | None,
    article_id: str | None,
    *,
    as_json: bool,
) -> None:
    """List runs, the newest last: when each began, what it is about, where it stands."""
    wanted = None if state == "all" else state
    with connect() as client:
        found = (
            listed(client, state=wanted, step=step, article_id=article_id).lines
            if article_id is not None
            else open_runs(client).every(wanted, step)
        )
        shown = sorted(found, key=lambda run: (run.began, run.id))
    for run in shown:
        began = datetime.fromtimestamp(run.began, UTC)
        if as_json:
            reached = datetime.fromtimestamp(run.reached, UTC)
            names = {"run_id": run.id, "article_id": run.subject, "step": run.step}
            click.echo(json_text({**names, "began": began.isoformat(), "reached": reached.isoformat()}))
        else:
            click.echo(f"{run.id}  {began:%Y-%m-%d %H:%M:%S}  {one_line(f'{run.step:<11}  {run.subject}')}")
    if not shown and not as_json:
        click.echo("No runs.")


@runs.command()
@click.argument("name", metavar="RUN_ID|ARTICLE_ID")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line.")
@click.pass_obj
def show(connect: Connect, /, name: str, as_json: bool) -> None:
    """Show a run, or every run of an article: where it stands, or how it ended and why."""
    with connect() as client:
        known = open_runs(client)
        shown = [run for run_id in known.of(name) if (run := known.find(run_id))]
        if not shown and (run := known.find(_whole(known, name))):
            shown = [run]
    if not shown:
        raise click.ClickException(f"{name}: no run with this id or of this article (any more)")
    for run in shown:
        click.echo(json_text(outcome(run)) if as_json else "\n".join(_page(run)))


def _page(run: Run) -> Iterator[str]:
    told = outcome(run)
    text = told.pop("text")
    told["progress"] = ", ".join(told["progress"])
    told["reasons"] = ", ".join(told["reasons"])
    for name in ("scores", "verdicts"):
        told[name] = ", ".join(f"{number}: {value}" for number, value in told[name].items())
    if failure := told["failure"]:
        told["failure"] = f"{failure['step']}: {failure['error']}: {failure['message']}".rstrip(": ")
    for name, value in told.items():
        if value not in {"", None}:
            yield f"{name:<14}{one_line(value)}"
    if text is not None:
        yield "text"
        yield from (f"  {line}" for line in lines(text))


def _whole(known: Runs, typed: str) -> str:
    # Asked first, since the search for others goes through every key.
    return typed if known.find(typed) else ids.whole(typed, known.ids)


def follow(
    client: Any, run_id: str, deadline: float, look: Callable[[Run], None] = lambda _: None
) -> Run | None:
    """Print each step as it is reached, until the run's end or the deadline (`time.monotonic`).

    `look` gets the run now and then, while it goes on.
    """
    printed = 0
    while True:
        run = open_runs(client).find(run_id)
        progress = run.progress() if run else []
        for step in progress[printed:]:
            click.echo(one_line(f"{run_id}  {step}"), err=True)
        printed = len(progress)
        if run is None or run.is_final or time.monotonic() > deadline:
            return run
        look(run)
        time.sleep(POLL_SECONDS)


def end_of(run_id: str, deadline: float) -> dict[str, Any]:
    """Print a run's steps until its end; return its outcome."""
    with connection.connected() as client:
        backend, retries = connection.application().backend, Retries()

        def tell(run: Run) -> None:
            for task_id in task_ids_of(run.id, run.step):
                retries.tell(backend.get_task_meta(task_id))

        run = follow(client, run_id, deadline, tell)
        failure = run.data.get("failure") if run else None
        for task_id in task_ids_of(run_id, failure["step"]) if failure else ():
            if backend.get_task_meta(task_id)["status"] == FAILURE:
                click.echo(where_to_look(task_id), err=True)
    if run is None or not run.is_final:
        raise click.ClickException(f"{run_id}: stands at {run.step if run else 'nothing: it was removed'}")
    return outcome(run)


@runs.command()
@click.argument("run_id")
@click.option("--escalate", is_flag=True, help="Ask a person to decide instead.")
@click.pass_obj
def cancel(connect: Connect, /, run_id: str, escalate: bool) -> None:
    """Stop a run: waiting messages are removed, a step that runs ends, and nothing follows.

    You can repeat it. A run that has ended otherwise stays as it is: exit code 1.
    """
    with connect() as client:
        run_id = _whole(open_runs(client), run_id)
        run, removed = forgetting.cancel(client, run_id)
        if escalate:
            forgetting.escalate_instead(connection.application(), run)
    click.echo(f"{run_id}: cancelled; messages removed: {removed}")


@runs.command()
@click.argument("article_id")
@click.pass_obj
def forget(connect: Connect, /, article_id: str) -> None:
    """Remove an article everywhere: runs, results, messages, dead letters, escalations.

    Takes the whole id, as it cannot be undone. Waits at most 30 s for tasks that run. Exit code 1: some still
    run; run the command again.
    """
    with connect() as client:
        removed = forgetting.forget(client, article_id, record_ids=forgetting.record_ids(article_id))
    records = forgetting.forget_records(article_id)
    click.echo(
        f"{article_id}: runs {removed.runs}, messages {removed.messages}, "
        f"dead letters {removed.dead_letters}, results {removed.results}; escalations: {records}"
    )
    if removed.still_running:
        click.echo(f"{removed.still_running} of its tasks still run: run this again when they end", err=True)
        sys.exit(ExitCode.FAILED)
