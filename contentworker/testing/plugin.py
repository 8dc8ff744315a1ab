"""The pytest plugin for tests of tasks: `pytest_plugins = ["contentworker.testing.plugin"]` in a conftest.py.

You name it there, as this is no installed package that could announce it to pytest; and `-p` in a
configuration file is loaded before pytest has the project's folder on its path. Celery is imported when a
test asks for one of the fixtures.
"""

import itertools
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from contentworker.testing import leftovers

if TYPE_CHECKING:
    import redis
    from celery import Celery

    from contentworker.testing.inline import Inline
    from contentworker.testing.processes import StartWorker

LOG_LINES_SHOWN = 80


@pytest.fixture
def inline() -> "Iterator[Inline]":
    """Run what this test sends in its own process, without Redis; see what was sent, and what failed."""
    from contentworker.testing import inline

    with inline.entered() as tasks:
        yield tasks


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a throw-away Redis that the tests of one module share."""
    from contentworker.testing import processes

    with processes.throwaway_redis(tmp_path_factory.mktemp("redis")) as address:
        yield address


@pytest.fixture(scope="module")
def redis_client(redis_url: str) -> "Iterator[redis.Redis]":
    """A plain connection to it."""
    import redis

    from contentworker.testing.processes import PATIENCE

    # redis-py gives up after five seconds, but on a busy machine a server may need longer.
    with redis.Redis.from_url(redis_url, socket_timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="module")
def client(redis_url: str) -> "Iterator[Celery]":
    """An application that sends tasks to it."""
    from contentworker.testing import processes

    with processes.client_of(redis_url) as app:
        yield app


@pytest.fixture
def worker(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[StartWorker]":
    """Start a worker, wait until it is ready, and kill what is left of it at the end.

    `worker("--queues=invoices", WORKER__…="…")` takes the options of `celery worker`, and settings;
    `redis_url` and `app` name another server or application, `ready=False` does not wait.
    """
    yield from _workers(request, tmp_path)


@pytest.fixture(scope="module")
def module_worker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[StartWorker]":
    """The same for a worker that the tests of one module share."""
    yield from _workers(request, tmp_path_factory.mktemp("workers"))


def _workers(request: pytest.FixtureRequest, folder: Path) -> "Iterator[StartWorker]":
    from contentworker.testing.processes import Worker

    started: list[Worker] = []
    numbers = itertools.count()

    def start(*options: str, redis_url: str | None = None, ready: bool = True, **more: str) -> Worker:
        address = redis_url or request.getfixturevalue("redis_url")
        started.append(Worker(address, folder / f"worker{next(numbers)}", *options, **more))
        return started[-1].ready() if ready else started[-1]

    yield start
    for each in started:
        each.stop()


def pytest_configure(config: pytest.Config) -> None:
    """Leave no process behind, whatever ends this run."""
    if not hasattr(config, "workerinput"):  # the processes of pytest-xdist belong to their controller's run
        leftovers.watch()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of every running process's log beside a failure."""
    report = yield
    processes = sys.modules.get("contentworker.testing.processes")
    if report.failed and processes:
        for process in processes.Process.running:
            lines = process.log_file.read_text("utf-8", "replace").splitlines()[-LOG_LINES_SHOWN:]
            report.sections.append((f"log of {process.log_file.parent.name}", "\n".join(lines)))
    return report
