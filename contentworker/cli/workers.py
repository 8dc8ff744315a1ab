"""`content-worker worker | with-redis | redis`: run a worker, a command or Redis in a checkout."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import click
from redis.exceptions import ResponseError

from contentworker import config
from contentworker.cli import connection
from contentworker.printable import decoded, one_line
from contentworker.runtime import environment
from contentworker.runtime.development import local_redis
from contentworker.runtime.records import connections
from contentworker.runtime.worker import command_line

__all__ = ["redis", "with_redis", "worker"]

CRASH_POLL_SECONDS = 1.0
"""Pause between two looks at whether the local Redis still runs."""


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--queue",
    "queues",
    multiple=True,
    help="Serve this queue (again for more); all by default.",
    shell_complete=connection.queue_names,
)
@click.option("--reload", is_flag=True, help="For development: start again when a file changes.")
@click.argument("celery_options", nargs=-1, type=click.UNPROCESSED)
def worker(queues: tuple[str, ...], reload: bool, celery_options: tuple[str, ...]) -> None:
    """Run a Celery worker with the settings of its queues, and with CELERY_OPTIONS.

    Starts a local Redis while it is needed, unless REDIS_URL names one.
    """
    settings = config.load()
    names = [name for value in queues for name in value.split(",")]
    for name in names:
        connection.check_queue(name, "--queue")
    options = command_line.worker_options(settings, names)
    if reload:
        command = command_line.reloading(settings, names, celery_options)
    else:
        celery = (sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", "worker")
        command = [*celery, *options, *celery_options]
    os.chdir(config.ROOT)
    if os.environ.get("REDIS_URL") and not reload:  # no local Redis to stop later: become the worker
        sys.stdout.flush()
        os.execv(command[0], command)
    sys.exit(local_redis.run(command, connection.STATE_FOLDER, settings.broker.port))


@click.command(
    "with-redis", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def with_redis(command: tuple[str, ...]) -> None:
    """Run COMMAND with REDIS_URL set. Starts a local Redis if needed; the last command to use it stops it."""
    sys.exit(local_redis.run(command, connection.STATE_FOLDER, config.load().broker.port))


@click.command("redis", context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def redis(command: tuple[str, ...]) -> None:
    """Send a Redis COMMAND, as redis-cli does; without one, run this checkout's Redis until Ctrl-C."""
    if not command:
        with local_redis.session(connection.STATE_FOLDER, config.load().broker.port) as address:
            where = connections.sanitized(address)
            ask = environment.session("redis -- ping")
            click.echo(f"{where} answers; `{ask}` asks it from another terminal.")
            _wait_for_signal_or_crash(address)
        return
    if not os.environ.get("REDIS_URL") and not local_redis.find(connection.STATE_FOLDER):
        connection.exit_no_broker("this checkout's Redis is not running")
    with connection.broker_errors(), connection.redis_client() as client:
        client.response_callbacks.clear()  # the answer as it came, as redis-cli prints it
        try:
            answer = client.execute_command(command[0], *map(os.fsencode, command[1:]))
        except ResponseError as error:
            raise click.ClickException(str(error)) from None
    # As redis-cli does it: escaped for a terminal, as it is for a program.
    show = one_line if sys.stdout.isatty() else str
    for line in _lines(answer):
        click.echo(show(line))


def _wait_for_signal_or_crash(address: str) -> None:
    """Wait until this command is told to stop, or the local Redis ends unexpectedly."""

    def stop(*_: object) -> None:
        for signum in signals:  # a second one must not interrupt the proper end of the server
            signal.signal(signum, lambda *_: None)
        raise SystemExit(0)

    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    for signum in signals:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, stop)
    while os.environ.get("REDIS_URL") or local_redis.find(connection.STATE_FOLDER):
        time.sleep(CRASH_POLL_SECONDS)
    raise click.ClickException(
        f"{connections.sanitized(address)}: this checkout's Redis has ended unexpectedly"
    )


def _lines(answer: Any) -> Iterator[str]:
    """An answer as redis-cli prints it into a pipe: an element per line, an empty line for nil."""
    if isinstance(answer, dict):
        answer = [part for item in answer.items() for part in item]
    if isinstance(answer, list | tuple | set):
        for element in answer:
            yield from _lines(element)
    else:
        text = "" if answer is None else decoded(answer) if isinstance(answer, bytes) else str(answer)
        yield text.replace("\r\n", "\n").rstrip("\n")
