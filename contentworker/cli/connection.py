"""How a command reaches this project's Redis, what it says if it cannot, and where a server listens."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any, NoReturn, TypeVar

import click

from contentworker import config
from contentworker.cli.exit_codes import ExitCode
from contentworker.printable import one_line
from contentworker.runtime import environment
from contentworker.runtime.development import local_redis
from contentworker.sections import ListeningSection

__all__ = [
    "SECONDS",
    "STATE_FOLDER",
    "Connect",
    "NoRedisError",
    "NumberRange",
    "application",
    "broker_errors",
    "check_queue",
    "connected",
    "exit_no_broker",
    "impatient_application",
    "impatient_client",
    "json_option",
    "listen_options",
    "listening",
    "queue_names",
    "redis_client",
    "redis_url",
]

Connect = Callable[[], AbstractContextManager[Any]]
"""What the commands get as click's object: `connected`."""
Command = TypeVar("Command", bound=Callable[..., Any])

STATE_FOLDER = environment.state_folder(config.ROOT)
TIMEOUT_SECONDS = 2.0
"""Longest wait of the impatient ones: HTTP clients of the servers that use it wait some five seconds."""


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class NumberRange(click.FloatRange):
    """A range of numbers without NaN, which click lets pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number that was typed."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


SECONDS = NumberRange(0, 86_400)
"""How long a command may wait: at most a day."""


def check_queue(queue: str, parameter: str) -> None:
    """Refuse a queue that is not in `worker.toml` as wrong usage of the parameter."""
    known = config.load().queues
    if queue not in known:
        raise click.BadParameter(f"no queue {queue!r}; allowed: {', '.join(known)}", param_hint=parameter)


def queue_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The queues that begin so, for a shell that completes a word."""
    return [name for name in config.load().queues if name.startswith(incomplete)]


class NoRedisError(click.ClickException):
    """There is no Redis that this checkout may use."""

    exit_code = ExitCode.NO_REDIS


def redis_url() -> str:
    """`REDIS_URL`, or the address of the Redis that this checkout starts for itself. Starts nothing.

    Raises:
        NoRedisError: another checkout's Redis has that address.
    """
    port = config.load().broker.port
    _refuse_another_checkouts(port)
    return local_redis.url(STATE_FOLDER, port)


@cache  # once in a process: a server asks for the address again and again
def _refuse_another_checkouts(port: int) -> None:
    if os.environ.get("REDIS_URL") or local_redis.find(STATE_FOLDER):
        return
    from contentworker.doctor import listeners

    listener = listeners.find(port)
    other = listeners.checkout(listener) if listener else None
    if not listener or not listener.folder or other is None or other == config.ROOT:
        return
    # A redis-server that a person typed in that folder is not that checkout's own, which runs in its state.
    if environment.state_folder(other).parent in listener.folder.parents:
        raise NoRedisError(
            f"port {port} belongs to the checkout {other}; your Redis is not running: "
            f"start it with `{environment.session('redis')}`, or set REDIS_URL"
        )


def application() -> Any:
    """A Celery application that can send any task and has none."""
    from contentworker.runtime.worker.application import build

    return build(config.load(), redis_url())


def impatient_application() -> Any:
    """The same, to which a Redis that does not answer at once is unreachable: a person waits for a page."""
    app = application()
    waits = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **waits}
    return app


def redis_client(**options: Any) -> Any:
    """A redis-py client."""
    from contentworker.runtime.records import connections

    return connections.connect(redis_url(), config.load().broker, **options)


def impatient_client() -> Any:
    """A redis-py client to which a Redis that does not answer at once is unreachable."""
    return redis_client(socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS)


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn "Redis cannot be reached" into a line, and `ExitCode.NO_REDIS`."""
    import kombu.exceptions
    import redis

    try:
        yield
    except (kombu.exceptions.OperationalError, redis.exceptions.RedisError) as error:
        exit_no_broker(str(error))


@contextmanager
def connected() -> Iterator[Any]:
    """A redis-py client within `broker_errors`."""
    with broker_errors(), redis_client() as client:
        yield client


def exit_no_broker(reason: str) -> NoReturn:
    """End the command: Redis cannot be used, for this reason. The exit code is `NO_REDIS`."""
    from contentworker.runtime.records import connections

    where = f"Redis at {connections.sanitized(redis_url())} cannot be used: {one_line(reason).rstrip('.')}"
    hint = "" if os.environ.get("REDIS_URL") else local_redis.mistyped()
    advice = f"Start one with `{environment.session('redis')}`, or set REDIS_URL."
    raise NoRedisError(f"{where}. {hint or advice}") from None


def listen_options(command: Command) -> Command:
    """Give a command `--address` and `--port`."""
    command = click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.")(command)
    return click.option("--address", help="Address to listen on; default for both: worker.toml.")(command)


@contextmanager
def listening(section: ListeningSection, address: str | None, port: int | None) -> Iterator[ListeningSection]:
    """A server's section with the options of its command; an address that it cannot have is one line."""
    chosen = {"address": address or section.address, "port": port or section.port}
    try:
        yield section.model_copy(update=chosen)
    except OSError as error:
        where = f"{chosen['address']}, port {chosen['port']}: {error.strerror or error}"
        raise click.ClickException(f"{where}; choose another with --address and --port") from None
