"""Real processes for tests, each with its log in a file and never left behind, and a Redis for them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, ClassVar, NoReturn, TypeVar

import pytest
from celery import Celery

from contentworker import config
from contentworker.runtime.development import local_redis
from contentworker.runtime.worker import application
from contentworker.testing import preloaded

__all__ = [
    "PATIENCE",
    "Process",
    "StartWorker",
    "Worker",
    "client_of",
    "environment",
    "redis_or_skip",
    "service_is_missing",
    "start",
    "throwaway_redis",
    "wait_until",
]

Value = TypeVar("Value")

PATIENCE = 180
"""Seconds until a condition counts as never coming true, on a machine with too much to do."""
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.01, 0.5
"""Between two looks at a condition."""


def wait_until(condition: Callable[[], Value | None], what: str) -> Value:
    """Wait for a condition to be true of something, and return that.

    What takes long to look at, as it starts a program, is looked at less often: other tests need the
    processors meanwhile.
    """
    began = time.monotonic()
    deadline = began + PATIENCE
    while not (found := condition()):
        looked = time.monotonic()
        if looked > deadline:
            pytest.fail(f"waited in vain: {what}")
        time.sleep(min(max(SHORTEST_PAUSE_SECONDS, 4 * (looked - began)), LONGEST_PAUSE_SECONDS))
        began = time.monotonic()
    return found


def environment(**more: str) -> dict[str, str]:
    """The environment of a child process: no Redis and no overrides but those given."""
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(config.ENVIRONMENT_PREFIX)
    }
    own.pop("REDIS_URL", None)
    return {**own, "PYTHONUNBUFFERED": "1", **more}


def service_is_missing(reason: object) -> NoReturn:
    """Skip the test on a person's machine; fail it where skipping would hide that nothing was tested."""
    if os.environ.get("CI"):
        pytest.fail(f"needed in CI: {reason}", pytrace=False)
    pytest.skip(str(reason))


@contextmanager
def throwaway_redis(folder: Path, *, durable: bool = False) -> Iterator[str]:
    """The address of a server of this test's own."""
    with redis_or_skip(), local_redis.throwaway(folder, durable=durable) as address:
        yield address


@contextmanager
def redis_or_skip() -> Iterator[None]:
    """Skip the test if this machine has no Redis server."""
    try:
        yield
    except local_redis.LocalRedisError as error:
        service_is_missing(error)


@contextmanager
def client_of(redis_url: str, **settings: str) -> Iterator[Celery]:
    """An application that can send any task, closed at the end."""
    app = application.build(config.load(environ=settings), redis_url)
    try:
        yield app
    finally:
        app.backend.result_consumer.stop()
        app.backend.result_consumer._pubsub = None  # a result let go of later would ask a server that is gone
        app.backend.client.close()
        app.backend.client.connection_pool.disconnect()
        app.close()


def start(
    command: list[str], cwd: Path, env: Mapping[str, str], files: Sequence[IO[bytes]]
) -> "subprocess.Popen[bytes] | preloaded.Forked":
    """Start a program in a session of its own, with these files as its stdin, stdout and stderr."""
    if sys.platform == "linux":
        return preloaded.start(command, str(cwd), env, [file.fileno() for file in files])
    stdin, stdout, stderr = files
    return subprocess.Popen(
        command, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
    )


class Process:
    """A child process in a session of its own, its output in a file. `stop()` kills all of its processes."""

    running: ClassVar[list["Process"]] = []  # so that a failed test can show their logs

    def __init__(
        self, command: list[str], folder: Path, env: Mapping[str, str], cwd: Path = config.ROOT
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.command, self.folder, self.cwd = command, folder, cwd
        self.log_file = folder / "log"
        self.env = dict(env)
        if cwd != config.ROOT:  # a copy of the project has a worker.toml of its own
            self.env.pop(config.FILE_VARIABLE, None)
        self.start()

    def start(self) -> None:
        """Run the command; a second time, too, after it ended."""
        with self.log_file.open("ab") as log, Path(os.devnull).open("rb") as nothing:
            self._from = log.tell()
            self._popen = start(self.command, self.cwd, self.env, (nothing, log, log))
        if self not in self.running:
            self.running.append(self)

    @property
    def pid(self) -> int:
        """Process id of the main process."""
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        """Whether the main process runs."""
        return self._popen.poll() is None

    def log(self) -> str:
        """What it wrote since it was last started."""
        return self.log_file.read_bytes()[self._from :].decode("utf-8", "replace")

    def wait_for_log(self, text: str) -> None:
        """Wait until it has written this; fail the test if it ends without."""
        wait_until(lambda: text in self.log() or not self.is_alive, f"{text!r} in {self.log_file}")
        if text not in self.log():
            pytest.fail(f"ended without {text!r}:\n{self.log()}")

    def kill(self, signum: signal.Signals = signal.SIGTERM, *, group: bool = False) -> None:
        """Signal the main process, or with `group` also the processes that it started."""
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, signum)

    def wait(self) -> int:
        """Return the exit code."""
        return self._popen.wait(PATIENCE)

    def stop(self) -> None:
        """Kill whatever is left."""
        self.kill(signal.SIGKILL, group=True)
        self.wait()
        if self in self.running:
            self.running.remove(self)


class Worker(Process):
    """A worker as people start it: the `celery` command, or after `prefix` that of another program."""

    path: ClassVar[list[Path]] = [config.ROOT]
    """Where its application may be."""

    def __init__(
        self,
        redis_url: str,
        folder: Path,
        *options: str,
        app: str = "celery_worker.celery_app",
        prefix: Sequence[str] = (),
        **env: str,
    ) -> None:
        command = [
            *(
                *prefix,
                sys.executable,
                "-m",
                "celery",
                "-A",
                app,
                "worker",
                "--loglevel=info",
                "--concurrency=2",
            ),
            *("--without-mingle", "--without-gossip"),
            *options,
        ]
        path = os.pathsep.join(map(str, self.path))
        super().__init__(command, folder, environment(**{"REDIS_URL": redis_url, "PYTHONPATH": path, **env}))

    def ready(self) -> "Worker":
        """Wait until it serves its queues."""
        self.wait_for_log(" ready.")
        return self


StartWorker = Callable[..., Worker]
