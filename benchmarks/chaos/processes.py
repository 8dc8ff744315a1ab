"""Processes that are started, faulted, started again, and never left behind."""

import ctypes
import os
import re
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, ClassVar, TypeVar

from contentworker.testing import preloaded

__all__ = ["ROOT", "ChaosError", "Process", "Worker", "Workers", "adopt_orphans", "free_port", "wait_until"]

Value = TypeVar("Value")

ROOT = Path(__file__).resolve().parents[2]
REPEATS = re.compile(r"the lease ended meanwhile, and (\d+) running tasks? starts? again")


class ChaosError(Exception):
    """The harness could not do what it should; the figures would mean nothing."""


def wait_until(condition: Callable[[], Value], what: str, seconds: float = 240) -> Value:
    """Wait for a condition to be true of something, and return that.

    Raises:
        ChaosError: it was not after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise ChaosError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.02)
    return found


def adopt_orphans() -> None:
    """Become the parent of those whose parent is killed, to reap them: not every container's init does."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def end_group(group: int) -> None:
    """Kill what is left of a process group, and reap those that are ours. The leader must be reaped."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    with suppress(ChildProcessError):
        while os.waitpid(-group, 0)[0]:
            pass


def free_port() -> int:
    """A free port that systems give to no program: it is still free when a killed server comes back."""
    while True:
        port = secrets.choice(range(10_240, 32_768))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Process:
    """A command in a session of its own, with its output in a file."""

    forks: ClassVar[bool] = False
    """Whether a worker is forked from a process that has imported its modules: cheaper, for `run --fork`."""

    def __init__(self, command: Sequence[str], log_file: Path, env: Mapping[str, str], cwd: Path) -> None:
        self.command, self.log_file, self.env, self.cwd = list(command), log_file, dict(env), cwd
        self._popen: subprocess.Popen[bytes] | preloaded.Forked | None = None
        self._from = 0

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self._from = log.tell()
            self._popen = self._fork(log) if self.forks else self._spawn(log)

    def _fork(self, log: BinaryIO) -> preloaded.Forked:
        with Path(os.devnull).open("rb") as nothing:
            files = [nothing.fileno(), log.fileno(), log.fileno()]
            return preloaded.start(self.command, str(self.cwd), self.env, files)

    def _spawn(self, log: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command,
            cwd=self.cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        assert self._popen
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def said(self, text: str) -> bool:
        """Whether it wrote this since it was last started."""
        with self.log_file.open("rb") as log:
            log.seek(self._from)
            return text.encode() in log.read()

    def signal(self, signum: signal.Signals, *, group: bool = False) -> None:
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, signum)

    def stop(self) -> None:
        """Kill it and everybody it started."""
        if self._popen:
            self.signal(signal.SIGKILL, group=True)
            self._popen.wait()
            end_group(self.pid)


class Worker(Process):
    """One worker. Its group outlives it where its children do: `stop()` ends former ones, too."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, env: Mapping[str, str], cwd: Path
    ) -> None:
        super().__init__(command, folder / f"{name}.log", env, cwd)
        self.name = name
        self.former: list[int] = []
        self.more_env: dict[str, str] = {}
        """For its next start."""
        self.ready_text = " ready."
        self._ready = False

    def start(self) -> None:
        if self._popen:
            self.former.append(self.pid)
        self._ready = False
        first, self.env = self.env, {**self.env, **self.more_env}
        try:
            super().start()
        finally:
            self.env = first

    @property
    def is_ready(self) -> bool:
        self._ready = self._ready or self.said(self.ready_text)
        return self._ready and self.is_alive

    def stop(self) -> None:
        super().stop()
        for group in self.former:
            end_group(group)


class Workers:
    """All workers of a run. One that dies is started again at once, as by systemd."""

    def __init__(self, workers: Sequence[Worker], ready: str = " ready.") -> None:
        self.all = list(workers)
        for each in self.all:
            each.ready_text = ready
        self.deaths = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look_after, daemon=True)

    def start(self, seconds: float = 240) -> None:
        """Start all, and wait until they are ready."""
        for each in self.all:
            each.start()
        self._thread.start()
        wait_until(lambda: all(each.is_ready for each in self.all), "every worker is ready", seconds)

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        for each in self.all:
            each.stop()

    def log_lines(self, text: str) -> int:
        """How many lines of the logs contain this, in any case."""
        logs = (each.log_file for each in self.all if each.log_file.exists())
        lines = (line for log in logs for line in log.read_text("utf-8", "replace").splitlines())
        return sum(text in line.lower() for line in lines)

    def announced_repeats(self) -> int:
        """How many tasks the workers said start again, because Redis was away for longer than their lease."""
        logs = (each.log_file.read_text("utf-8", "replace") for each in self.all if each.log_file.exists())
        return sum(int(number) for log in logs for number in REPEATS.findall(log))

    def _look_after(self) -> None:
        while not self._stopping.wait(0.05):
            for each in self.all:
                if not each.is_alive:
                    self.deaths += 1
                    each.start()
