"""Redis servers with options: a password, TLS, a replica, Sentinels that watch them."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from contentworker.runtime.development import local_redis
from tests.support import PATIENCE, Process, free_port, service_is_missing, wait_until

MASTER = "themaster"
PASSWORD = "of redis: @;/"
"""Of Redis, with characters that an address must quote."""
SENTINEL_PASSWORD = "of-the-sentinels"


class Server(Process):
    """A Redis, or a Sentinel, with these lines in its configuration."""

    def __init__(
        self,
        folder: Path,
        *lines: str,
        sentinel: bool = False,
        tls: Mapping[str, Any] | None = None,
        executable: str | None = None,
    ) -> None:
        try:
            executable = (
                executable
                or (tls and os.environ.get("TLS_REDIS_SERVER"))
                or local_redis.find_executable(os.environ.get("PATH", ""))
            )
        except local_redis.LocalRedisError as error:
            service_is_missing(error)
        self.port = free_port()
        self.options = dict(tls or {})
        folder.mkdir(parents=True)
        ports = ["port 0", f"tls-port {self.port}"] if tls else [f"port {self.port}"]
        common = ["bind 127.0.0.1", *ports, f"dir {folder}", *([] if sentinel else ['save ""'])]
        file = folder / "server.conf"  # a Sentinel writes to it
        file.write_text("\n".join([*common, *lines, ""]))
        command = [executable, str(file), *(["--sentinel"] if sentinel else [])]
        super().__init__(command, folder, os.environ, cwd=folder)

    def client(self, password: str | None = None) -> redis.Redis:
        """A plain connection to it."""
        return redis.Redis(
            "127.0.0.1",
            self.port,
            password=password,
            decode_responses=True,
            socket_timeout=PATIENCE,
            **self.options,
        )

    def crash(self) -> None:
        """Die at once, as of a power cut."""
        self.kill(signal.SIGKILL)
        self.wait()

    def answers(self, password: str | None = None) -> bool:
        """Whether it takes commands."""
        assert self.is_alive, self.log()
        with self.client(password) as client:
            try:
                return bool(client.ping())
            except redis.exceptions.ConnectionError:
                return False


@contextmanager
def server(
    folder: Path, *lines: str, password: str | None = None, executable: str | None = None
) -> Iterator[Server]:
    """One that answers, and is killed in the end."""
    secret = [f'requirepass "{password}"'] if password else []
    process = Server(folder, *lines, *secret, executable=executable)
    try:
        wait_until(lambda: process.answers(password), "the server to answer")
        yield process
    finally:
        process.stop()


@dataclass
class Watched:
    """A master and a replica, watched by three Sentinels."""

    servers: list[Server]
    sentinels: list[Server]

    def master(self) -> Server:
        """Who is the master now, as the first Sentinel sees it."""
        with self.sentinels[0].client(SENTINEL_PASSWORD) as client:
            _, port = client.sentinel_get_master_addr_by_name(MASTER)
        (found,) = [each for each in self.servers if each.port == int(port)]
        return found

    def is_complete(self) -> bool:
        """Whether each Sentinel knows the others and a replica that has caught up."""
        return all(self._knows_all(sentinel) for sentinel in self.sentinels)

    @staticmethod
    def _knows_all(sentinel: Server) -> bool:
        with sentinel.client(SENTINEL_PASSWORD) as client:
            master = client.sentinel_master(MASTER)
            replicas = client.sentinel_slaves(MASTER)
        linked = [each for each in replicas if each["master-link-status"] == "ok"]
        return master["num-other-sentinels"] == 2 and len(linked) == 1


@contextmanager
def watched(folder: Path, *lines: str, tls: Mapping[str, Any] | None = None) -> Iterator[Watched]:
    """Start them all, with passwords, and wait until they know each other."""
    both = [*lines, f'requirepass "{PASSWORD}"', f'masterauth "{PASSWORD}"']
    with ExitStack() as stack:

        def start(name: str, *more: str, password: str = PASSWORD, sentinel: bool = False) -> Server:
            process = Server(folder / name, *more, sentinel=sentinel, tls=tls)
            stack.callback(process.stop)
            wait_until(lambda: process.answers(password), f"{name} to answer")
            return process

        master = start("master", *both)
        replica = start("replica", *both, f"replicaof 127.0.0.1 {master.port}")
        watching = [
            *lines,
            f"requirepass {SENTINEL_PASSWORD}",
            f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
            f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 2",
            f'sentinel auth-pass {MASTER} "{PASSWORD}"',
            # A busy machine may hold up a healthy master for a second.
            f"sentinel down-after-milliseconds {MASTER} 3000",
            f"sentinel failover-timeout {MASTER} 5000",
        ]
        sentinels = [
            start(f"sentinel{number}", *watching, password=SENTINEL_PASSWORD, sentinel=True)
            for number in range(3)
        ]
        group = Watched([master, replica], sentinels)
        wait_until(group.is_complete, "the Sentinels to know each other and the replica")
        yield group
