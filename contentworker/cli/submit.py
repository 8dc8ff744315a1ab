"""`content-worker submit`: send a task by its name."""

import json
import time
from pathlib import Path
from typing import Any

import click
from celery.exceptions import TimeoutError as ResultTimeoutError
from celery.states import PROPAGATE_STATES

from contentworker import config
from contentworker.cli import connection
from contentworker.cli.articles import end_of
from contentworker.cli.retries import Retries, reason, where_to_look
from contentworker.errors import ContentError, ContentWorkerError, did_you_mean
from contentworker.printable import json_text
from contentworker.runtime.worker import task_names
from contentworker.runtime.worker.routing import best_matches

__all__ = ["submit"]


def _task_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The tasks that begin so, for a shell that completes a word."""
    return sorted(
        name for name in task_names.read(config.ROOT / "tasks").names if name.startswith(incomplete)
    )


@click.command()
@click.argument("task", shell_complete=_task_names)
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE | NAME:=JSON | NAME@FILE]...")
@click.option(
    "--wait",
    "wait_seconds",
    type=connection.SECONDS,
    help="Wait this many seconds for the result and print it.",
)
def submit(task: str, arguments: tuple[str, ...], wait_seconds: float | None) -> None:
    """Send TASK to its queue; print its id, or with --wait its result as JSON.

    \b
    NAME=VALUE   a string
    NAME:=JSON   any JSON value
    NAME@FILE    the text of a file, in UTF-8
    """  # noqa: D301 (click's sign for lines that stay as they are)
    tasks = task_names.read(config.ROOT / "tasks")
    # A pattern that fits may mean a task of another module. Without one, a typo would fill the default queue.
    is_elsewhere = not task.startswith("tasks.") and best_matches(task, config.load())
    if tasks.lacks(task) and not is_elsewhere:
        reason = f"there is no task {task!r} in tasks/{did_you_mean(task, tasks.names)}"
        raise click.BadParameter(reason, param_hint="TASK")
    keywords = dict(_argument(text) for text in arguments)
    began = time.monotonic()  # editorial
    with connection.broker_errors():
        app = connection.application()
        with app.connection_for_write() as broker:
            # Ask the broker first: the result backend would try for 20 s and raise a bare RuntimeError.
            broker.ensure_connection(max_retries=1)
        result = app.send_task(task, kwargs=keywords, retry=False)
        if wait_seconds is None:
            click.echo(result.id)
            return
        value = _answer(result, wait_seconds)
    # >>> editorial
    if isinstance(value, dict) and isinstance(value.get("run_id"), str) and "step" in value:
        value = end_of(value["run_id"], began + wait_seconds)
    # <<< editorial
    click.echo(json_text(value, indent=2))


def _answer(result: Any, seconds: float) -> Any:
    """A task's result.

    Raises:
        click.ClickException: it failed, or did not end in time.
    """
    backend = result.backend
    try:
        # Not raised: a ConnectionError of the task would look like one of this command's own connection.
        value = result.get(timeout=seconds, propagate=False, on_message=Retries().tell)
    except ResultTimeoutError:
        raise click.ClickException(f"{result.id}: no result within {seconds:g} s") from None
    finally:
        # When Python ends, each result (also of a task that this task has sent) would unsubscribe on a
        # connection that is already gone: a traceback, whatever the outcome.
        backend.remove_pending_result = lambda result: result
    if result.state not in PROPAGATE_STATES:
        return value
    if isinstance(value, ContentWorkerError):
        raise click.ClickException(str(value))
    where = f"\n{where_to_look(result.id)}" if result.traceback else ""
    raise click.ClickException(f"{result.id} failed: {reason(value)}{where}")


def _argument(text: str) -> tuple[str, Any]:
    end = min((text.find(mark) for mark in "=@" if mark in text), default=-1)
    name, mark, value = text[:end], text[end : end + 1], text[end + 1 :]
    if mark == "=" and name.endswith(":"):
        name, mark = name[:-1], ":="
    if not mark or not name.isidentifier():
        raise click.BadParameter(
            f"{text!r} is not NAME=VALUE, NAME:=JSON or NAME@FILE", param_hint="NAME=VALUE"
        )
    if mark == "=":
        if value.startswith("@") and Path(value[1:]).is_file():  # as curl and others write it
            text = f"{name}={value} would send the name of the file; for its text write {name}{value}"
            raise click.BadParameter(text, param_hint="NAME=VALUE")
        return name, value
    try:
        return name, Path(value).read_text("utf-8") if mark == "@" else json.loads(value)
    except OSError as error:
        raise ContentError(name, f"{value} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ContentError(name, f"{value} must be UTF-8; byte {error.start} is not") from None
    except ValueError as error:
        raise click.BadParameter(f"{name}: not JSON: {error}", param_hint="NAME:=JSON") from None
