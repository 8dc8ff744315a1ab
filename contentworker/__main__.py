"""`python -m contentworker …`: the commands of this project. It sends tasks by name and imports none."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from contentworker import articles_cli, config, dead_letters_cli, doctor, escalations_cli, health_cli
from contentworker.errors import ContentError, ContentWorkerError
from contentworker.metrics_cli import generated, metrics
from contentworker.plain_errors import PlainErrorsGroup
from contentworker.runtime import command_line, credentials, local_redis, units
from contentworker.top_cli import top

STATE_FOLDER = local_redis.state_folder(config.ROOT)

EXIT_BUSY = 1
EXIT_DOWN = 2
EXIT_NO_BROKER = 3
"""Exit codes of `health`; 0 is ok. Click itself uses 2 for a command line it does not understand."""


@click.group(cls=PlainErrorsGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(ctx: click.Context) -> None:
    """Content Worker: background work for a content platform."""
    credentials.adopt()
    ctx.obj = _connected


def _redis_url() -> str:
    return local_redis.url(STATE_FOLDER, config.load().broker.port)


def _client() -> Any:
    """A Celery application that can send any task and has none."""
    from contentworker.runtime import application

    return application.build(config.load(), _redis_url())


def _redis(**options: Any) -> Any:
    """A redis-py client of the same Redis."""
    from contentworker.runtime import connections

    return connections.connect(_redis_url(), config.load().broker, **options)


@contextmanager
def _broker_errors() -> Iterator[None]:
    """Turn "Redis cannot be reached" into a line, and exit code 3."""
    import kombu.exceptions
    import redis

    try:
        yield
    except (kombu.exceptions.OperationalError, redis.exceptions.RedisError) as error:
        _no_broker(str(error))


@contextmanager
def _connected() -> Iterator[Any]:
    """A client of Redis; that Redis cannot be reached is a line."""
    with _broker_errors(), _redis() as client:
        yield client


def _no_broker(reason: str) -> NoReturn:
    from contentworker.runtime import connections

    click.echo(f"Redis at {connections.sanitized(_redis_url())} cannot be used: {reason}", err=True)
    click.echo("Start one with `nox -s worker` or `nox -s redis`, or set REDIS_URL.", err=True)
    sys.exit(EXIT_NO_BROKER)


@main.group("config")
def config_group() -> None:
    """The configuration: worker.toml and the environment."""


@config_group.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of lines.")
def config_show(as_json: bool) -> None:
    """Print every setting, its value and where the value comes from."""
    values = list(config.describe())
    if as_json:
        click.echo(json.dumps({item.key: {"value": item.value, "origin": item.origin} for item in values}))
        return
    width = max(len(item.key) for item in values)
    for item in values:
        click.echo(f"{item.key:<{width}}  {json.dumps(item.value)}  ({item.origin})")


@config_group.command("document")
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is out of date.")
def config_document(check: bool) -> None:
    """Write what is generated: docs/configuration.md, a diagram, .devcontainer/, systemd/, the dashboard."""
    from contentworker import architecture, config_page, devcontainer

    # Without this machine's environment: what is committed must not depend on who wrote it.
    settings = config.load(config.ROOT / "worker.toml", {})
    folder = config.ROOT / "systemd"
    rendered = units.render(settings, folder / "templates")
    docs = config.ROOT / "docs"
    page = docs / "architecture.md"
    files = {
        docs / "configuration.md": config_page.render(),
        page: architecture.render(page.read_text("utf-8"), config.ROOT),
        **devcontainer.render(settings, config.ROOT),
        **{folder / path: text for path, text in rendered.items()},
        **generated(config.ROOT),
    }
    outdated = units.stale(folder, rendered)
    for file, wanted in files.items():
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != wanted:
            outdated.append(file)
    if check and outdated:
        name = outdated[0].relative_to(config.ROOT)
        raise click.ClickException(f"{name} is out of date: run `nox -s generate`")
    for file in outdated:
        file.unlink()


@main.command("units")
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder; by default systemd/."
)
def units_command(output: Path | None) -> None:
    """Write systemd's units and what belongs to them, from worker.toml.

    Into another folder than systemd/ with the overrides of the environment.
    """
    folder = config.ROOT / "systemd"
    settings = config.load() if output else config.load(environ={})
    rendered = units.render(settings, folder / "templates")
    for path, text in rendered.items():
        file = (output or folder) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        click.echo(os.path.relpath(file))
    for file in units.stale(output or folder, rendered):
        file.unlink()
        click.echo(f"{os.path.relpath(file)}: removed")


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--queue", "queues", multiple=True, help="Serve this queue (again for more); all by default.")
@click.option("--reload", is_flag=True, help="For development: start again when a file changes.")
@click.argument("celery_options", nargs=-1, type=click.UNPROCESSED)
def worker(queues: tuple[str, ...], reload: bool, celery_options: tuple[str, ...]) -> None:
    """Run a Celery worker with the settings of its queues; CELERY_OPTIONS are added.

    Starts a local Redis for as long as it is needed, unless REDIS_URL says where one is.
    """
    settings = config.load()
    names = [name for value in queues for name in value.split(",")]
    options = command_line.worker_options(settings, names)  # also to refuse what is wrong at once
    if reload:
        command = command_line.reloading(settings, names, celery_options)
    else:
        celery = (sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", "worker")
        command = [*celery, *options, *celery_options]
    os.chdir(config.ROOT)
    if os.environ.get("REDIS_URL") and not reload:  # no Redis to stop in the end: become the worker
        sys.stdout.flush()
        os.execv(command[0], command)
    sys.exit(local_redis.run(command, STATE_FOLDER, settings.broker.port))


@main.command(
    "with-redis", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def with_redis(command: tuple[str, ...]) -> None:
    """Run COMMAND with REDIS_URL set. Starts a local Redis if need be; the last to use it stops it."""
    sys.exit(local_redis.run(command, STATE_FOLDER, config.load().broker.port))


@main.command("redis", context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def redis_command(command: tuple[str, ...]) -> None:
    """Send a Redis COMMAND, as redis-cli would; without one, run this checkout's Redis until Ctrl-C."""
    if not command:
        with local_redis.session(STATE_FOLDER, config.load().broker.port) as address:
            click.echo(f"{address} until Ctrl-C; `nox -s redis -- ping` asks it from another terminal.")
            # After the start: a server started now would inherit the blocked signals.
            stop = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
            signal.pthread_sigmask(signal.SIG_BLOCK, stop)
            signal.sigwait(stop)
        return
    import redis

    if not os.environ.get("REDIS_URL") and not local_redis.find(STATE_FOLDER):
        _no_broker("this checkout's Redis does not run")
    with _broker_errors(), _redis(decode_responses=True) as client:
        client.response_callbacks.clear()  # the answer as it came, as redis-cli has it
        try:
            answer = client.execute_command(*command)
        except redis.exceptions.ResponseError as error:
            raise click.ClickException(str(error)) from None
    for line in _lines(answer):
        click.echo(line)


def _lines(answer: Any) -> Iterator[str]:
    """An answer as redis-cli prints it when it is piped: an element a line, nothing for nil."""
    if isinstance(answer, dict):
        answer = [part for item in answer.items() for part in item]
    if isinstance(answer, list | tuple | set):
        for element in answer:
            yield from _lines(element)
    else:
        yield "" if answer is None else str(answer).replace("\r\n", "\n").rstrip("\n")


@main.command()
@click.option(
    "--timeout", "timeout_seconds", default=5.0, show_default=True, help="Seconds to wait for answers."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@click.option("--queue", "queues", multiple=True, help="Only this queue (again for more).")
def health(timeout_seconds: float, as_json: bool, queues: tuple[str, ...]) -> None:
    """Send a task through each queue and time the answer.

    Exit code 0: all ok. 1: a queue is busy or paused. 2: a queue is down. 3: Redis cannot be reached.
    """
    from contentworker.runtime.health import check_queues

    known = config.load().queues
    for name in queues:
        if name not in known:
            raise click.BadParameter(f"no queue {name!r}; allowed: {', '.join(known)}", param_hint="--queue")
    with _broker_errors():
        found = check_queues(_client(), queues or known, timeout_seconds)
    if as_json:
        click.echo(json.dumps([item.model_dump() for item in found]))
    else:
        width = max(len(item.queue) for item in found)
        for item in found:
            latency = "no answer" if item.latency_seconds is None else f"{item.latency_seconds * 1000:.0f} ms"
            oldest = (
                "" if item.oldest_message_seconds is None else f", oldest {item.oldest_message_seconds:.0f} s"
            )
            click.echo(f"{item.queue:<{width}}  {item.status:<6}  {latency:<9}  {item.depth} waiting{oldest}")
    statuses = {item.status for item in found}
    sys.exit(EXIT_DOWN if "down" in statuses else EXIT_BUSY if statuses & {"busy", "paused"} else 0)


@main.command("hand-back")
def hand_back() -> None:
    """Before plain Celery takes over: move delayed messages into their queues.

    Stop the workers first. Plain workers then wait for each message's time in their memory.
    """
    from contentworker.runtime.transport.protocol import LEASES, Protocol

    with _broker_errors(), _redis() as client:
        protocol = Protocol(client)
        moved = 0
        while count := protocol.hand_back():
            moved += count
        if holders := client.hlen(LEASES):
            click.echo(f"{holders} workers still have leases: what they hold is not moved.", err=True)
    click.echo(f"Delayed messages moved into their queues: {moved}")


def _answer(result: Any, seconds: float) -> Any:
    """What a task answers. Let go of the result at once: while Python shuts down that prints a traceback."""
    try:
        return result.get(timeout=seconds)
    finally:
        result.backend.remove_pending_result(result)
        result.backend = None


@main.command()
@click.argument("task")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE | NAME:=JSON | NAME@FILE]...")
@click.option(
    "--wait", "wait_seconds", type=float, help="Wait this many seconds for the result and print it."
)
def submit(task: str, arguments: tuple[str, ...], wait_seconds: float | None) -> None:
    """Send TASK to its queue; print its id, or with --wait its result as JSON.

    \b
    NAME=VALUE   a string
    NAME:=JSON   any JSON value
    NAME@FILE    the text of a file, in UTF-8
    """
    import kombu.exceptions
    import redis
    from celery.exceptions import TimeoutError as ResultTimeoutError

    from contentworker.runtime.routing import patterns_of, queue_of

    queues = config.load().queues
    if queue_of(task, queues) is None:
        reason = f"no queue takes {task!r}; patterns: {patterns_of(queues)}"
        raise click.BadParameter(reason, param_hint="TASK")
    keywords = dict(_argument(text) for text in arguments)
    began = time.monotonic()
    with _broker_errors():
        client = _client()
        with client.connection_for_write() as connection:
            # The result backend, which is asked first, would try for 20 s and raise a bare RuntimeError.
            connection.ensure_connection(max_retries=1)
        result = client.send_task(task, kwargs=keywords, retry=False)
        if wait_seconds is None:
            click.echo(result.id)
            return
        try:
            value = _answer(result, wait_seconds)
        except ResultTimeoutError:
            raise click.ClickException(f"{result.id}: no result within {wait_seconds:g} s") from None
        except ContentWorkerError as error:
            raise click.ClickException(str(error)) from None
        except (kombu.exceptions.OperationalError, redis.exceptions.RedisError):
            raise
        except Exception as error:  # whatever the task raised
            raise click.ClickException(f"{result.id} failed: {type(error).__name__}: {error}") from None
    if isinstance(value, dict) and isinstance(value.get("run_id"), str) and "step" in value:
        value = _end_of_run(value["run_id"], began + wait_seconds)
    click.echo(json.dumps(value, indent=2))


def _end_of_run(run_id: str, deadline: float) -> Any:
    """Show a run's steps until its end; return what became of it."""
    with _broker_errors(), _redis() as client:
        run = articles_cli.follow(client, run_id, deadline)
    if run is None or not run.is_final:
        raise click.ClickException(f"{run_id}: stands at {run.step if run else 'nothing: it was removed'}")
    return articles_cli.outcome(run)


def _argument(text: str) -> tuple[str, Any]:
    end = min((text.find(mark) for mark in "=@" if mark in text), default=-1)
    name, mark, value = text[:end], text[end : end + 1], text[end + 1 :]
    if end > 0 and mark == "=" and name.endswith(":"):
        name, mark = name[:-1], ":="
    if not mark or not name.isidentifier():
        raise click.BadParameter(
            f"{text!r} is not NAME=VALUE, NAME:=JSON or NAME@FILE", param_hint="NAME=VALUE"
        )
    if mark == "=":
        return name, value
    if mark == "@":
        return name, _file_text(name, Path(value))
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise click.BadParameter(f"{name}: not JSON: {error}", param_hint="NAME:=JSON") from None


def _file_text(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ContentError(name, f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ContentError(name, f"{path} must be UTF-8; byte {error.start} is not") from None


@main.command()
@click.argument("queue")
def pause(queue: str) -> None:
    """Have no worker take anything from QUEUE until `resume`. What runs goes on; what is sent waits."""
    _set_pause(queue, paused=True)


@main.command()
@click.argument("queue")
def resume(queue: str) -> None:
    """Let the workers of QUEUE go on after `pause`."""
    _set_pause(queue, paused=False)


def _set_pause(queue: str, *, paused: bool) -> None:
    from contentworker.runtime.transport.protocol import Protocol

    settings = config.load()
    if queue not in settings.queues:
        raise click.BadParameter(f"no queue {queue!r}; allowed: {', '.join(settings.queues)}")
    if settings.broker.transport == "plain":
        raise click.ClickException("broker.transport is plain, whose workers know no pause")
    with _broker_errors(), _redis() as client:
        (Protocol(client).pause if paused else Protocol(client).resume)(queue)
    click.echo(f"{queue}: {'paused' if paused else 'resumed'}")


@main.command()
def spending() -> None:
    """Print what paid calls have cost today (UTC), and the day's cap, in the unit of the prices."""
    from contentworker.runtime.spending import Spending

    settings = config.load().spending
    with _broker_errors(), _redis() as client:
        spent = Spending(client, settings).today()
    cap = f"of {settings.cap_per_day:.6f}" if settings.cap_per_day else "no cap"
    click.echo(f"{spent:.6f}  {cap}")


@main.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of lines.")
def doctor_command(as_json: bool) -> None:
    """Say what is missing or wrong on this machine, and how to mend it.

    Exit code 0: nothing that needs mending. 1: something is wrong.
    """
    sys.exit(doctor.report(as_json=as_json))


main.add_command(dead_letters_cli.group)
main.add_command(escalations_cli.group)
main.add_command(health_cli.server)
main.add_command(metrics)
main.add_command(top)
main.add_command(articles_cli.runs)
main.add_command(articles_cli.cancel)
main.add_command(articles_cli.forget)


if __name__ == "__main__":
    main(prog_name="python -m contentworker")
