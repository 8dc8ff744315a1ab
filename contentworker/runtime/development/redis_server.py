"""A Redis server of ours: found, started and stopped without a connection to it.

Everything is known from files in its folder, so another program's server never gets a command:

- `server.lock` is the marker: the server process inherits a lock on it and holds it until it is gone.
- `redis.json`, `redis.pid`, `redis.log` and `data/` belong to the server started last.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contentworker.errors import ContentWorkerError

if sys.platform != "win32":
    import fcntl

__all__ = ["LocalRedisError", "Server", "ServerFolder", "has_open", "is_locked", "locked", "url_of"]

FREE_PORT_TRIES = 5
"""Free ports to try: another program can take one before the server does."""
START_SECONDS = 60
"""Longest wait for a server to be ready: it may have a large append-only file to load."""
STOP_SECONDS = 15
"""Longest wait for a server to end: it writes everything to disk first."""
POLL_SECONDS = 0.01
LOG_LINES_SHOWN = 3

OPTIONS = {
    "bind": "127.0.0.1",
    "daemonize": "no",
    "logfile": "",
    "save": "",
    "dir": ".",
    "pidfile": "../redis.pid",
    "maxmemory-policy": "noeviction",
    # Redis would write it over the environment, by which the tests know what a killed run left.
    "set-proc-title": "no",
}
DURABLE = {"appendonly": "yes", "appendfsync": "everysec", "aof-use-rdb-preamble": "no"}
"""The append-only file has commands and no snapshot: an older server cannot read a newer one's snapshot, and
which server is found changes when you install one."""

_children: dict[Path, subprocess.Popen[bytes]] = {}  # servers that this process started, to leave no zombie


class LocalRedisError(ContentWorkerError):
    """The local Redis cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server of ours."""

    port: int
    pid: int
    executable: str

    @property
    def url(self) -> str:
        """Address of the server."""
        return url_of(self.port)


def url_of(port: int) -> str:
    """Address of a local server."""
    return f"redis://127.0.0.1:{port}/0"


class ServerFolder:
    """The folder of a server, which runs or does not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._marker = folder / "server.lock"
        self._record = folder / "redis.json"

    @property
    def last_port(self) -> int | None:
        """Port of the server that runs, or that crashed; None after a proper end."""
        return self._read_record().get("port")

    def find(self) -> Server | None:
        """The server if it runs; it may still be loading. Changes nothing."""
        record = self._read_record()
        with suppress(OSError, ValueError, KeyError):
            pid = int((self.folder / "redis.pid").read_text())
            if is_locked(self._marker) and has_open(pid, self._marker):
                return Server(record["port"], pid, record["executable"])
        return None

    def running(self) -> Server | None:
        """The server as soon as it is ready, if one is starting or runs; None if there is none."""
        for _ in _ticks(START_SECONDS):
            if self.is_gone():
                return None
            server = self.find()
            if server and "Ready to accept connections" in self._log():
                return server
        raise LocalRedisError(
            f"The local Redis was not ready after {START_SECONDS} seconds. {self.log_end()}"
        )

    def start(self, executable: str, wanted: list[int], *, is_durable: bool) -> Server:
        """Start a server on the first port that is free: a wanted one, else any."""
        for port in _ports(wanted):
            self._spawn(executable, port, DURABLE if is_durable else {"appendonly": "no"})
            if server := self.running():
                return server
            if _is_free(port):
                break  # the port was not the reason, so another one does not help
        self._record.unlink(missing_ok=True)
        raise LocalRedisError(
            f"{executable} did not start. {self.log_end()}\n"
            f"If it cannot read its data, move {self.folder / 'data'} away to start empty."
        )

    def stop(self, signum: signal.Signals) -> bool:
        """Signal the server as soon as its process is known; False if it still runs in the end."""
        is_signalled = False
        for _ in _ticks(STOP_SECONDS):
            if self.is_gone():
                self._record.unlink(missing_ok=True)
                return True
            if not is_signalled and (server := self.find()):
                with suppress(ProcessLookupError):
                    os.kill(server.pid, signum)
                is_signalled = True
        return False

    def is_gone(self) -> bool:
        """Whether no server holds the marker; collects the process that this one started."""
        if is_locked(self._marker):
            return False
        if child := _children.pop(self.folder, None):
            if child.poll() is None:  # about to end; or a wrapper script kept the marker from the server
                with suppress(OSError):
                    os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        return True

    def log_end(self) -> str:
        """The last lines of its log, to be shown to a person."""
        lines = self._log().splitlines()[-LOG_LINES_SHOWN:]
        return "\n  ".join([f"Its log, {self.folder / 'redis.log'}, ends:", *lines])

    def _spawn(self, executable: str, port: int, persistence: dict[str, str]) -> None:
        options = {**OPTIONS, "port": str(port), **persistence}
        with locked(self._marker, fcntl.LOCK_EX) as marker:
            (self.folder / "data").mkdir(exist_ok=True)
            (self.folder / "redis.pid").unlink(missing_ok=True)
            self._record.write_text(json.dumps({"port": port, "executable": executable}))
            with suppress(FileNotFoundError):
                (self.folder / "redis.log").replace(self.folder / "redis.log.old")
            with (self.folder / "redis.log").open("wb") as log:
                _children[self.folder] = subprocess.Popen(
                    [executable, *(part for name, value in options.items() for part in (f"--{name}", value))],
                    cwd=self.folder / "data",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[marker],
                    start_new_session=True,  # Ctrl-C stops the workers first, and they still need it
                )

    def _read_record(self) -> dict[str, Any]:
        with suppress(OSError, ValueError, TypeError):
            return dict(json.loads(self._record.read_text()))
        return {}

    def _log(self) -> str:
        with suppress(OSError):
            return (self.folder / "redis.log").read_text("utf-8", "replace")
        return ""


@contextmanager
def locked(path: Path, how: int) -> Iterator[int]:
    """Hold a lock on a file (flock(2)), and yield its descriptor."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield descriptor
    finally:
        os.close(descriptor)  # LOCK_UN would also release it for a process that inherited the lock


def is_locked(path: Path) -> bool:
    """Whether a process holds a lock on the file; False if there is no file, or it is not ours to read."""
    with suppress(OSError):
        with path.open("rb") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        return True
    return False


def _ports(wanted: list[int]) -> Iterator[int]:
    yield from filter(_is_free, dict.fromkeys(wanted))
    for _ in range(FREE_PORT_TRIES):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        yield port


def _is_free(port: int) -> bool:
    # On macOS a loopback address can be bound beside another program's wildcard listener: ask for both.
    for host in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 (a probe, closed at once)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def has_open(pid: int, path: Path) -> bool:
    """Whether a process has the file open. Its number may be another process's, or another container's."""
    if sys.platform != "linux":
        return True  # only Linux has /proc
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                if descriptor.samefile(path):
                    return True
    return False


def _ticks(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while True:
        yield
        if time.monotonic() > deadline:
            return
        time.sleep(POLL_SECONDS)
