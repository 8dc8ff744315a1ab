"""What the tests of workers share beside the fixtures of all."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.notify_socket import Systemd
from tests.support import RedisProcess


@pytest.fixture
def systemd() -> Iterator[Callable[[], Systemd]]:
    """Return a function that makes a socket, by turns one in the file system and an abstract one."""
    folder = Path(tempfile.mkdtemp())  # a socket's path must be short
    made: list[Systemd] = []

    def make() -> Systemd:
        number = len(made)
        name = f"@{folder.name}-{number}" if number % 2 else str(folder / str(number))
        made.append(Systemd(name))
        return made[-1]

    yield make
    for each in made:
        each.close()
    shutil.rmtree(folder)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis of the test's own, to be stopped or killed; it keeps what it is told through a crash."""
    process = RedisProcess(tmp_path / "redis", durable=True)
    yield process.ready()
    process.stop()


@pytest.fixture
def clean(redis_client: redis.Redis) -> None:
    """An empty Redis: for `usefixtures` of a module whose tests share one."""
    redis_client.flushall()
