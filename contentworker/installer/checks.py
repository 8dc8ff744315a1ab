"""Can a release run on this machine? Checks Redis, the database, the ports and the code. Changes nothing.

`prepare` checks what the user who typed the command can know. What is in the way raises an InstallError.
Run as a program, this checks the rest as the account of the services, in their sandbox:
`celery-preflight@RELEASE` does that before any service is stopped for the release.
"""

import errno
import importlib
import ipaddress
import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from contentworker import config
from contentworker.addresses import split
from contentworker.cli.connection import redis_url
from contentworker.doctor import listeners
from contentworker.errors import ContentWorkerError
from contentworker.installer import addresses
from contentworker.installer.credentials import REDIS_URL
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import Layout, is_masked, worker
from contentworker.installer.manifest import Manifest
from contentworker.printable import counted
from contentworker.runtime import environment
from contentworker.runtime.worker import task_names
from contentworker.runtime.worker.routing import queue_of

__all__ = [
    "escalations_queue",
    "examine_database",
    "examine_redis",
    "is_allowed",
    "refuse_taken_port",
    "refuse_too_full",
]

NETWORKS = {
    "any": ("0.0.0.0/0", "::/0"),
    "localhost": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/64"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
}
"""The networks that systemd means by these names in IPAddressAllow= (systemd.resource-control(5))."""

SECONDS = 3.0
"""Longest wait for a server to answer: one that is near answers in milliseconds."""

KEY = "contentworker:preflight"
NEEDED = (
    *("time", f"type {KEY}", f"exists {KEY}", f"get {KEY}", f"set {KEY} x", f"del {KEY}", f"expire {KEY} 1"),
    *(f"incr {KEY}", "eval return 0", f"evalsha {'0' * 40} 0", "script load x", f"publish {KEY} x"),
    *(f"lpush {KEY} x", f"rpush {KEY} x", f"rpop {KEY}", f"brpop {KEY} 1", f"llen {KEY}"),
    *(f"lrange {KEY} 0 0", f"lrem {KEY} 0 x", "client tracking on optin", "client caching yes"),
    *(f"hset {KEY} x x", f"hget {KEY} x", f"hdel {KEY} x", f"hgetall {KEY}", f"hkeys {KEY}"),
    *(f"zadd {KEY} 1 x", f"zrem {KEY} x", f"zrangebyscore {KEY} 0 0", f"zcard {KEY}"),
    *(f"sadd {KEY} x", f"srem {KEY} x", f"smembers {KEY}"),
    *(f"xadd {KEY} * x x", f"xrange {KEY} - +", f"xdel {KEY} 1-1", f"xlen {KEY}"),
)
"""The commands that a worker needs, one use of each. None of them is run."""
ESCALATION = "tasks.escalation.escalate_to_human"

PREFIX = Path(__file__).parents[4]
"""The folder of the installation: this file is PREFIX/releases/RELEASE/contentworker/installer/checks.py."""


def escalations_queue(settings: config.Settings) -> str | None:
    """The queue whose worker writes the records of escalations; None if the project has no such task."""
    has_task = not task_names.read(config.ROOT / "tasks").lacks(ESCALATION)
    return queue_of(ESCALATION, settings) if has_task else None


def examine_redis(
    settings: config.Settings, environ: Mapping[str, str], *, keeps_files: bool = True
) -> list[str]:
    """Check the Redis of REDIS_URL, and that the services may reach it; return warnings.

    `keeps_files` says whether this machine serves the queue of the escalations. Their records are in a file
    of one machine, unless DATABASE_URL names a server.
    """
    import redis

    from contentworker.runtime.records import connections
    from contentworker.runtime.transport.server import UnsuitableServerError

    address = environ[REDIS_URL]
    for host, port in connections.hosts(address):
        _refuse_forbidden(REDIS_URL, host, port, settings.services.allowed_addresses)
    where = connections.sanitized(address)
    waits = {"socket_timeout": SECONDS, "socket_connect_timeout": SECONDS}
    try:
        with connections.connect(address, settings.broker, environ, **waits) as client:
            if keeps_files and not environ.get("DATABASE_URL"):
                _refuse_second_host(client, settings)
            warnings = connections.check_server(client, settings.queues, settings.broker)
            more = ("wait 0 0",) if settings.broker.wait_for_replicas else ()
            _refuse_missing_rights(client, (*NEEDED, *more))
    except UnsuitableServerError as error:
        raise InstallError(f"REDIS_URL: {where}: {error}") from None
    except redis.exceptions.RedisError as error:
        raise InstallError(f"REDIS_URL: {where} cannot be used: {error}; start it, or name another") from None
    return [f"{where}: {warning}" for warning in warnings]


def examine_database(settings: config.Settings, url: str) -> None:
    """Check that a server listens at DATABASE_URL. The release itself checks that it can write."""
    parts = split("DATABASE_URL", url)
    host, port = parts.hostname, parts.port or 5432
    queue = escalations_queue(settings)
    if queue is None or not host:  # nothing here uses it, or it is the path of a socket
        return
    allowed = (*settings.services.allowed_addresses, *settings.queues[queue].allowed_addresses)
    _refuse_forbidden("DATABASE_URL", host, port, allowed)
    try:
        socket.create_connection((host, port), SECONDS).close()
    except OSError as error:
        raise InstallError(f"DATABASE_URL: {host}:{port} cannot be reached: {error}") from None


def refuse_too_full(settings: config.Settings, url: str) -> None:
    """Check that what the installed Redis holds fits into the memory that this release gives it.

    If it does not, Redis would refuse every new message.
    """
    import redis

    from contentworker.runtime.records import connections

    most = settings.services.redis_max_memory_mebibytes
    try:
        with connections.connect(url, settings.broker) as client:
            used = int(client.info("memory")["used_memory"]) // 2**20
    except redis.exceptions.RedisError:  # it does not run yet
        return
    if 0 < most <= used:
        raise InstallError(
            f"services.redis_max_memory_mebibytes: must be above the {used} MiB that Redis holds, not {most}"
        )


def refuse_taken_port(what: str, key: str, host: str, port: int) -> None:
    """Check that a service could listen on a port. The error names the program that has it, if it can."""
    problem = listeners.bind_problem(host, port)
    if problem is None:
        return
    if problem.errno != errno.EADDRINUSE:
        raise InstallError(
            f"{what} cannot listen on {host}:{port}: {problem.strerror}; choose another address: {key}"
        )
    who = listeners.find(port) or "a program of another user"
    raise InstallError(f"port {port} of {what} is taken by {who}; stop that, or choose another: {key}")


def is_allowed(address: str, allowed: Iterable[str]) -> bool:
    """Whether systemd lets a service reach an address, with these words in IPAddressAllow=."""
    networks = [
        ipaddress.ip_network(text, strict=False) for name in allowed for text in NETWORKS.get(name, (name,))
    ]
    return any(ipaddress.ip_address(address) in network for network in networks)


def _refuse_second_host(client: Any, settings: config.Settings) -> None:
    """Ask now what a worker of this machine would be told after the installation."""
    from contentworker.runtime.records import single_host

    queue = escalations_queue(settings)
    if queue and (other := single_host.holder(client, queue, single_host.host_id())):
        raise InstallError(
            f"the host {other} serves the queue {queue} with an SQLite file, which other hosts cannot share. "
            "Set DATABASE_URL to a PostgreSQL on all of them, or leave the queue out here. "
            f"Type: sudo systemctl mask {worker(queue).removesuffix('.service')}"
        )


def _refuse_missing_rights(client: Any, needed: Iterable[str]) -> None:
    """Queue each command in a transaction, then drop it: Redis refuses those that the user may not use."""
    import redis

    def allows(*words: str) -> bool:
        connection.send_command(*words)
        try:
            connection.read_response()
        except redis.exceptions.NoPermissionError:
            return False
        return True

    # Not through the client: it parses the reply of each command, but in a transaction every reply is QUEUED.
    connection = client.connection_pool.get_connection()
    try:
        if allows("MULTI"):
            missing = [words[0] for words in map(str.split, needed) if not allows(*words)]
            allows("DISCARD")
        else:  # each command would be run
            missing = ["multi"]
    finally:
        connection.disconnect()
        client.connection_pool.release(connection)
    if missing:
        raise InstallError(
            f"REDIS_URL: its user may not use {', '.join(missing)}; "
            "docs/redis.md has a user with all that is needed"
        )


def _refuse_forbidden(name: str, host: str, port: int, allowed: Iterable[str]) -> None:
    key = "services.allowed_addresses" if name == REDIS_URL else "the queue's allowed_addresses"
    try:
        resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InstallError(f"{name}: {host} has no address: {error.strerror}") from None
    for address in sorted({str(item[4][0]) for item in resolved}):
        if not is_allowed(address, allowed):
            raise InstallError(
                f"{name}: the services may not reach {host} ({address}); add it to {key} in worker.toml"
            )


def check_code() -> str:
    """Load everything that the services load, with every task."""
    # By name: no module below the application may import it.
    app = importlib.import_module("celery_worker").celery_app
    importlib.import_module("flower.command")
    importlib.import_module("contentworker.desk.application")  # editorial
    own = [name for name in app.tasks if not name.startswith("celery.")]
    return f"{counted(len(own), 'task')} can be loaded"


def check_redis() -> str:
    """Check the Redis of REDIS_URL; for the installed Redis, that its data fit into its memory."""
    manifest = Manifest.load(PREFIX / "manifest.json")
    settings = config.load()
    url = redis_url()
    if manifest and manifest.own_redis:
        # REDIS_URL has the new port already, while Redis still runs on the old one.
        port = addresses.running_redis_port(Layout(Path("/"), str(PREFIX))) or settings.broker.port
        refuse_too_full(settings, url.replace(f":{settings.broker.port}/", f":{port}/"))
        return "belongs to this installation"
    environ = {**os.environ, "REDIS_URL": url}
    return "; ".join(["can be used", *examine_redis(settings, environ, keeps_files=_serves_escalations())])


# >>> editorial
def check_database() -> str:
    """Write to the database of the escalations, and roll that back."""
    if not _serves_escalations():
        return "is not needed: the queue is masked here"
    if url := os.environ.get("DATABASE_URL"):
        return _check_postgres(url)
    from contentworker.editorial.escalations.opening import sqlite_file

    file = sqlite_file(config.load().escalations, environment.folder(config.ROOT))
    for path in (file.parent, *file.parent.glob(f"{file.name}*")):
        if not os.access(path, os.W_OK):
            raise PermissionError(f"{path} cannot be written by uid {os.geteuid()}")
    return f"a file in {file.parent}"


def _check_postgres(url: str) -> str:
    from sqlalchemy import inspect

    from contentworker.editorial.escalations.schema import open_engine
    from contentworker.editorial.escalations.tables import schema_version

    engine = open_engine(url, config.ROOT)
    try:
        with engine.connect() as connection:
            has_tables = inspect(connection).has_table(schema_version.name)
            writes = "UPDATE schema_version SET version = version"
            connection.exec_driver_sql(writes if has_tables else "CREATE TABLE preflight (x integer)")
            connection.rollback()
    finally:
        engine.dispose()
    return "PostgreSQL can be written"


# <<< editorial


def _serves_escalations() -> bool:
    queue = escalations_queue(config.load())
    return queue is not None and not is_masked(Layout(Path("/"), str(PREFIX)), queue)


CHECKS: dict[str, Callable[[], str]] = {
    "code": check_code,
    "Redis": check_redis,
    "database": check_database,  # editorial
}


def main() -> int:
    """Print a line for each check; return 1 if one failed."""
    environment.adopt_credentials()
    failed = False
    for name, check in CHECKS.items():
        try:
            shown = check()
        except (ContentWorkerError, SystemExit) as error:
            failed, shown = True, str(error)
        except Exception as error:  # noqa: BLE001 (whatever a check raises is what it found)
            # For an error of the code you need the line; for an error of a server, what it said.
            shown = traceback.format_exc() if name == "code" else f"{type(error).__name__}: {error}"
            failed = True
        print(f"{name}: {shown}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
