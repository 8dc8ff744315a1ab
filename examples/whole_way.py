"""One article the whole way: judged, rewritten if you ask for it, and handed to a person, with a mail."""

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

from contentworker.cli import articles as articles_cli
from contentworker.editorial.rewriting import Rewrite
from contentworker.printable import counted
from contentworker.runtime.records.runs import Run
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
    command: str,
    console: Console,
) -> None:
    """Send the article `name`, follow its run, and print what became of it.

    `records` is the database of escalations, `mail` gets the notifications, `answer` waits for a result, and
    `command` runs a command of the project from any terminal.
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
        _show_record(run, records, command, console)
        _show_mail(mail, command, console)


def _show_rewrite(run: Run, number: int, rewrite: Rewrite, console: Console) -> None:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    for line in rewrite.diff[:MOST_DIFF_LINES]:
        table.add_row(line[:1], escape(line[2:]), style="red" if line.startswith("-") else "green")
    outcomes = [change.outcome for change in rewrite.changes]
    counts = ", ".join(f"{outcomes.count(kind)} {kind}" for kind in ("rewritten", "unchanged", "refused"))
    rules = sorted({refusal.rule for change in rewrite.changes for refusal in change.refusals})
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


def _show_record(run: Run, records: Path, command: str, console: Console) -> None:
    from contentworker.editorial.escalations.schema import open_engine
    from contentworker.editorial.escalations.store import Store

    record = Store(open_engine("", records)).find(run.data["escalation_id"])
    assert record is not None  # noqa: S101 (the pipeline has written it)
    console.print(
        f"A person decides: record {record.id}, {counted(len(record.texts), 'text')} kept. To answer it:\n"
        f"  [dim]{command} escalations settle {record.id} --decision accept --by you[/]",
        soft_wrap=True,
    )


def _show_mail(mail: MailCatcher, command: str, console: Console) -> None:
    deadline = time.monotonic() + END_SECONDS
    while not mail.messages and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    for message in mail.messages:
        body = message.get_body(("plain",))
        text = body.get_content().strip() if body else ""
        # Those who get such mail have the command at hand; you may not. No box, so that you can copy it.
        text = text.replace("  python -m contentworker ", f"  {command} ")
        console.rule(f"[dim] mail to {escape(message['to'])} [/]", style="dim")
        console.print(f"[bold]{escape(message['subject'])}[/]\n\n{escape(text)}", soft_wrap=True)
        console.rule(style="dim")
