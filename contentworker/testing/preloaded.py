"""Start programs from a process that ends them when the tests are gone, and has imported what workers import.

A worker imports for one to three seconds, and these tests start hundreds of them. The fork runs
the same module by the same name with the environment, folder and files that it is given, as `python -m` does.
"""

import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from contentworker.testing import leftovers

__all__ = ["Forked", "start"]

PRELOADED = (
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.apps.worker",
    "celery.backends.redis",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.events.state",
    "celery.worker.components",
    "celery.worker.consumer",
    "click",
    "contentworker.articles.pipeline",  # editorial
    "contentworker.cli.main",
    "contentworker.config",
    "contentworker.runtime.metrics.worker",
    "contentworker.runtime.transport.leased",
    "contentworker.runtime.watching.flower",
    "contentworker.runtime.worker.application",
    "contentworker.runtime.worker.arguments",
    "contentworker.runtime.worker.claims",
    "contentworker.runtime.worker.consumer",
    "contentworker.runtime.worker.reloading",
    "contentworker.runtime.worker.retry",
    "contentworker.runtime.worker.rhythms",
    "kombu.transport.redis",
    "redis.client",
)
MODULES = ("celery", "contentworker")
"""What is run by forking; it must not be loaded before the fork itself."""
LENGTH = struct.Struct("!I")


def can_fork(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether a fork runs this command as a new interpreter would."""
    special = {name for name in env if name.startswith(("LD_", "PYTHON"))} - {
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE",
    }
    return (
        not special
        and command[:2] == [sys.executable, "-m"]
        and command[2] in MODULES
        and not os.environ.get("TESTS_WITHOUT_FORK")
    )


class Forked:
    """A forked program: what of `subprocess.Popen` the tests use."""

    def __init__(self, server: "_Client", pid: int) -> None:
        self._server = server
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            self.returncode = self._server.exit_code(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self._server.wait_for_news(0.05)
        return code


def start(command: Sequence[str], cwd: str, env: Mapping[str, str], files: Sequence[int]) -> Forked:
    """Run a command in a new session, by forking alone if possible; `files` are stdin, stdout and stderr."""
    return _Client.get().start(command, cwd, env, files)


class _Client:
    """The side of the tests. One preloaded process serves all tests of a process."""

    _only: "_Client | None" = None

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._socket = ours
        self._pid_of_owner = os.getpid()
        self._ended: dict[int, int] = {}
        self._lock = threading.RLock()
        command = [sys.executable, "-u", "-m", __name__, str(theirs.fileno())]
        folder = Path(__file__).parents[2]
        # Without the mark of this run: it ends by itself, after what it has started.
        unmarked = {name: value for name, value in os.environ.items() if name != leftovers.MARK}
        self._process = subprocess.Popen(
            command, cwd=folder, env=unmarked, pass_fds=[theirs.fileno()], start_new_session=True
        )
        theirs.close()

    @classmethod
    def get(cls) -> "_Client":
        if (
            cls._only is None
            or cls._only._pid_of_owner != os.getpid()
            or cls._only._process.poll() is not None
        ):
            cls._only = cls()
        return cls._only

    def start(self, command: Sequence[str], cwd: str, env: Mapping[str, str], files: Sequence[int]) -> Forked:
        wanted = {"command": list(command), "forks": can_fork(command, env), "cwd": cwd, "env": dict(env)}
        body = json.dumps(wanted).encode()
        with self._lock:
            socket.send_fds(self._socket, [LENGTH.pack(len(body))], list(files))
            self._socket.sendall(body)
            while (pid := self._read().get("started")) is None:
                pass
            self._ended.pop(pid, None)  # its number was another one's before
        return Forked(self, pid)

    def exit_code(self, pid: int) -> int | None:
        self.wait_for_news(0)
        return self._ended.get(pid)

    def wait_for_news(self, seconds: float) -> None:
        """Take what the preloaded process has to say, if it says something in time."""
        with self._lock:
            while select.select([self._socket], [], [], seconds)[0]:
                self._read()
                seconds = 0

    def _read(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(
            _receive(self._socket, LENGTH.unpack(_receive(self._socket, 4))[0])
        )
        if "ended" in message:
            self._ended[message["ended"]] = message["code"]
        return message


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError("the preloaded process is gone")
        data += part
    return data


def _say(connection: socket.socket, **message: Any) -> None:
    body = json.dumps(message).encode()
    connection.sendall(LENGTH.pack(len(body)) + body)


def _serve(connection: socket.socket) -> None:
    """Fork what is asked for, and tell what has ended, until the tests are gone."""
    for name in PRELOADED:
        __import__(name)
    gc.freeze()  # a fork looks for garbage in its own objects only
    waking, wake = socket.socketpair()
    waking.setblocking(False)
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    running: set[int] = set()
    with suppress(OSError, EOFError):  # the tests were gone when they were to be told something
        _answer(connection, waking, wake, running)
    _end(running)


def _answer(connection: socket.socket, waking: socket.socket, wake: socket.socket, running: set[int]) -> None:
    while True:
        ready, _, _ = select.select([connection, waking], [], [])
        if waking in ready:
            waking.recv(4096)
            _tell_ends(connection, running)
        if connection in ready:
            head, files, _, _ = socket.recv_fds(connection, LENGTH.size, 3)
            if not head:  # the tests have ended, or were killed
                return
            wanted = json.loads(_receive(connection, LENGTH.unpack(head)[0]))
            is_leader, becomes_leader = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.setsid()
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for own in (connection, waking, wake):
                    own.close()
                os.close(is_leader)
                os.close(becomes_leader)
                _become(wanted, files)
            os.close(becomes_leader)
            running.add(pid)
            os.read(is_leader, 1)  # its end: before that, there is no group that a test could kill
            os.close(is_leader)
            for file in files:
                os.close(file)
            _say(connection, started=pid)


def _end(running: set[int]) -> None:
    """End all groups of processes: once so that they can clean up, and then for good."""
    patient_until = time.monotonic() + leftovers.TERM_SECONDS
    _signal(running, signal.SIGTERM)
    while running and time.monotonic() < patient_until:
        running -= {pid for pid in running if os.waitpid(pid, os.WNOHANG)[0]}
        time.sleep(0.05)
    _signal(running, signal.SIGKILL)


def _signal(groups: set[int], signum: signal.Signals) -> None:
    for pid in groups:
        with suppress(ProcessLookupError):
            os.killpg(pid, signum)


def _tell_ends(connection: socket.socket, running: set[int]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        running.discard(pid)
        _say(connection, ended=pid, code=os.waitstatus_to_exitcode(status))


def _become(wanted: dict[str, Any], files: Sequence[int]) -> None:
    """Run the module in this process, and end it as the interpreter would."""
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        for file in files:
            os.close(file)
        os.chdir(wanted["cwd"])
        if not wanted["forks"]:
            for signum in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
                signal.signal(signum, signal.SIG_DFL)
            os.execvpe(wanted["command"][0], wanted["command"], wanted["env"])
        os.environ.clear()
        os.environ.update(wanted["env"])
        added = [path for path in wanted["env"].get("PYTHONPATH", "").split(os.pathsep) if path]
        sys.path[:] = [wanted["cwd"], *added, *(path for path in sys.path[1:] if path not in added)]
        module, *arguments = wanted["command"][2:]
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as exit_:
        if isinstance(exit_.code, str):
            print(exit_.code, file=sys.stderr)
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except BaseException:  # noqa: BLE001 (printed, as the interpreter does)
        traceback.print_exc()
    finally:
        _finish(code)


def _finish(code: int) -> None:
    """What the interpreter does at its end, without going back into the loop that forked it."""
    import atexit

    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code & 0xFF)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
