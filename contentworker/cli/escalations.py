"""`content-worker escalations …`: articles that wait for a person, and the person's answer."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from kombu.exceptions import OperationalError
from pydantic import BaseModel
from redis.exceptions import RedisError

from contentworker import config
from contentworker.cli import connection, ids
from contentworker.cli.connection import json_option
from contentworker.cli.errors import PlainErrorsGroup
from contentworker.editorial.escalations.opening import missing_file, open_store
from contentworker.editorial.escalations.result import Escalation
from contentworker.editorial.escalations.store import Store, check_decision
from contentworker.errors import ContentError
from contentworker.printable import json_text, lines, one_line
from contentworker.runtime import environment

__all__ = ["group"]

ANNOUNCE = "tasks.escalation.announce"


@contextmanager
def _store() -> Iterator[Store | None]:
    """The records; None if there are none yet."""
    settings, folder = config.load().escalations, environment.folder(config.ROOT)
    if missing_file(settings, folder):
        yield None
        return
    store = open_store(settings, folder)
    try:
        yield store
    finally:
        store.close()


def _whole(store: Store, typed: str) -> str:
    return ids.whole(typed, lambda beginning: store.ids(beginning, ids.MOST_LISTED + 1))


@click.group("escalations", cls=PlainErrorsGroup)
def group() -> None:
    """Articles that wait for a person, and how they were settled."""


@group.command("list")
@click.option("--state", type=click.Choice(["open", "settled", "all"]), default="open", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line.")
def list_command(state: str, as_json: bool) -> None:
    """List records, oldest first."""
    with _store() as store:
        records = store.read(state=None if state == "all" else state) if store else []
    for record in records:
        if as_json:
            click.echo(_json(record, exclude={"texts", "history", "notifications"}))
        else:
            how = f"{record.decision} by {record.settled_by}" if record.state == "settled" else "open"
            about = one_line(f"{record.article_id}  {record.reason}  {how}")
            click.echo(f"{record.id}  {record.created_at:%Y-%m-%d %H:%M}  {about}")
    if not records and not as_json:
        click.echo("No escalations.")


@group.command()
@json_option
@click.argument("escalation_id", metavar="ID")
def show(escalation_id: str, as_json: bool) -> None:
    """Show a record: the reason, the evidence, the texts, who was notified, what happened."""
    with _store() as store:
        record = store.find(_whole(store, escalation_id)) if store else None
    if record is None:
        raise click.ClickException(f"{escalation_id}: there is no such record (any more)")
    click.echo(_json(record, indent=2) if as_json else "\n".join(_page(record)))


@group.command()
@click.option("--decision", required=True, help="Your platform's word, such as accept, reject or rewrite.")
@click.option("--by", required=True, help="Who decides.")
@click.option("--note", default="", help="Why, for people who read it later.")
@click.option("--text-file", type=click.Path(path_type=Path), help="The text to publish, in UTF-8.")
@json_option
@click.argument("escalation_id", metavar="ID")
def settle(
    *, escalation_id: str, decision: str, by: str, note: str, text_file: Path | None, as_json: bool
) -> None:
    """Settle a record and tell the platform.

    Repeated with the same decision it changes nothing; with another decision it is an error.
    """
    check_decision(decision, by)
    text = None
    if text_file is not None:
        try:
            text = text_file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ContentError("text_file", f"cannot be read: {error}") from None
    with _store() as store:
        if store is None:
            raise ContentError("escalation_id", "there is no such record (any more)")
        settled = store.settle(_whole(store, escalation_id), decision, by, note, text)
    already = "" if settled.changed else " (already)"
    click.echo(
        _json(settled) if as_json else one_line(f"{settled.id}: {settled.decision} by {settled.by}{already}")
    )
    _announce()


def _json(record: BaseModel, indent: int | None = None, exclude: set[str] | None = None) -> str:
    return json_text(record.model_dump(mode="json", exclude=exclude), indent)


def _announce() -> None:
    app = connection.application()
    try:
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1)
        app.send_task(ANNOUNCE, retry=False, ignore_result=True)
    except (OperationalError, RedisError):
        click.echo("Redis cannot be reached: the next escalation tells the platform.", err=True)


def _page(record: Escalation) -> Iterator[str]:
    for name in ("id", "article_id", "reason", "state", "run_id", "decision", "settled_by", "note"):
        if value := getattr(record, name):
            yield f"{name:<12}{one_line(str(value))}"
    yield f"{'created':<12}{record.created_at:%Y-%m-%d %H:%M:%S} UTC"
    yield "evidence"
    yield from (f"  {line}" for line in lines(json.dumps(record.evidence, indent=2)))
    yield "notifications"
    for each in record.notifications:
        state = f"{each.state}  {each.updated_at:%Y-%m-%d %H:%M:%S}"
        yield f"  {one_line(each.channel)}  {state}  {one_line(each.detail)}".rstrip()
    yield "history"
    for entry in record.history:
        what = one_line(f"{entry.what} {entry.by} {entry.decision}")
        yield f"  {entry.at:%Y-%m-%d %H:%M:%S}  {what}".rstrip()
    for text in record.texts:
        yield f"text ({text.kind}, {text.sha256[:12]})"
        yield from (f"  {line}" for line in lines(text.text))
