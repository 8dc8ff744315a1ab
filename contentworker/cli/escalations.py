"""`content-worker escalations …`: articles that wait for a person, and the person's answer."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import BaseModel

from contentworker import config
from contentworker.articles.announcing import ask_to_announce
from contentworker.cli import connection, ids
from contentworker.cli.connection import json_option
from contentworker.cli.errors import PlainErrorsGroup
from contentworker.editorial.detector.result import Verdict
from contentworker.editorial.escalations.choosing import as_chosen, decided, latest_rewrite
from contentworker.editorial.escalations.opening import missing_file, open_store
from contentworker.editorial.escalations.reading import Filter, Order
from contentworker.editorial.escalations.result import ChoiceKind, Escalation, EscalationLine, Finding
from contentworker.editorial.escalations.store import MAX_UNDO_SECONDS, Store, check_decision
from contentworker.errors import ContentError
from contentworker.printable import counted, json_text, lines, one_line
from contentworker.runtime import environment

__all__ = ["group"]

FIELDS = (
    *("id", "article_id", "reason", "state", "version", "held_by", "run_id"),
    *("language", "score", "verdict", "decision", "settled_by", "note"),
)
"""The fields at the top of `show`; those without a value are left out."""


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


@contextmanager
def _known(typed: str) -> Iterator[tuple[Store, str]]:
    """The records, and the whole id of the one that was typed."""
    with _store() as store:
        if store is None:
            raise ContentError("escalation_id", "there is no such record (any more)")
        yield store, _whole(store, typed)


def _whole(store: Store, typed: str) -> str:
    return ids.whole(typed, lambda beginning: store.ids(beginning, ids.MOST_LISTED + 1))


@click.group("escalations", cls=PlainErrorsGroup)
def group() -> None:
    """Articles that wait for a person, and how they were settled."""


@group.command("list")
@click.option("--state", type=click.Choice(["open", "settled", "all"]), default="open", show_default=True)
@click.option("--reason", help="Only this reason, such as ai_suspected.")
@click.option("--language", help="Only articles in this language: an ISO 639 code.")
@click.option("--verdict", type=click.Choice(get_args(Verdict)), help="Only this verdict of the detector.")
@click.option("--held-by", metavar="NAME", help="Only records that this person has taken.")
@click.option("--article", "text", metavar="PART", help="Only articles with this in their ids.")
@click.option("--order", type=click.Choice(get_args(Order)), default="oldest", show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="Most records to list.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line.")
def list_command(*, state: str, order: Order, limit: int | None, as_json: bool, **wanted: Any) -> None:
    """List records, oldest first."""
    count = 0
    with _store() as store:
        chosen = Filter(state=None if state == "all" else state, **wanted)
        for record in islice(store.every(chosen, order=order), limit) if store else ():
            count += 1
            click.echo(_json(record) if as_json else _line(record))
    if not count and not as_json:
        click.echo("No escalations.")


def _line(record: EscalationLine) -> str:
    how = f"{record.decision} by {record.settled_by}" if record.state == "settled" else "open"
    if record.held_by:
        how += f", taken by {record.held_by}"
    about = f"{record.article_id}  {record.reason}  {how}"
    return one_line(f"{record.id}  {record.created_at:%Y-%m-%d %H:%M}  {about}")


@group.command()
@json_option
@click.argument("escalation_id", metavar="ID")
def show(escalation_id: str, as_json: bool) -> None:
    """Show a record: the reason, the evidence, the texts, who was notified, what happened.

    With --json also every score, detection and rewrite of the article, in full.
    """
    findings: list[Finding] = []
    with _store() as store:
        record = store.find(_whole(store, escalation_id)) if store else None
        if store and record:
            findings = store.findings(record.id)
    if record is None:
        raise click.ClickException(f"{escalation_id}: there is no such record (any more)")
    click.echo(_whole_json(record, findings) if as_json else "\n".join(_page(record, findings)))


@group.command()
@click.option("--decision", required=True, help="Your platform's word, such as accept, reject or rewrite.")
@click.option("--by", required=True, help="Who decides.")
@click.option("--note", default="", help="Why, for people who read it later.")
@click.option("--text-file", type=click.Path(path_type=Path), help="The text to publish, in UTF-8.")
@click.option("--chosen", is_flag=True, help="Publish the text as it was chosen: see `changes --text`.")
@click.option("--if-version", type=int, help="The version that `show` printed: an error if it has changed.")
@click.option(
    "--undo-seconds",
    type=connection.NumberRange(0, MAX_UNDO_SECONDS),
    default=0,
    help="How long `withdraw` can take it back; the platform is told after that.",
)
@json_option
@click.argument("escalation_id", metavar="ID")
def settle(
    *,
    escalation_id: str,
    decision: str,
    by: str,
    note: str,
    text_file: Path | None,
    chosen: bool,
    if_version: int | None,
    undo_seconds: float,
    as_json: bool,
) -> None:
    """Settle a record and tell the platform.

    The same command again changes nothing. A different decision on a settled record, or another person's, is
    an error, and nothing is recorded.
    """
    check_decision(decision, by)
    if chosen and text_file:
        raise click.UsageError("--chosen and --text-file exclude each other")
    text = None
    if text_file is not None:
        try:
            text = text_file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ContentError("text_file", f"cannot be read: {error}") from None
    with _known(escalation_id) as (store, whole_id):
        if chosen:
            record, finding = _rewritten(store, whole_id)
            text = as_chosen(record, finding)
            # Someone may choose at this moment: then this is an error, and nothing is lost.
            if_version = record.version if if_version is None and record.state == "open" else if_version
        settled = store.settle(
            whole_id, decision, by, note, text, version=if_version, undo_seconds=undo_seconds
        )
    already = "" if settled.changed else " (already)"
    click.echo(
        _json(settled) if as_json else one_line(f"{settled.id}: {settled.decision} by {settled.by}{already}")
    )
    if until := settled.withdrawable_until:
        click.echo(f"`escalations withdraw` can take it back until {until:%H:%M:%S} UTC", err=True)
    if not ask_to_announce(connection.application(), undo_seconds):
        click.echo("Redis cannot be reached: the next escalation tells the platform.", err=True)


@group.command()
@click.option("--text", "as_text", is_flag=True, help="Print the text that `settle --chosen` publishes.")
@click.argument("escalation_id", metavar="ID")
def changes(escalation_id: str, as_text: bool) -> None:
    """Show each change of the article's latest rewrite, what the guard said, and what was chosen."""
    with _known(escalation_id) as (store, whole_id):
        record, finding = _rewritten(store, whole_id)
    if as_text:
        click.echo("\n".join(lines(as_chosen(record, finding))))
    else:
        click.echo("\n".join(_changes(record, finding)))


@group.command()
@click.option("--by", required=True, help="Who chooses.")
@click.option("--original", "originals", type=int, multiple=True, metavar="NUMBER", help="Keep as it was.")
@click.option("--rewrite", "rewrites", type=int, multiple=True, metavar="NUMBER", help="Take the model's.")
@click.option("--own", type=(int, str), multiple=True, metavar="NUMBER TEXT", help="Put your own words.")
@click.option("--if-version", type=int, help="The version that `show` printed: an error if it has changed.")
@click.argument("escalation_id", metavar="ID")
def choose(
    *,
    escalation_id: str,
    by: str,
    originals: tuple[int, ...],
    rewrites: tuple[int, ...],
    own: tuple[tuple[int, str], ...],
    if_version: int | None,
) -> None:
    """Choose what stands in place of changes, by their numbers in `changes`. Repeat the options as needed.

    Changes without a choice stay as the guard left them.
    """
    named = [*originals, *rewrites, *(number for number, _ in own)]
    if not named or len(set(named)) < len(named):
        raise click.UsageError("name each change once: --original, --rewrite or --own")
    chosen: dict[int, tuple[ChoiceKind, str]] = dict.fromkeys(originals, ("original", ""))
    chosen |= dict.fromkeys(rewrites, ("rewrite", ""))
    chosen |= {number: ("own", text) for number, text in own}
    with _known(escalation_id) as (store, whole_id):
        _, finding = _rewritten(store, whole_id)
        version = store.choose(whole_id, by, finding.id, chosen, version=if_version)
    click.echo(f"{whole_id}: {len(chosen)} chosen; version {version}")


@group.command()
@click.option("--by", required=True, help="Who takes it back.")
@click.argument("escalation_id", metavar="ID")
def withdraw(escalation_id: str, by: str) -> None:
    """Take a decision back before the platform is told: see `settle --undo-seconds`."""
    with _known(escalation_id) as (store, whole_id):
        store.withdraw(whole_id, by)
    click.echo(f"{whole_id}: open again")


@group.command()
@click.option("--by", required=True, help="Who says it.")
@click.argument("escalation_id", metavar="ID")
@click.argument("text")
def comment(escalation_id: str, by: str, text: str) -> None:
    """Add a comment to a record without deciding."""
    with _known(escalation_id) as (store, whole_id):
        store.comment(whole_id, by, text)
    click.echo(f"{whole_id}: comment added")


@group.command()
@click.option("--by", required=True, help="Who takes it.")
@click.option(
    "--minutes", type=connection.NumberRange(1, 24 * 60), default=15, show_default=True, help="How long."
)
@click.option("--over", is_flag=True, help="Take it over from another person.")
@click.argument("escalation_id", metavar="ID")
def take(escalation_id: str, by: str, minutes: float, over: bool) -> None:
    """Show the others that you are at work on a record. It does not keep them from deciding."""
    with _known(escalation_id) as (store, whole_id):
        hold = store.hold(whole_id, by, 60 * minutes, take_over=over)
    said = one_line(f"{whole_id}: taken by {hold.by} until {hold.until:%H:%M} UTC")
    if hold.by != by:
        raise click.ClickException(f"{said}; add --over to take it over")
    click.echo(said)


def _rewritten(store: Store, escalation_id: str) -> tuple[Escalation, Finding]:
    record = store.find(escalation_id)
    if record is None:
        raise ContentError("escalation_id", "there is no such record (any more)")
    finding = latest_rewrite(record, store.findings(escalation_id))
    if finding is None:
        raise ContentError("escalation_id", "there is no rewrite of the article's latest text")
    return record, finding


def _changes(record: Escalation, finding: Finding) -> Iterator[str]:
    for number, change, _, choice in decided(record, finding):
        refusals = ", ".join(f"{each.rule}: {each.detail}" for each in change.refusals)
        yield one_line(f"{number}  {change.outcome}  {refusals}".rstrip())
        yield f"  - {one_line(change.original)}"
        yield f"  + {one_line(change.rewritten)}"
        if choice:
            words = f": {choice.text}" if choice.text else ""
            yield one_line(f"  {choice.by} chose {choice.choice}{words}")


def _json(record: BaseModel) -> str:
    return json_text(record.model_dump(mode="json"))


def _whole_json(record: Escalation, findings: list[Finding]) -> str:
    whole = [each.model_dump(mode="json") for each in findings]
    return json_text({**record.model_dump(mode="json"), "findings": whole}, indent=2)


def _page(record: Escalation, findings: list[Finding]) -> Iterator[str]:
    for name in FIELDS:
        if (value := getattr(record, name)) not in {"", None}:
            yield f"{name:<12}{one_line(str(value))}"
    yield f"{'created':<12}{record.created_at:%Y-%m-%d %H:%M:%S} UTC"
    yield "evidence"
    yield from (f"  {line}" for line in lines(json.dumps(record.evidence, indent=2)))
    yield "findings"
    for found in findings:
        yield f"  {found.kind} {found.number}  {one_line(_in_short(found))}".rstrip()
    yield "notifications"
    for each in record.notifications:
        state = f"{each.state}  {each.updated_at:%Y-%m-%d %H:%M:%S}"
        yield f"  {one_line(each.channel)}  {state}  {one_line(each.detail)}".rstrip()
    yield "history"
    for entry in record.history:
        what = one_line(f"{entry.what} {entry.by} {entry.decision}")
        yield f"  {entry.at:%Y-%m-%d %H:%M:%S}  {what}".rstrip()
    for said in record.comments:
        yield f"comment     {said.at:%Y-%m-%d %H:%M:%S}  {one_line(said.by)}"
        yield from (f"  {line}" for line in lines(said.text))
    for text in record.texts:
        yield f"text ({text.kind}, {text.sha256[:12]})"
        yield from (f"  {line}" for line in lines(text.text))


def _in_short(found: Finding) -> str:
    content = found.content
    if found.kind == "rewrite":
        return f"{counted(len(content.get('changes', ())), 'change')} by {content.get('model')}"
    return ", ".join(str(content[name]) for name in ("score", "verdict", "probability") if name in content)
