"""`python -m contentworker dead-letters …`: look at dead letters, run them again, throw them away."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from contentworker.runtime.dead_letters import DeadLetter, UnknownLetter

__all__ = ["group"]

EXIT_NOT_THERE = 1

Connect = Callable[[], AbstractContextManager[Any]]
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _age(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    """90s, 10m, 2h or 7d."""
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", value)
    if not found:
        raise click.BadParameter(f"{value!r} is no age; 90s, 10m, 2h and 7d are")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _reason(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """One of the reasons, in which a dash may stand for a blank."""
    from contentworker.runtime.dead_letters import REASONS

    reason = value and value.replace("-", " ")
    if reason is not None and reason not in REASONS:
        raise click.BadParameter(f"no reason {value!r}; allowed: {', '.join(REASONS)}")
    return reason


class _Filter(NamedTuple):
    task: str | None
    reason: str | None
    queue: str | None
    older_than: timedelta | None
    newer_than: timedelta | None

    def is_empty(self) -> bool:
        return not any(value is not None for value in self)

    def matches(self, arrived: datetime, letter: "DeadLetter | UnknownLetter", now: datetime) -> bool:
        """Whether a letter is meant; one of an unknown version is only where nothing is asked of it."""
        from contentworker.runtime.dead_letters import UnknownLetter

        if isinstance(letter, UnknownLetter):
            return self.is_empty()
        return (
            (self.task is None or fnmatchcase(letter.task, self.task))
            and self.reason in (None, letter.reason)
            and self.queue in (None, letter.queue)
            and (self.older_than is None or now - arrived > self.older_than)
            and (self.newer_than is None or now - arrived < self.newer_than)
        )


def _filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a filter."""
    for option in (
        click.option(
            "--newer-than",
            metavar="AGE",
            callback=_age,
            help="Only those that arrived later than this long ago.",
        ),
        click.option(
            "--older-than",
            metavar="AGE",
            callback=_age,
            help="Only those that arrived earlier: 90s, 10m, 2h, 7d.",
        ),
        click.option("--queue", help="Only those from this queue."),
        click.option(
            "--reason", callback=_reason, help="Only those of this reason; `-` may stand for a blank."
        ),
        click.option("--task", metavar="PATTERN", help="Only those of tasks whose names match: `tasks.a*`."),
    ):
        command = option(command)
    return command


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_ids_argument = click.argument("ids", nargs=-1, metavar="[ID]...")


@click.group("dead-letters")
def group() -> None:
    """Messages that failed for good, or that no worker could run, kept whole."""


@group.command("list")
@_filtered
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line, message included.")
@click.pass_obj
def list_command(connect: Connect, /, as_json: bool, **options: Any) -> None:
    """List them, oldest first."""
    count = 0
    with connect() as client:
        for letter_id, arrived, letter in _matching(client, _Filter(**options)):
            count += 1
            if as_json:
                click.echo(json.dumps(_record(letter_id, arrived, letter)))
            else:
                click.echo(f"{letter_id}  {arrived:%Y-%m-%d %H:%M:%S}  {_summary(letter)}")
    if not count and not as_json:
        click.echo("No dead letters.")


@group.command()
@_json_option
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_obj
def show(connect: Connect, /, ids: tuple[str, ...], as_json: bool) -> None:
    """Show all that is known of a letter: its task's arguments, the error, what came before."""
    from contentworker.runtime import dead_letters

    missing = []
    with connect() as client:
        for letter_id in ids:
            letter = dead_letters.find(client, letter_id)
            if letter is None:
                missing.append(letter_id)
                continue
            arrived = dead_letters.arrival(letter_id)
            if as_json:
                record = _record(letter_id, arrived, letter)
                found = _arguments(letter)
                click.echo(json.dumps({**record, "args": found and found[0], "kwargs": found and found[1]}))
            else:
                click.echo("\n".join(_page(letter_id, arrived, letter)))
    _end(missing)


@group.command()
@_filtered
@click.option("--all", "everything", is_flag=True, help="All of them.")
@_json_option
@_ids_argument
@click.pass_obj
def replay(
    connect: Connect, /, ids: tuple[str, ...], everything: bool, as_json: bool, **options: Any
) -> None:
    """Put messages back into their queues, to be run anew. It may be repeated: each runs once.

    Takes IDs, or a filter, or --all.
    """
    from contentworker.runtime.dead_letters import UnknownVersionError
    from contentworker.runtime.dead_letters import replay as replay_letter

    chosen = _Filter(**options)
    _check_choice(ids, chosen, everything)
    replayed: list[str] = []
    missing: list[str] = []
    unknown: list[str] = []
    with connect() as client:
        for letter_id in ids or _known(client, chosen):
            try:
                (replayed if replay_letter(client, letter_id) else missing).append(letter_id)
            except UnknownVersionError as error:
                unknown.append(letter_id)
                click.echo(str(error), err=True)
    if as_json:
        click.echo(json.dumps({"replayed": replayed, "missing": missing, "unknown": unknown}))
    else:
        click.echo(f"Replayed {_counted(len(replayed))}.")
    # One that matched and is gone by now was somebody else's; that is no error.
    _end(missing if ids else [], failed=bool(unknown))


@group.command()
@_filtered
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--yes", is_flag=True, help="Do not ask before more than one is discarded.")
@_json_option
@_ids_argument
@click.pass_obj
def discard(
    connect: Connect, /, ids: tuple[str, ...], everything: bool, yes: bool, as_json: bool, **options: Any
) -> None:
    """Delete letters for good.

    Takes IDs, or a filter, or --all.
    """
    from contentworker.runtime.dead_letters import discard as discard_letter

    chosen = _Filter(**options)
    _check_choice(ids, chosen, everything)
    discarded: list[str] = []
    missing: list[str] = []
    with connect() as client:
        found = ids or _known(client, chosen)
        if not ids and len(found) > 1 and not yes:
            _confirm(len(found))
        for letter_id in found:
            (discarded if discard_letter(client, letter_id) else missing).append(letter_id)
    if as_json:
        click.echo(json.dumps({"discarded": discarded, "missing": missing}))
    else:
        click.echo(f"Discarded {_counted(len(discarded))}.")
    _end(missing if ids else [])


def _check_choice(ids: tuple[str, ...], chosen: _Filter, everything: bool) -> None:
    given = [bool(ids), not chosen.is_empty(), everything]
    if not any(given):
        raise click.UsageError("say which: IDs, a filter (--task, --reason, …), or --all")
    if sum(given) > 1:
        raise click.UsageError("IDs, a filter and --all exclude each other")


def _confirm(count: int) -> None:
    if not sys.stdin.isatty():
        raise click.ClickException(f"this would discard {_counted(count)}; add --yes")
    click.confirm(f"Discard {_counted(count)} for good?", abort=True, err=True)


def _matching(client: Any, chosen: _Filter) -> "Iterator[tuple[str, datetime, DeadLetter | UnknownLetter]]":
    from contentworker.runtime import dead_letters

    seconds, microseconds = client.time()
    now = datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)
    for letter_id, arrived, letter in dead_letters.read(client):
        if chosen.matches(arrived, letter, now):
            yield letter_id, arrived, letter


def _known(client: Any, chosen: _Filter) -> list[str]:
    """Ids of the letters that a filter means: those that are there now, not those that come meanwhile.

    A replayed task may fail again at once; to go on to its new letter would never end.
    """
    from contentworker.runtime.dead_letters import UnknownLetter

    found: list[str] = []
    unknown: list[str] = []
    for letter_id, _, letter in _matching(client, chosen):
        (unknown if isinstance(letter, UnknownLetter) else found).append(letter_id)
    for letter_id in unknown:
        click.echo(f"{letter_id}  is of a version that this program does not know: left as it is", err=True)
    return found


def _end(missing: list[str], *, failed: bool = False) -> None:
    for letter_id in missing:
        click.echo(f"{_line(letter_id)}: there is no such dead letter (any more)", err=True)
    if missing or failed:
        sys.exit(EXIT_NOT_THERE)


def _counted(number: int) -> str:
    return f"{number} dead letter{'' if number == 1 else 's'}"


def _record(letter_id: str, arrived: datetime, letter: "DeadLetter | UnknownLetter") -> dict[str, Any]:
    return {"id": letter_id, "arrived": arrived.isoformat(), **letter.model_dump(mode="json")}


def _arguments(letter: "DeadLetter | UnknownLetter") -> tuple[list[Any], dict[str, Any]] | None:
    from contentworker.runtime import dead_letters

    return dead_letters.arguments(letter) if isinstance(letter, dead_letters.DeadLetter) else None


def _summary(letter: "DeadLetter | UnknownLetter") -> str:
    from contentworker.runtime.dead_letters import UnknownLetter

    if isinstance(letter, UnknownLetter):
        return f"version {_line(letter.version) or '?'}, which this program does not know"
    name = f" {letter.task}[{letter.task_id}]" if letter.task else ""
    return _line(f"{letter.queue}  {letter.reason}{name}: {letter.error}")


def _page(letter_id: str, arrived: datetime, letter: "DeadLetter | UnknownLetter") -> Iterator[str]:
    from contentworker.runtime.dead_letters import UnknownLetter

    yield f"id          {letter_id}"
    yield f"arrived     {arrived:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(letter, UnknownLetter):
        yield f"version     {_line(letter.version) or '?'}, which this program does not know"
        yield from _block("content", letter.content)
        return
    for name in ("reason", "queue", "task", "task_id", "retries", "deliveries", "worker", "exception"):
        value = str(getattr(letter, name))
        if value:
            yield f"{name:<12}{_line(value)}"
    yield from _block("error", letter.error)
    found = _arguments(letter)
    if found is None:
        yield from _block("message" if letter.encoding == "utf-8" else "message (base64)", letter.message)
    else:
        args, kwargs = found
        yield "arguments"
        for value in args:
            yield f"  {json.dumps(value, ensure_ascii=False)}"
        for key, value in kwargs.items():
            yield f"  {_line(key)} = {json.dumps(value, ensure_ascii=False)}"
    if letter.traceback:
        yield from _block("traceback", letter.traceback)
    if letter.history:
        yield "history"
        for item in letter.history:
            why = _line(f"{item.reason}: {item.error}")
            yield f"  {_line(item.id)}  {item.arrived:%Y-%m-%d %H:%M:%S}  {why}"


def _block(name: str, text: str) -> Iterator[str]:
    yield name
    for line in text.splitlines():
        yield f"  {_line(line)}"


def _line(text: str) -> str:
    """The first line, fit for a terminal: whoever sent the message could have written commands to it."""
    first = text.splitlines()[0] if text.strip() else ""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in first)
