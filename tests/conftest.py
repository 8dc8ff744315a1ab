"""Fixtures of every layer. A test that needs a Redis gets one of its own, never one that is already there."""

import itertools
import os
import signal
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from contentworker import config
from tests import leftovers
from tests.support import (
    Process,
    StartWorker,
    Worker,
    client_of,
    prefer_embedded_redis,
    throwaway_redis,
)

LOG_LINES_SHOWN = 80
TEST_SECONDS = 25 * 60
"""A test that takes longer hangs; the slowest takes nine minutes on an idle machine."""
LONGEST = (
    "tests/acceptance/systemd/",
    "tests/upstream/",
    "tests/acceptance/test_adoption.py",
    "tests/acceptance/test_devcontainer.py",
    "tests/acceptance/test_autoreload.py",
    "tests/acceptance/test_doctor.py",
    "tests/acceptance/test_newcomer.py",
    "tests/acceptance/test_chaos.py",
    "tests/integration/editorial/test_pipeline.py",  # editorial
    "tests/acceptance/",
    "tests/integration/installer/",
)
"""What takes minutes, longest first: a file that is started last would run alone in the end. The chaos runs
come after the suites of Celery and kombu: both start a dozen workers."""
MACHINE_FOLDER = "tests/acceptance/systemd/"
"""Its files share a machine that is installed once."""

# Under nohup the one is ignored, in the processes of pytest-xdist the other: all that the tests start would
# inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

OWN_TESTS = [Path(__file__).parent / name for name in ("tasks", "acceptance/systemd")]
"""In a project that `nox -s adopt` made, these see its own worker.toml."""
if os.environ.get("TESTS_REDIS") == "embedded":
    prefer_embedded_redis()


@pytest.fixture(scope="module", autouse=True)
def worker_toml(request: pytest.FixtureRequest) -> Iterator[None]:
    """Show the project's own worker.toml to the tests of OWN_TESTS, and to what they start."""
    if not any(request.path.is_relative_to(each) for each in OWN_TESTS):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(config.FILE_VARIABLE, raising=False)
        yield


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


@pytest.hookimpl(trylast=True)  # pytest makes its terminal reporter in this hook
def pytest_configure(config: pytest.Config) -> None:
    """Leave no process behind, whatever ends this run."""
    if not hasattr(config, "workerinput"):  # the processes of pytest-xdist belong to their controller's run
        leftovers.watch()
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        assert isinstance(terminal, pytest.TerminalReporter)
        config.pluginmanager.register(Progress(terminal))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the fast layer first, so that a broken line shows soon, then the files that take longest."""
    for item in items:
        if item.nodeid.startswith("tests/unit/"):
            item.add_marker(pytest.mark.every_python)
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    if item.nodeid.startswith("tests/unit/"):
        return -1
    return next(
        (number for number, start in enumerate(LONGEST) if item.nodeid.startswith(start)), len(LONGEST)
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test that hangs fail, instead of everything that would come after it."""
    if not hasattr(signal, "SIGALRM"):  # Windows
        return (yield)

    def give_up(*_: object) -> None:
        pytest.fail(f"{item.nodeid} takes more than {TEST_SECONDS / 60:.0f} minutes")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(TEST_SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Progress:
    """Names the layer that runs, when it began, and each failure as soon as it is there."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal
        self._layers: set[str] = set()
        self._began = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        layer = "/".join(report.nodeid.split("/")[:2])
        if layer not in self._layers:
            self._layers.add(layer)
            self._terminal.write_line(f"\n{layer} (after {self._minutes:.1f} minutes)")
        if report.failed:
            reason = getattr(report.longrepr, "reprcrash", None)
            message = reason.message.splitlines()[0] if reason and reason.message else ""
            line = f"\nFAILED {report.nodeid} ({self._minutes:.1f} minutes) - {message}"
            self._terminal.write_line(line, red=True)

    @property
    def _minutes(self) -> float:
        return (time.monotonic() - self._began) / 60


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run the tests of a file in one process, and those of a folder that shares a machine."""
    from xdist.scheduler import LoadFileScheduling

    class ByFileOrMachine(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return MACHINE_FOLDER if nodeid.startswith(MACHINE_FOLDER) else super()._split_scope(nodeid)

    return ByFileOrMachine(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of every running process's log beside a failure."""
    report = yield
    if report.failed:
        for process in Process.running:
            lines = process.log_file.read_text("utf-8", "replace").splitlines()[-LOG_LINES_SHOWN:]
            report.sections.append((f"log of {process.log_file.parent.name}", "\n".join(lines)))
    return report
