"""`content-worker health | pause | resume | hand-back | spending`: look at queues, hold them."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from contentworker import config
from contentworker.cli import connection
from contentworker.cli.exit_codes import ExitCode
from contentworker.runtime import environment
from contentworker.runtime.health.queues import check_queues
from contentworker.runtime.records import pauses
from contentworker.runtime.records.spending import Spending
from contentworker.runtime.transport.keys import LEASES
from contentworker.runtime.transport.protocol import Protocol

__all__ = ["hand_back", "health", "pause", "resume", "spending"]


@click.command()
@click.option(
    "--timeout",
    "timeout_seconds",
    type=connection.SECONDS,
    default=5.0,
    show_default=True,
    help="Seconds to wait for answers.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@click.option(
    "--queue",
    "queues",
    multiple=True,
    help="Only this queue (again for more).",
    shell_complete=connection.queue_names,
)
def health(timeout_seconds: float, as_json: bool, queues: tuple[str, ...]) -> None:
    """Send a task through each queue and time the answer.

    Exit code 0: all ok. 1: a queue is busy or paused. 3: Redis cannot be reached. 4: a queue is down.
    """
    known = config.load().queues
    for name in queues:
        connection.check_queue(name, "--queue")
    with connection.broker_errors():
        answers = check_queues(connection.application(), queues or known, timeout_seconds)
    if as_json:
        click.echo(json.dumps([item.model_dump() for item in answers]))
    else:
        width = max(len(item.queue) for item in answers)
        for item in answers:
            seconds, age = item.latency_seconds, item.oldest_message_seconds
            latency = "no answer" if seconds is None else f"{seconds * 1000:.0f} ms"
            oldest = "" if age is None else f", oldest {age:.0f} s"
            limited = f" ({item.waiting_for_limit} for a limit)" if item.waiting_for_limit else ""
            waiting = f"{item.depth} waiting{limited}{oldest}"
            click.echo(f"{item.queue:<{width}}  {item.status:<6}  {latency:<9}  {waiting}")
    statuses = {item.status for item in answers}
    if statuses == {"down"}:
        click.echo(f"No worker answers. Start one with `{_start_command()}`.", err=True)
    if "down" in statuses:
        sys.exit(ExitCode.DOWN)
    sys.exit(ExitCode.FAILED if statuses & {"busy", "paused"} else ExitCode.DONE)


def _start_command() -> str:
    is_installed = str(click.get_current_context().find_root().info_name).startswith("sudo ")
    return "sudo systemctl start celery-worker" if is_installed else environment.session("worker")


@click.command("hand-back")
def hand_back() -> None:
    """Move delayed messages into their queues, before plain Celery takes over.

    Also those that wait for a limit, which plain Celery does not know.

    Stop the workers first. Plain workers keep each message in memory until its time comes.
    """
    with connection.connected() as client:
        protocol = Protocol(client)
        moved = 0
        while count := protocol.hand_back():
            moved += count
        if holders := client.hlen(LEASES):
            click.echo(f"Workers still run: {holders}. The messages that they hold are not moved.", err=True)
    click.echo(f"Messages moved into their queues: {moved}")


@click.command()
@click.argument("queue", shell_complete=connection.queue_names)
def pause(queue: str) -> None:
    """Let no worker take messages from QUEUE until `resume`. Tasks that run go on; new ones wait."""
    with _pausable(queue) as client:
        pauses.pause(client, queue, environment.person())
    click.echo(f"{queue}: paused")


@click.command()
@click.argument("queue", shell_complete=connection.queue_names)
def resume(queue: str) -> None:
    """Let the workers of QUEUE take messages again after `pause`."""
    with _pausable(queue) as client:
        pauses.resume(client, queue)
    click.echo(f"{queue}: resumed")


@contextmanager
def _pausable(queue: str) -> Iterator[Any]:
    connection.check_queue(queue, "QUEUE")
    if config.load().broker.transport == "plain":
        raise click.ClickException('workers of `broker.transport = "plain"` cannot be paused')
    with connection.connected() as client:
        yield client


@click.command()
@connection.json_option
def spending(as_json: bool) -> None:
    """Print what paid calls have cost today (UTC), and the day's cap, in the unit of the prices."""
    settings = config.load().spending
    with connection.connected() as client:
        spent = Spending(client, settings).today()
    if as_json:
        click.echo(json.dumps({"spent_today": spent, "cap_per_day": settings.cap_per_day or None}))
        return
    cap = f"of {settings.cap_per_day:.6f}" if settings.cap_per_day else "no cap"
    click.echo(f"{spent:.6f}  {cap}")
