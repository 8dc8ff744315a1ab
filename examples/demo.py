"""Judge articles through the queue, as another program would, and show the reports.

`nox -s demo` runs this with Redis at hand: it starts a worker, sends each article by task name, and prints
what comes back; then one article goes the whole way, to a person. With files, it judges those:
`nox -s demo -- FILE [--question "…"]`, and with `--show-excluded` says what it left out. With `--rewrite` a
model rewrites first. With `--kill` a worker dies.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
from celery.exceptions import TimeoutError as ResultTimeoutError
from rich.console import Console
from rich.markup import escape

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from contentworker import config
from contentworker.editorial import report
from contentworker.editorial.aeo.result import AeoScore
from contentworker.editorial.detector import Detection
from contentworker.editorial.document import parse
from contentworker.editorial.escalations.opening import sqlite_file
from contentworker.editorial.parsing.encoding import decode
from contentworker.errors import ContentError
from contentworker.runtime import environment
from contentworker.runtime.development import local_redis
from contentworker.runtime.worker import application
from examples import whole_way
from examples.mail_catcher import MailCatcher, catch_mail
from examples.worker import run_worker

SCORE_TASK = "tasks.evaluation.score_aeo"
DETECT_TASK = "tasks.evaluation.detect_ai"
EXAMPLES = {
    "how-to-wash-a-down-jacket.md": (
        ("How do you wash a down jacket?",),
        "a model wrote it in December 2026, as for anyone who asks",
    ),
    "should-your-agency-offer-chat.txt": (
        ("Should your agency offer chat?",),
        "a person wrote it in 2014 (U.S. General Services Administration, CC0)",
    ),
    "how-leap-years-work.html": (
        # The second is answered in other words, which word vectors find.
        ("How are leap years calculated?", "Who introduced the modern calendar?"),
        "a model wrote it in 2026, by instructions for this demo",
    ),
    "thoughts-on-tea.txt": (
        ("How hot should the water be for green tea?",),
        "a model wrote it in 2026, at length on purpose, for this demo",
    ),
}
"""The articles beside this file: the questions each should answer, and who wrote it."""
MOST_COLUMNS = 100
ANSWER_SECONDS = 60

NEXT = """\
[bold]Next[/]
  {session} demo -- README.md --question "What is Content Worker?"
  {session} worker     # a worker that reloads when you edit tasks/
  {desk}       # decide on it: {address}
  {session} flower     # queues and tasks in the browser

[bold]From another program[/] [dim](any Celery client; it needs none of this code)[/]
  app = Celery(broker=REDIS_URL, backend=REDIS_URL)
  result = app.send_task("tasks.evaluation.score_aeo", queue="evaluation",
                         kwargs={{"content": article, "questions": ["…"]}})
  result.get(timeout=60)["score"]"""


class Article(NamedTuple):
    """A file to score: its name, the task's keyword arguments, and who wrote it, as far as we know."""

    name: str
    arguments: dict[str, Any]
    author: str = ""


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--question", "questions", multiple=True, help="What the article should answer (again for more)."
)
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), help="Also save the reports as a picture."
)
@click.option("--show-excluded", is_flag=True, help="Also show what was left out of each article, and why.")
@click.option("--rewrite", is_flag=True, help="Have a model rewrite the article that goes the whole way.")
@click.option("--kill", is_flag=True, help="Instead, kill a worker and see its task finished by another.")
def main(  # noqa: PLR0917 (Click passes them by name)
    files: tuple[Path, ...],
    questions: tuple[str, ...],
    svg: Path | None,
    show_excluded: bool,
    rewrite: bool,
    kill: bool,
) -> None:
    """Judge FILES, or the articles in examples/, through a real queue."""
    if kill:
        from examples.kill import show

        show(Console(highlight=False))
        return
    settings = config.load()
    redis_url = local_redis.url(environment.state_folder(config.ROOT), settings.broker.port)
    steps = Console(highlight=False, stderr=True)
    width = min(MOST_COLUMNS, steps.width)
    reports = Console(width=width, record=svg is not None, highlight=False)
    steps.print(f"Redis: {redis_url}", style="dim")
    app = application.build(settings, redis_url)
    articles = [_article(path, questions) for path in files] or _examples()
    with catch_mail() as mail, _worker(steps, mail, rewrite) as worker:
        sent = [
            (
                article,
                app.send_task(SCORE_TASK, kwargs=article.arguments),
                app.send_task(DETECT_TASK, kwargs={"content": article.arguments["content"]}),
            )
            for article in articles
        ]
        for article, scored, judged in sent:
            try:
                with steps.status(f"[dim]waiting for the worker to judge {escape(article.name)}[/]"):
                    score = AeoScore.model_validate(_await(scored, worker))
                    detection = Detection.model_validate(_await(judged, worker))
            except ContentError as error:
                raise click.ClickException(f"{article.name}: {error}") from None
            source = article.arguments["content"]
            report.render(score, name=article.name, source=source, console=reports)
            report.render_detection(
                detection, name=article.name, source=source, author=article.author, console=reports
            )
            if show_excluded:
                report.render_excluded(
                    parse(source, settings=settings.content), name=article.name, console=reports
                )
        if rewrite or not files:
            last = articles[-1]
            whole_way.show(
                app,
                last.name,
                last.arguments,
                answer=lambda result: _await(result, worker),
                records=sqlite_file(settings.escalations, environment.folder(config.ROOT)),
                mail=mail,
                command=f"{_with_the_demo_s_records('shell --')} content-worker",
                console=Console(width=width, highlight=False),
            )
    app.backend.result_consumer.stop()
    app.backend.result_consumer._pubsub = None  # noqa: SLF001 (results dropped while Python shuts down would use it)
    if svg:
        picture = reports.export_svg(title="nox -s demo")
        # Rich's fonts are on a server; a picture should load nothing.
        picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
        first_line = "<!-- Generated by examples/demo.py and its option svg. -->\n"
        svg.write_text(first_line + picture, encoding="utf-8")
    words = {"session": environment.session("").strip(), "desk": _with_the_demo_s_records("desk")}
    steps.print(NEXT.format(**words, address=f"http://127.0.0.1:{settings.desk.port}"))


def _examples() -> list[Article]:
    return [
        _article(config.ROOT / "examples" / name, questions, author)
        for name, (questions, author) in EXAMPLES.items()
    ]


def _article(path: Path, questions: tuple[str, ...], author: str = "") -> Article:
    text = decode(path.read_bytes()).text
    return Article(path.name, {"content": text, "questions": list(questions) or None}, author)


def _with_the_demo_s_records(words: str) -> str:
    """How to type a session that uses the records of the demo, from any terminal in this folder."""
    # The demo keeps its records in the SQLite file, whatever database you have.
    variable = "DATABASE_URL= " if os.environ.get("DATABASE_URL") else ""
    return f"{variable}{environment.session(words)}"


@contextmanager
def _worker(steps: Console, mail: MailCatcher, rewrite: bool) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of all queues."""
    variables = {
        "DATABASE_URL": "",
        "NOTIFY_URLS": mail.url,
        **({} if rewrite else {"WORKER__PIPELINE__MAX_REWRITES": "0"}),
    }
    # One process, since a pool of processes takes 1.5 s to stop.
    options = (f"--queues={','.join(config.load().queues)}", "--pool=solo", "--hostname=demo@%h")
    with run_worker("celery_worker.celery_app", *options, "--loglevel=info", **variables) as process:
        steps.print(f"Worker: process {process.pid}, all queues", style="dim")
        yield process


def _await(result: Any, worker: subprocess.Popen[bytes]) -> Any:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        try:
            return result.get(timeout=0.5)
        except ResultTimeoutError:
            if worker.poll() is not None:
                raise click.ClickException("The worker stopped; its log follows.") from None
    raise click.ClickException(f"No answer within {ANSWER_SECONDS} s.")


if __name__ == "__main__":
    main(prog_name="nox -s demo --")
