"""Fixtures of every layer. A test that needs a Redis gets one of its own, never one that is already there."""

import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from tests.support import Process, StartWorker, Worker, client_of, throwaway_redis

LOG_LINES_SHOWN = 80

# Under nohup the one is ignored, in the processes of pytest-xdist the other, and all that the tests start
# would inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a throw-away Redis that the tests of one module share."""
    with throwaway_redis(tmp_path_factory.mktemp("redis")) as address:
        yield address


@pytest.fixture(scope="module")
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """A plain connection to it."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(scope="module")
def client(redis_url: str) -> Iterator[Celery]:
    """An application that sends tasks to it."""
    with client_of(redis_url) as app:
        yield app


@pytest.fixture
def worker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartWorker]:
    """Start a worker, wait until it is ready, and kill what is left of it in the end.

    `worker("--queues=rewrite", WORKER__…="…")`; `redis_url` and `app` name another server or application,
    `ready=False` does not wait.
    """
    yield from _workers(request, tmp_path)


@pytest.fixture(scope="module")
def module_worker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartWorker]:
    """The same for a worker that the tests of one module share."""
    yield from _workers(request, tmp_path_factory.mktemp("workers"))


def _workers(request: pytest.FixtureRequest, folder: Path) -> Iterator[StartWorker]:
    started: list[Worker] = []
    numbers = itertools.count()

    def start(*options: str, redis_url: str | None = None, ready: bool = True, **more: str) -> Worker:
        address = redis_url or request.getfixturevalue("redis_url")
        started.append(Worker(address, folder / f"worker{next(numbers)}", *options, **more))
        return started[-1].ready() if ready else started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the end of every running process's log beside a failure."""
    report = yield
    if report.failed:
        for process in Process.running:
            lines = process.log_file.read_text("utf-8", "replace").splitlines()[-LOG_LINES_SHOWN:]
            report.sections.append((f"log of {process.log_file.parent.name}", "\n".join(lines)))
    return report
