"""`content-worker schedules …`: what `celery beat` sends by the clock, and holding or sending it."""

from datetime import UTC, datetime

import click

from contentworker import config
from contentworker.cli import connection
from contentworker.cli.connection import Connect, json_option
from contentworker.cli.errors import PlainErrorsGroup
from contentworker.errors import did_you_mean
from contentworker.printable import json_text
from contentworker.runtime import environment
from contentworker.runtime.records import schedules
from contentworker.runtime.watching.schedules import ScheduleLine, read

__all__ = ["group"]


def _names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The schedules that begin so, for a shell that completes a word."""
    return [name for name in config.load().schedules if name.startswith(incomplete)]


def _check(_ctx: click.Context, _param: click.Parameter, name: str) -> str:
    known = config.load().schedules
    if name not in known:
        allowed = ", ".join(known) or "there is none in worker.toml"
        raise click.BadParameter(f"no schedule {name!r}; allowed: {allowed}{did_you_mean(name, known)}")
    return name


_name = click.argument("name", callback=_check, shell_complete=_names)


@click.group("schedules", cls=PlainErrorsGroup)
def group() -> None:
    """What `celery beat` sends by the clock."""


@group.command("list")
@json_option
@click.pass_obj
def list_command(connect: Connect, /, as_json: bool) -> None:
    """List schedules: when each was last sent, and when it is due next, in its time zone and in UTC."""
    with connect() as client:
        lines = read(client, connection.application(), datetime.now(UTC))
    if as_json:
        for line in lines:
            click.echo(json_text(_record(line)))
    elif not lines:
        click.echo("There is no schedule in worker.toml.")
    else:
        width = max(len(line.name) for line in lines)
        for line in lines:
            click.echo(f"{line.name:<{width}}  {line.task}, {line.rhythm}")
            last = f"{line.last:%Y-%m-%d %H:%M:%S} UTC" if line.last else "not known"
            click.echo(f"{'':<{width}}  last {last}, {_next(line)}")


def _next(line: ScheduleLine) -> str:
    if line.next is None or line.next_local is None:
        return line.state
    there = "" if line.timezone == "UTC" else f" ({line.next_local:%Y-%m-%d %H:%M} {line.timezone})"
    return f"next {line.next:%Y-%m-%d %H:%M:%S} UTC{there}"


def _record(line: ScheduleLine) -> dict[str, object]:
    moments = {"last_sent": line.last, "next": line.next, "next_local": line.next_local}
    return {
        **{name: getattr(line, name) for name in ("name", "task", "rhythm", "timezone", "is_enabled")},
        **{name: moment and moment.isoformat() for name, moment in moments.items()},
        "is_paused": line.is_paused,
        "paused_by": line.pause and line.pause.by,
        "paused_since": line.pause and line.pause.since.isoformat(),
    }


@group.command()
@_name
@click.pass_obj
def pause(connect: Connect, /, name: str) -> None:
    """Skip the moments of NAME until `resume`: they are not sent later either."""
    with connect() as client:
        schedules.pause(client, name, environment.person())
    click.echo(f"{name}: paused")


@group.command()
@_name
@click.pass_obj
def resume(connect: Connect, /, name: str) -> None:
    """Let beat send NAME again, from its next moment on."""
    with connect() as client:
        schedules.resume(client, name)
    click.echo(f"{name}: resumed")


@group.command()
@_name
@click.pass_obj
def run(connect: Connect, /, name: str) -> None:
    """Send the task of NAME now, once, also if it is paused or off. Its next moment stays as it is."""
    from contentworker.runtime.worker.schedules import run_now

    with connect() as client:
        click.echo(run_now(connection.application(), client, name))
