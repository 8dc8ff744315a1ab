"""One article the whole way: judged, rewritten if asked for, and handed to a person, who is told by mail."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from contentworker import articles_cli
from contentworker.editorial.rewriting import Rewrite
from contentworker.runtime.runs import Run
from examples.mail_catcher import MailCatcher

__all__ = ["show"]

TASK = "tasks.pipeline.process_content"
END_SECONDS = 300
LOOK_SECONDS = 0.05
MOST_DIFF_LINES = 12

Await = Callable[[Any], Any]


def show(
    app: Celery,
    name: str,
    arguments: dict[str, Any],
    *,
    answer: Await,
    records: Path,
    mail: MailCatcher,
    console: Console,
) -> None:
    """Send the article, follow its run, and print what became of it.

    Args:
        app: What to send it with.
        name: What the article is called.
        arguments: `content` and `questions`.
        answer: Waits for a result.
        records: The database of escalations.
        mail: Where notifications arrive.
        console: Where to print.
    """
    article_id = f"demo/{name}/{uuid.uuid4().hex[:8]}"
    console.print(f"\n[bold]The whole way[/] of {escape(name)}: tasks.pipeline.process_content")
    run_id = answer(app.send_task(TASK, kwargs={"article_id": article_id, **arguments}))["run_id"]
    run = articles_cli.follow(app.backend.client, run_id, time.monotonic() + END_SECONDS)
    if run is None or not run.is_final:
        raise TimeoutError(f"the run {run_id} has not ended within {END_SECONDS} s")
    for number, result in run.parts("rewrite", "result").items():
        _show_rewrite(run, number, Rewrite.model_validate(result), console)
    console.print(f"Ended: [bold]{run.step}[/] ({', '.join(run.data.get('reasons', []))})")
    if run.step == "escalated":
        _show_record(run, records, console)
        _show_mail(run, mail, console)


def _show_rewrite(run: Run, number: int, rewrite: Rewrite, console: Console) -> None:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    for line in rewrite.diff[:MOST_DIFF_LINES]:
        table.add_row(line[:1], escape(line[2:]), style="red" if line.startswith("-") else "green")
    outcomes = [change.outcome for change in rewrite.changes]
    counts = ", ".join(f"{outcomes.count(kind)} {kind}" for kind in ("rewritten", "unchanged", "refused"))
    rules = sorted({found.rule for change in rewrite.changes for found in change.refusals})
    by = f"{rewrite.model} ({rewrite.provider})"
    about = f"{by}, {rewrite.completion_tokens} tokens, {rewrite.seconds:.1f} s: {counts}"
    console.print(Panel(table, title=f" Rewrite {number} ", subtitle=f" {about} ", border_style="dim"))
    if rules:
        console.print(f"  refused by the guard for: {', '.join(rules)}", style="dim")
    after = run.data.get(f"evaluate:{number}/score")
    if after:
        before = run.data["evaluate:0/score"]["score"]
        verdict = run.data[f"evaluate:{number}/detection"]["verdict"]
        console.print(
            f"  AEO score {before:.1f} before, [bold]{after['score']:.1f}[/] after; detector: {verdict}"
        )


def _show_record(run: Run, records: Path, console: Console) -> None:
    from contentworker.editorial.escalations.schema import open_engine
    from contentworker.editorial.escalations.store import Store

    record = Store(open_engine("", records)).find(run.data["escalation_id"])
    assert record is not None
    console.print(
        f"A person decides: record {record.id}, {len(record.texts)} text(s) kept. To answer it:\n"
        f"  [dim]python -m contentworker escalations settle {record.id} --decision accept --by you[/]",
        soft_wrap=True,
    )


def _show_mail(run: Run, mail: MailCatcher, console: Console) -> None:
    deadline = time.monotonic() + END_SECONDS
    while not mail.messages and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    for message in mail.messages:
        body = message.get_body(("plain",))
        text = body.get_content().strip() if body else ""
        title = f" mail to {message['to']}: {message['subject']} "
        console.print(Panel(escape(text), title=escape(title), border_style="dim"))
