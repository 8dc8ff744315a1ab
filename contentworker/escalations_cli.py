"""`python -m contentworker escalations …`: what waits for a person, and the person's answer."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contentworker import config
from contentworker.errors import ContentError
from contentworker.runtime import state
from contentworker.runtime.local_redis import state_folder

if TYPE_CHECKING:
    from contentworker.editorial.escalations.result import Escalation
    from contentworker.editorial.escalations.store import Store

__all__ = ["group"]

EXIT_NOT_THERE = 1
ANNOUNCE = "tasks.escalation.announce"

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def _store() -> Iterator["Store"]:
    from contentworker.editorial.escalations.opening import missing_file, open_store

    settings, folder = config.load().escalations, state.folder(config.ROOT)
    if file := missing_file(settings, folder):
        raise click.ClickException(f"no record was made so far: there is no {file}")
    store = open_store(settings, folder)
    try:
        yield store
    finally:
        store.close()


@click.group("escalations")
def group() -> None:
    """Articles that wait for a person, and how they were settled."""


@group.command("list")
@click.option("--state", type=click.Choice(["open", "settled", "all"]), default="open", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line.")
def list_command(state: str, as_json: bool) -> None:
    """List records, oldest first."""
    with _store() as store:
        found = store.read(state=None if state == "all" else state)
    for each in found:
        if as_json:
            click.echo(each.model_dump_json(exclude={"texts", "history", "notifications"}))
        else:
            how = f"{each.decision} by {_line(each.settled_by)}" if each.state == "settled" else "open"
            click.echo(
                f"{each.id}  {each.created_at:%Y-%m-%d %H:%M}  {each.article_id}  {each.reason}  {how}"
            )
    if not found and not as_json:
        click.echo("No escalations.")


@group.command()
@_json_option
@click.argument("escalation_id", metavar="ID")
def show(escalation_id: str, as_json: bool) -> None:
    """Show a record: why, what was found, the texts, who was told, what happened."""
    with _store() as store:
        found = store.find(escalation_id)
    if found is None:
        click.echo(f"{_line(escalation_id)}: there is no such record (any more)", err=True)
        sys.exit(EXIT_NOT_THERE)
    click.echo(found.model_dump_json(indent=2) if as_json else "\n".join(_page(found)))


@group.command()
@click.option("--decision", required=True, help="Your platform's word, such as accept, reject or rewrite.")
@click.option("--by", required=True, help="Who decides.")
@click.option("--note", default="", help="Why, for whoever reads it later.")
@click.option("--text-file", type=click.Path(path_type=Path), help="The text as it is to be, in UTF-8.")
@_json_option
@click.argument("escalation_id", metavar="ID")
def settle(
    escalation_id: str, decision: str, by: str, note: str, text_file: Path | None, as_json: bool
) -> None:
    """Settle a record, and have the platform told.

    Again with the same decision it changes nothing; with another it is an error.
    """
    from contentworker.editorial.escalations.store import check_decision

    check_decision(decision, by)
    text = None
    if text_file is not None:
        try:
            text = text_file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ContentError("text_file", f"cannot be read: {error}") from None
    with _store() as store:
        settled = store.settle(escalation_id, decision, by, note, text)
    click.echo(
        settled.model_dump_json()
        if as_json
        else f"{settled.id}: {settled.decision} by {settled.by}{'' if settled.changed else ' (already)'}"
    )
    _announce()


def _announce() -> None:
    import kombu.exceptions
    import redis

    from contentworker.runtime import application, local_redis

    settings = config.load()
    app = application.build(settings, local_redis.url(state_folder(config.ROOT), settings.broker.port))
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1)
        app.send_task(ANNOUNCE, retry=False, ignore_result=True)
    except (kombu.exceptions.OperationalError, redis.exceptions.RedisError):
        click.echo("Redis cannot be reached: the platform is told with the next escalation.", err=True)


def _page(record: "Escalation") -> Iterator[str]:
    for name in ("id", "article_id", "reason", "state", "run_id", "decision", "settled_by", "note"):
        if value := getattr(record, name):
            yield f"{name:<12}{_line(str(value))}"
    yield f"{'created':<12}{record.created_at:%Y-%m-%d %H:%M:%S} UTC"
    yield "evidence"
    yield from (f"  {_line(line)}" for line in json.dumps(record.evidence, indent=2).splitlines())
    yield "notifications"
    for each in record.notifications:
        state = f"{each.state}  {each.updated_at:%Y-%m-%d %H:%M:%S}"
        yield f"  {_line(each.channel)}  {state}  {_line(each.detail)}".rstrip()
    yield "history"
    for entry in record.history:
        yield f"  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.what} {_line(entry.by)} {entry.decision}".rstrip()
    for text in record.texts:
        yield f"text ({text.kind}, {text.sha256[:12]})"
        yield from (f"  {_line(line)}" for line in text.text.splitlines())


def _line(text: str) -> str:
    """Fit for a terminal: whoever wrote it could have written commands to it."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
