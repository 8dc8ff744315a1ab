"""What the tests share: real processes, started with a log and never left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, ClassVar, NoReturn, TypeVar

import pytest
import redis
from celery import Celery

from contentworker import config
from contentworker.runtime.development import local_redis
from contentworker.runtime.transport.protocol import DELAYED, held_key
from contentworker.runtime.worker import application
from tests import preloaded

Value = TypeVar("Value")

ROOT = config.ROOT
MACHINERY_TOML = ROOT / "tests" / "worker.toml"
"""In a project that `nox -s adopt` made: what the machinery's tests read, whatever queues you have."""
if MACHINERY_TOML.exists():
    os.environ[config.FILE_VARIABLE] = str(MACHINERY_TOML)
WORKER_TOML = Path(os.environ.get(config.FILE_VARIABLE, ROOT / "worker.toml"))
"""What the processes of these tests read."""
PROBE_APP = "probe_worker.celery_app"
PROBE_FOLDER = Path(__file__).parent / "integration" / "probe"

PATIENCE = 180
"""Seconds until a condition counts as never coming true, on a machine with too much to do."""

SOON = {
    "WORKER__RETRIES__INITIAL_DELAY_SECONDS": "0.01",
    "WORKER__RETRIES__MAX_DELAY_SECONDS": "0.02",
    "WORKER__RETRIES__JITTER_SECONDS": "0.01",
}
"""Retries that come within hundredths of a second."""


def wait_until(condition: Callable[[], Value | None], what: str) -> Value:
    """Wait for a condition to be true of something, and return that."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)
    return found


def as_bytes(value: object) -> bytes:
    """A value of Redis, as our clients read it; redis-py says that others may read text."""
    assert isinstance(value, bytes)
    return value


def environment(**more: str) -> dict[str, str]:
    """The environment of a child process: no Redis and no overrides but those given."""
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(config.ENVIRONMENT_PREFIX)
    }
    own.pop("REDIS_URL", None)
    return {**own, "PYTHONUNBUFFERED": "1", **more}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def json_with_comments(path: Path) -> Any:
    """What a file of VS Code's says: JSON, and lines that are comments."""
    lines = path.read_text("utf-8").splitlines()
    return json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))


def service_is_missing(reason: object) -> NoReturn:
    """Skip the test on a person's machine; fail it where skipping would hide that nothing was tested."""
    if os.environ.get("CI"):
        pytest.fail(f"needed in CI: {reason}", pytrace=False)
    pytest.skip(str(reason))


def prefer_embedded_redis() -> None:
    """Put the embedded server first on PATH, for this process and whatever it starts.

    `.ci/run` asks for it: the machine may have a Redis, which the tests would prefer.
    """
    folder = Path(sys.prefix) / "embedded-redis"
    folder.mkdir(exist_ok=True)
    link = folder / "redis-server"
    with suppress(FileExistsError):  # other processes of the tests do the same
        link.symlink_to(local_redis.find_executable(""))
    os.environ["PATH"] = os.pathsep.join([str(folder), os.environ.get("PATH", "")])


@contextmanager
def throwaway_redis(folder: Path, *, durable: bool = False) -> Iterator[str]:
    """The address of a server of this test's own."""
    with _or_skip(), local_redis.throwaway(folder, durable=durable) as address:
        yield address


@contextmanager
def _or_skip() -> Iterator[None]:
    try:
        yield
    except local_redis.LocalRedisError as error:
        service_is_missing(error)


@contextmanager
def client_of(redis_url: str, **settings: str) -> Iterator[Celery]:
    """An application that can send any task, closed in the end."""
    app = application.build(config.load(environ=settings), redis_url)
    try:
        yield app
    finally:
        app.backend.result_consumer.stop()
        app.backend.result_consumer._pubsub = None  # a result let go of later would ask a server that is gone
        app.backend.client.close()
        app.backend.client.connection_pool.disconnect()
        app.close()


def _start(
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
    """A child process in a session of its own, its output in a file. `stop()` leaves nobody of it."""

    running: ClassVar[list["Process"]] = []  # so that a failed test can show their logs

    def __init__(self, command: list[str], folder: Path, env: Mapping[str, str], cwd: Path = ROOT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.command, self.folder, self.cwd = command, folder, cwd
        self.log_file = folder / "log"
        self.env = dict(env)
        if cwd != ROOT:  # a copy of the project has a worker.toml of its own
            self.env.pop(config.FILE_VARIABLE, None)
        self.start()

    def start(self) -> None:
        """Run the command; a second time, too, after it ended."""
        with self.log_file.open("ab") as log, Path(os.devnull).open("rb") as nothing:
            self._from = log.tell()
            self._popen = _start(self.command, self.cwd, self.env, (nothing, log, log))
        if self not in self.running:
            self.running.append(self)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def log(self) -> str:
        """What it wrote since it was last started."""
        return self.log_file.read_bytes()[self._from :].decode("utf-8", "replace")

    def wait_for_log(self, text: str) -> None:
        wait_until(lambda: text in self.log() or not self.is_alive, f"{text!r} in {self.log_file}")
        assert text in self.log(), f"ended without {text!r}:\n{self.log()}"

    def kill(self, signum: signal.Signals = signal.SIGTERM, *, group: bool = False) -> None:
        """Signal the main process, or everybody it started as well."""
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
        path = os.pathsep.join([str(ROOT), str(PROBE_FOLDER)])
        super().__init__(command, folder, environment(**{"REDIS_URL": redis_url, "PYTHONPATH": path, **env}))

    def ready(self) -> "Worker":
        """Wait until it serves its queues."""
        self.wait_for_log(" ready.")
        return self


class Server(Process):
    """A server of ours: a command of `python -m contentworker`, on a free port."""

    def __init__(self, name: str, redis_url: str, folder: Path, *options: str, **env: str) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "contentworker", name, "--port", str(self.port), *options]
        super().__init__(command, folder, environment(REDIS_URL=redis_url, **env))
        wait_until(self._listens, f"{name} to listen")

    def _listens(self) -> bool:
        assert self.is_alive, self.log()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class RedisProcess(Process):
    """A Redis that can be killed and started again on its port."""

    def __init__(self, folder: Path, *, port: int | None = None, durable: bool = False, **more: str) -> None:
        with _or_skip():
            executable = local_redis.find_executable(os.environ.get("PATH", ""))
        self.port = port or free_port()
        persistence = (
            ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
        )
        command = [executable, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", *persistence]
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        super().__init__(command, folder, {**os.environ, **more}, cwd=data)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def ready(self) -> "RedisProcess":
        self.wait_for_log("Ready to accept connections")
        return self

    def crash(self) -> None:
        """Die at once, as of a power cut."""
        self.kill(signal.SIGKILL)
        self.wait()


StartWorker = Callable[..., Worker]


def run_cli(*arguments: str, redis_url: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m contentworker …` to its end."""
    given = {"REDIS_URL": redis_url} if redis_url else {}
    command = [sys.executable, "-m", "contentworker", *arguments]
    with TemporaryFile() as out, TemporaryFile() as error, Path(os.devnull).open("rb") as nothing:
        process = _start(command, ROOT, environment(**given, **env), (nothing, out, error))
        try:
            code = process.wait(PATIENCE * 2)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        texts = [_text_of(file) for file in (out, error)]
    return subprocess.CompletedProcess(command, code, *texts)


def _text_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def waiting_messages(client: redis.Redis) -> list[dict[str, Any]]:
    """Messages that are in no queue and not acknowledged: held by a worker, or delayed."""
    plain = [json.loads(value)[0] for value in client.hvals("unacked")]
    records: list[Any] = [*client.zrange(DELAYED, 0, -1), *held_records(client)]
    return plain + [json.loads(value.split(b"\n", 3)[3]) for value in records]


def held_records(client: redis.Redis) -> list[bytes]:
    """What workers hold, as it is: a message may be no JSON."""
    held: list[Any] = []
    for key in client.scan_iter(match=held_key("*")):
        held += [value for tag, value in client.hgetall(key).items() if tag[:1].isdigit()]
    return held


def everything(client: redis.Redis) -> str:
    """Every key and value, as text."""
    readers: dict[Any, Callable[[Any], Any]] = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"stream": client.xrange,
        b"none": lambda key: None,  # gone since it was listed
    }
    return "\n".join(f"{key!r} {readers[client.type(key)](key)!r}" for key in client.keys("*"))


def executions(folder: Path) -> list[dict[str, Any]]:
    """What the probe tasks noted, in order."""
    path = folder / "executions"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
