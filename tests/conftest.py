"""Fixtures of every layer. A test that needs a Redis gets one of its own, never one that is already there."""

import os
import signal
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from contentworker import config
from tests.support import prefer_embedded_redis

pytest_plugins = ["contentworker.testing.plugin"]

TEST_SECONDS = 35 * 60
"""A test that takes longer hangs. Celery's suite takes up to 25 minutes, and then runs in part again."""
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


@pytest.hookimpl(trylast=True)  # pytest makes its terminal reporter in this hook
def pytest_configure(config: pytest.Config) -> None:
    """Show how far the run is."""
    if not hasattr(config, "workerinput"):  # in the controller of pytest-xdist only
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
