"""The root of the command line. It sends tasks by name and imports none."""

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import click

from contentworker.cli.errors import PlainErrorsGroup
from contentworker.version import VERSION

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["main"]


class _Entry(NamedTuple):
    place: str
    """Module in this folder, and name in it."""
    summary: str
    """What `--help` says: whole sentences. Here, so that help and completion import no command."""


SECTIONS = {
    "Run": {
        "up": _Entry("up:up", "Run Redis, worker, beat, metrics and Flower together."),
        "down": _Entry("up:down", "Stop what `up` runs, once running tasks have ended."),
        "worker": _Entry("workers:worker", "Run a worker of all queues, or of those that you name."),
        "redis": _Entry("workers:redis", "Send Redis a command, or run this checkout's Redis."),
        "with-redis": _Entry("workers:with_redis", "Run a command with REDIS_URL set."),
        "submit": _Entry("submit:submit", "Send a task to its queue, and wait for its result."),
    },
    "Look": {
        "status": _Entry("up:status", "Show what `up` runs, and how each program is."),
        "logs": _Entry("up:logs", "Show what the programs of `up` have printed."),
        "top": _Entry("top:top", "Show queues, workers, running tasks and dead letters, live."),
        "health": _Entry("queues:health", "Send a task through each queue and time the answer."),
        "doctor": _Entry("doctor:command", "Say what is wrong on this machine, and how to fix it."),
        "spending": _Entry("queues:spending", "Show what paid calls have cost today, and the cap."),
    },
    "Act": {
        "runs": _Entry("articles:runs", "List, show, cancel or forget the runs of articles."),  # editorial
        "dead-letters": _Entry("dead_letters:group", "List, show, replay or discard messages that failed."),
        # >>> editorial
        "escalations": _Entry("escalations:group", "List and settle articles that wait for a person."),
        "desk": _Entry("desk:group", "Serve the desk, where people answer them in the browser."),
        # <<< editorial
        "schedules": _Entry("schedules:group", "List, pause, resume or run what beat sends by the clock."),
        "pause": _Entry("queues:pause", "Let no worker take messages from a queue."),
        "resume": _Entry("queues:resume", "Let workers take messages from it again."),
    },
    "Operate": {
        "config": _Entry("config:group", "Show the settings, or write the files made from them."),
        "metrics": _Entry("metrics:metrics", "Serve metrics to Prometheus, or print them once."),
        "health-server": _Entry("health_server:server", "Answer /live, /ready and /health over HTTP."),
        "backup": _Entry("backup:backup", "Copy Redis's data, and the database beside it."),
        "hand-back": _Entry("queues:hand_back", "Prepare the queues for workers of plain Celery."),
        "completion": _Entry("completion:command", "Print the script that completes commands on Tab."),
    },
}
"""Every command, by the heading of `--help` that it is under."""

HIDDEN: dict[str, _Entry] = {
    "cancel": _Entry("articles:cancel", "The former name of `runs cancel`."),  # editorial
    "forget": _Entry("articles:forget", "The former name of `runs forget`."),  # editorial
}
"""Commands that still work, and that help and completion leave out."""

LISTED = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class _Menu(PlainErrorsGroup):
    """Imports a command's module when the command is typed: starting a worker needs no page of `top`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *LISTED]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = LISTED.get(cmd_name) or HIDDEN.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        module, _, name = entry.place.partition(":")
        command: click.Command = getattr(import_module(f"contentworker.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's)
        width = max(map(len, LISTED))
        for title, section in SECTIONS.items():
            rows = [(f"{name:<{width}}", entry.summary) for name, entry in section.items()]
            with formatter.section(title):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        # Without commas, at which click's script for fish cuts.
        items = [
            CompletionItem(name, help=entry.summary.replace(",", ";"))
            for name, entry in LISTED.items()
            if name.startswith(incomplete)
        ]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]


@click.group(
    cls=_Menu,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Help for a command: COMMAND --help. Ids may be shortened to their first characters.",
)
@click.version_option(VERSION, message="Content Worker %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Content Worker: Celery tasks that are never lost, and what watches them."""
    # Here, because `--help`, `--version` and completion need no settings: they start in a third of the time.
    from contentworker.cli import connection
    from contentworker.runtime import environment

    environment.adopt_credentials()
    ctx.obj = connection.connected
