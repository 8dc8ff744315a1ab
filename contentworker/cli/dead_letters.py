"""`content-worker dead-letters …`: look at dead letters, run them again, or delete them."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import click

from contentworker.cli import ids as abbreviated
from contentworker.cli.connection import Connect, json_option
from contentworker.cli.errors import PlainErrorsGroup
from contentworker.cli.exit_codes import ExitCode
from contentworker.printable import counted, json_text, lines, one_line
from contentworker.runtime.records import dead_letters, letter_batches
from contentworker.runtime.records.dead_letters import REASONS, DeadLetter, UnknownLetter
from contentworker.runtime.records.letter_batches import LetterFilter
from contentworker.runtime.records.letter_parts import LetterParts

__all__ = ["group"]

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _age(_ctx: click.Context, _param: click.Parameter, value: str | None) -> timedelta | None:
    """Read an age: 90s, 10m, 2h or 7d."""
    if value is None:
        return None
    age = re.fullmatch(r"([0-9]{1,6})([smhd])", value)
    if not age:
        raise click.BadParameter(f"{value!r} is not an age such as 90s, 10m, 2h or 7d")
    return timedelta(**{UNITS[age[2]]: int(age[1])})


def _reason(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Read one of the reasons, in which a dash may stand for a blank."""
    reason = value and value.replace("-", " ")
    if reason is not None and reason not in REASONS:
        raise click.BadParameter(f"no reason {value!r}; allowed: {', '.join(REASONS)}")
    return reason


def _filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a filter."""
    for option in (
        click.option("--newer-than", metavar="AGE", callback=_age, help="Only letters younger than this."),
        click.option("--older-than", metavar="AGE", callback=_age, help="Only older ones: 90s, 10m, 2h, 7d."),
        click.option("--queue", help="Only letters from this queue."),
        click.option("--reason", callback=_reason, help="Only this reason; `-` may stand for a blank."),
        click.option("--task", metavar="PATTERN", help="Only tasks whose names match, such as `tasks.a*`."),
    ):
        command = option(command)
    return command


def _chosen(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its choice of letters: by ID, by the options of a filter, or --all."""
    command = click.argument("ids", nargs=-1, metavar="[ID]...")(json_option(command))
    return _filtered(click.option("--all", "everything", is_flag=True, help="All of them.")(command))


@click.group("dead-letters", cls=PlainErrorsGroup)
def group() -> None:
    """Messages that failed for good, or that no worker could run, kept whole."""


@group.command("list")
@_filtered
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line, message included.")
@click.pass_obj
def list_command(connect: Connect, /, as_json: bool, **options: Any) -> None:
    """List dead letters, oldest first."""
    count = 0
    with connect() as client:
        for parts in letter_batches.matching(client, LetterFilter(**options)):
            count += 1
            if not as_json:
                click.echo(f"{parts.id}  {parts.arrived:%Y-%m-%d %H:%M:%S}  {_summary(parts)}")
            elif letter := dead_letters.find(client, parts.id):
                click.echo(json_text(_record(parts.id, parts.arrived, letter)))
    if not count and not as_json:
        click.echo("No dead letters.")


@group.command()
@json_option
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_obj
def show(connect: Connect, /, ids: tuple[str, ...], as_json: bool) -> None:
    """Show all that is known of a letter: its task's arguments, the error, earlier failures.

    ID is the letter's or the task's; its first characters are enough.
    """
    missing = []
    with connect() as client:
        for letter_id in _whole(client, ids):
            letter = dead_letters.find(client, letter_id)
            if letter is None:
                missing.append(letter_id)
                continue
            arrived = dead_letters.arrival(letter_id)
            if as_json:
                args, kwargs = _arguments(letter) or (None, None)
                click.echo(json_text({**_record(letter_id, arrived, letter), "args": args, "kwargs": kwargs}))
            else:
                click.echo("\n".join(_page(letter_id, arrived, letter)))
    _end(missing)


@group.command()
@_chosen
@click.pass_obj
def replay(connect: Connect, /, **options: Any) -> None:
    """Put messages back into their queues, to run again. Repeat it if in doubt: each message runs once.

    Takes IDs, or a filter, or --all.
    """
    _apply(connect, dead_letters.replay, "replayed", **options)


@group.command()
@_chosen
@click.option("--yes", is_flag=True, help="Do not ask before more than one is deleted.")
@click.pass_obj
def discard(connect: Connect, /, yes: bool, **options: Any) -> None:
    """Delete letters for good.

    Takes IDs, or a filter, or --all.
    """
    _apply(connect, dead_letters.discard, "discarded", asks=not yes, **options)


def _apply(
    connect: Connect,
    action: Callable[[Any, str], bool],
    done: str,
    *,
    ids: tuple[str, ...],
    everything: bool,
    as_json: bool,
    asks: bool = False,
    **options: Any,
) -> None:
    """Do something with each chosen letter, and print to how many it was `done`."""
    chosen = LetterFilter(**options)
    _check_choice(ids, chosen, everything)
    with connect() as client:
        letters = _whole(client, ids) or _ids(client, chosen)
        if asks and not ids and len(letters) > 1:
            _confirm(len(letters))
        outcome = letter_batches.do_with(client, letters, action)
    for reason in outcome.refused.values():
        click.echo(f"Error: {one_line(reason)}", err=True)
    if as_json:
        listed = {done: outcome.done, "missing": outcome.missing, "unknown": [*outcome.refused]}
        click.echo(json.dumps(listed))
    else:
        click.echo(f"{done.capitalize()} {counted(len(outcome.done), 'dead letter')}.")
    # A letter that matched and is gone by now was handled by another process; that is no error.
    _end(outcome.missing if ids else [], failed=bool(outcome.refused))


def _check_choice(ids: tuple[str, ...], chosen: LetterFilter, everything: bool) -> None:
    given = sum([bool(ids), not chosen.is_empty(), everything])
    if not given:
        raise click.UsageError("say which: IDs, a filter (--task, --reason, …), or --all")
    if given > 1:
        raise click.UsageError("IDs, a filter and --all exclude each other")


def _confirm(count: int) -> None:
    if not sys.stdin.isatty():
        raise click.ClickException(f"this would discard {counted(count, 'dead letter')}; add --yes")
    click.confirm(f"Discard {counted(count, 'dead letter')} for good?", abort=True, err=True)


def _ids(client: Any, chosen: LetterFilter) -> list[str]:
    found = letter_batches.matching_ids(client, chosen)
    for letter_id in found.unknown:
        click.echo(f"{letter_id}  has a version that this program does not know: left as it is", err=True)
    return found.known


def _whole(client: Any, ids: tuple[str, ...]) -> list[str]:
    """The ids that these abbreviate, or of the tasks that these name; checked before the first is used."""
    most = abbreviated.MOST_LISTED + 1

    def beginning_with(typed: str) -> list[str]:
        return dead_letters.ids(client, typed, most) or dead_letters.ids_of_task(client, typed, most)

    return [abbreviated.whole(typed, beginning_with) for typed in ids]


def _end(missing: list[str], *, failed: bool = False) -> None:
    for letter_id in missing:
        click.echo(f"Error: {_line(letter_id)}: there is no such dead letter (any more)", err=True)
    if missing or failed:
        sys.exit(ExitCode.FAILED)


def _record(letter_id: str, arrived: datetime, letter: DeadLetter | UnknownLetter) -> dict[str, Any]:
    return {"id": letter_id, "arrived": arrived.isoformat(), **letter.model_dump(mode="json")}


def _arguments(letter: DeadLetter | UnknownLetter) -> tuple[list[Any], dict[str, Any]] | None:
    return dead_letters.arguments(letter) if isinstance(letter, DeadLetter) else None


def _unknown(letter: UnknownLetter | LetterParts) -> str:
    return f"version {_line(letter.version) or '?'}, which this program does not know"


def _summary(letter: LetterParts) -> str:
    if not letter.is_known:
        return _unknown(letter)
    name = f" {letter.task}[{letter.task_id}]" if letter.task else ""
    return _line(f"{letter.queue}  {letter.reason}{name}: {letter.error}")


def _page(letter_id: str, arrived: datetime, letter: DeadLetter | UnknownLetter) -> Iterator[str]:
    yield f"id          {letter_id}"
    yield f"arrived     {arrived:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(letter, UnknownLetter):
        yield _unknown(letter).replace("version ", "version     ", 1)
        yield from _block("content", letter.content)
        return
    for name in ("reason", "queue", "task", "task_id", "retries", "deliveries", "worker", "exception"):
        if value := str(getattr(letter, name)):
            yield f"{name:<12}{_line(value)}"
    yield from _block("error", letter.error)
    if arguments := _arguments(letter):
        args, kwargs = arguments
        yield "arguments"
        for value in args:
            yield f"  {one_line(json.dumps(value, ensure_ascii=False))}"
        for key, value in kwargs.items():
            yield f"  {one_line(key)} = {one_line(json.dumps(value, ensure_ascii=False))}"
    else:
        yield from _block("message" if letter.encoding == "utf-8" else "message (base64)", letter.message)
    if letter.traceback:
        yield from _block("traceback", letter.traceback)
    if letter.history:
        yield "history"
        for item in letter.history:
            why = _line(f"{item.reason}: {item.error}")
            yield f"  {_line(item.id)}  {item.arrived:%Y-%m-%d %H:%M:%S}  {why}"


def _block(name: str, text: str) -> Iterator[str]:
    yield name
    for line in lines(text):
        yield f"  {line}"


def _line(text: str) -> str:
    """The first line of a text."""
    return next(lines(text), "") if text.strip() else ""
