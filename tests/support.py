"""What the tests share beside the processes of `contentworker.testing`."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

import redis

from contentworker import config
from contentworker.runtime.development import local_redis
from contentworker.runtime.transport.keys import DELAYED, held_key
from contentworker.runtime.transport.protocol import Protocol
from contentworker.testing.processes import (
    PATIENCE,
    Process,
    StartWorker,
    Worker,
    client_of,
    environment,
    redis_or_skip,
    service_is_missing,
    start,
    throwaway_redis,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "PATIENCE",
    "Process",
    "StartWorker",
    "Worker",
    "client_of",
    "environment",
    "service_is_missing",
    "take_from_the_dead",
    "throwaway_redis",
    "wait_until",
]

ROOT = config.ROOT
MACHINERY_TOML = ROOT / "tests" / "worker.toml"
"""In a project that `nox -s adopt` made: what the machinery's tests read, whatever queues you have."""
if MACHINERY_TOML.exists():
    os.environ[config.FILE_VARIABLE] = str(MACHINERY_TOML)
WORKER_TOML = Path(os.environ.get(config.FILE_VARIABLE, ROOT / "worker.toml"))
"""What the processes of these tests read."""
PROBE_APP = "probe_worker.celery_app"
PROBE_FOLDER = Path(__file__).parent / "integration" / "probe"
Worker.path.append(PROBE_FOLDER)

SOON = {
    "WORKER__RETRIES__INITIAL_DELAY_SECONDS": "0.01",
    "WORKER__RETRIES__MAX_DELAY_SECONDS": "0.02",
    "WORKER__RETRIES__JITTER_SECONDS": "0.01",
}
"""Retries that come within hundredths of a second."""


def as_bytes(value: object) -> bytes:
    """A value of Redis, as our clients read it; redis-py says that others may read text."""
    assert isinstance(value, bytes)
    return value


PORTS = range(10_240, 32_768)
"""Below the range from which systems choose a port if a program asks for any."""
_reserved: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody listens on, and that no test in any process gets while this process runs.

    Otherwise another test could take it before the server starts, or while it is down.
    """
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):  # taken
            probe.bind(("127.0.0.1", port))
            if sys.platform == "linux":  # a name that exists as long as the process
                mark = socket.socket(socket.AF_UNIX)
                _reserved.append(mark)
                mark.bind(f"\0contentworker-tests-port-{port}")
            return port


def json_with_comments(path: Path) -> Any:
    """What a file of VS Code's says: JSON, and lines that are comments."""
    lines = path.read_text("utf-8").splitlines()
    return json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))


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
        with redis_or_skip():
            executable = local_redis.find_executable(more.get("PATH", os.environ.get("PATH", "")))
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

    def client(self) -> redis.Redis:
        """A plain connection, for a server that stands still: redis-py itself gives up after five seconds."""
        return redis.Redis.from_url(self.url, socket_timeout=PATIENCE)

    def ready(self) -> "RedisProcess":
        self.wait_for_log("Ready to accept connections")
        return self

    def crash(self) -> None:
        """Die at once, as of a power cut."""
        self.kill(signal.SIGKILL)
        self.wait()


def run_cli(*arguments: str, redis_url: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m contentworker …` to its end."""
    given = {"REDIS_URL": redis_url} if redis_url else {}
    command = [sys.executable, "-m", "contentworker", *arguments]
    with TemporaryFile() as out, TemporaryFile() as error, Path(os.devnull).open("rb") as nothing:
        process = start(command, ROOT, environment(**given, **env), (nothing, out, error))
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


_SNAPSHOT = """
local records = redis.call('ZRANGE', KEYS[2], 0, -1)
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
    local fields = redis.call('HGETALL', key)
    for i = 1, #fields, 2 do
        if string.find(fields[i], '^%d') then table.insert(records, fields[i + 1]) end
    end
end
return {redis.call('LLEN', KEYS[1]), records}
"""
"""In one step: a message that moves between two would be seen nowhere."""


def _snapshot(client: redis.Redis, queue: str) -> Any:
    return client.eval(_SNAPSHOT, 2, queue, DELAYED, held_key("*"))


def waiting_messages(client: redis.Redis) -> list[dict[str, Any]]:
    """Messages that are in no queue and not acknowledged: held by a worker, or delayed."""
    plain = [json.loads(value)[0] for value in client.hvals("unacked")]
    _, records = _snapshot(client, "")
    return plain + [json.loads(value.split(b"\n", 3)[3]) for value in records]


def unsettled(client: redis.Redis, queue: str = "celery") -> int:
    """How many messages are in the queue, held, or delayed."""
    queued, records = _snapshot(client, queue)
    return int(queued) + len(records)


def take_from_the_dead(client: redis.Redis) -> None:
    """Put back the messages of dead holders as another worker does, but without waiting for their leases."""
    protocol = Protocol(client)
    for name, renewals in protocol.beat("", silent_seconds=-1).silent.items():
        protocol.reclaim(name, renewals)


def held_records(client: redis.Redis) -> list[bytes]:
    """What workers hold, as it is: a message may be no JSON."""
    held: list[Any] = []
    for key in client.scan_iter(match=held_key("*")):
        held += [value for tag, value in client.hgetall(key).items() if tag[:1].isdigit()]
    return held


def redis_seconds(client: redis.Redis) -> int:
    """The time, by Redis's clock."""
    now: Any = client.time()
    return int(now[0])


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
