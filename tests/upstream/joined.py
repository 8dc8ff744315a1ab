"""A pytest plug-in for Celery's and kombu's own suites: it runs them on this project's transport.

`-p joined`, with in the environment
- `JOIN`: `nothing` (to see what a suite does without us), `transport` (the transport alone) or `runtime`
  (also Celery's configuration as we make it);
- `JOIN_PART`: `0/2` is every other test, `1/2` are the rest: the long ones are beside each other;
- `JOIN_REPORT`: a file for one line of JSON about each step of a test.
"""

import inspect
import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing import app as testing_app
from celery.contrib.testing import worker as testing_worker
from celery.contrib.testing.manager import ManagerMixin

from contentworker.runtime import transport

TEST_SECONDS = 600
"""Longest that one test may take; the slowest waits for 290 s that something does not happen."""
ANSWER_SECONDS = 60
"""Until a worker has answered; Celery's 10 s, and 1 s after a test, are too short for a busy machine."""
PROJECT_KEYS = (
    # The project's tasks and queues are not the suite's.
    *("task_queues", "task_default_queue", "task_create_missing_queues", "task_routes"),
    *("beat_schedule", "beat_scheduler", "worker_max_tasks_per_child"),
    # The suite also tests pickle.
    *("task_serializer", "result_serializer", "accept_content", "result_accept_content"),
)
"""Keys of our configuration that say what this project is, rather than how it runs Celery."""


def pytest_configure(config: pytest.Config) -> None:
    # Those of plug-ins that the suites use and do not need.
    for marker in ("env", "flaky", "replace_app", "timeout"):
        config.addinivalue_line("markers", marker)
    _be_patient()
    if os.environ["JOIN"] != "nothing":
        transport.register("leased")
    if os.environ["JOIN"] == "runtime":
        _take_our_configuration()


def _be_patient() -> None:
    """Wait longer for a worker's first answer, and after each test no longer than for the only worker's."""
    start = inspect.unwrap(testing_worker.start_worker)
    names = list(inspect.signature(start).parameters)
    defaults = list(start.__defaults__ or ())
    defaults[names.index("ping_task_timeout") - len(names)] = ANSWER_SECONDS
    start.__defaults__ = tuple(defaults)

    wait = ManagerMixin.wait_until_idle

    def wait_until_idle(self: Any) -> None:
        control = self.app.control
        ask = control.inspect
        control.inspect = partial(ask, limit=1, timeout=ANSWER_SECONDS)
        try:
            wait(self)
        finally:
            control.inspect = ask

    ManagerMixin.wait_until_idle = wait_until_idle


def _take_our_configuration() -> None:
    # Imported here, as this connects to Celery's signals, for logs and hidden arguments.
    from contentworker import config as our_config
    from contentworker.runtime.records import connections
    from contentworker.runtime.worker import application

    settings = our_config.load(environ={})
    address = os.environ["TEST_BROKER"]
    ours = application.celery_configuration(settings, address)
    testing_app.DEFAULT_TEST_CONFIG.update({key: ours[key] for key in ours.keys() - set(PROJECT_KEYS)})
    Celery.runtime_settings = settings
    Celery.connect_redis = staticmethod(partial(connections.connect, address, settings.broker))
    begin = Celery.__init__

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        self.loader.override_backends = application.RESULT_BACKENDS

    Celery.__init__ = init


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        if hasattr(module, "TIMEOUT"):  # of a test's results, on a machine that does nothing else
            module.TIMEOUT *= 2
    part, parts = map(int, os.environ["JOIN_PART"].split("/"))
    items[:] = items[part::parts]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """End a test that hangs."""

    def too_long(*_: Any) -> None:
        raise TimeoutError(f"the test takes longer than {TEST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(TEST_SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # An expected failure counts as skipped, as with pytest.
    line = {"test": report.nodeid, "outcome": report.outcome, "seconds": report.duration}
    if report.failed:
        line["text"] = report.longreprtext
    with Path(os.environ["JOIN_REPORT"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
