"""What becomes of the lines that Celery logs for each task."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from celery import Celery
from celery.app import trace

from contentworker.runtime.logs import task_lines

NAMES = {"name": "tasks.evaluation.score_aeo", "id": "9f3c0000-1"}
RETRY = {**NAMES, "exc": "Retry in 68.37921480895791s: RuntimeError('on request')"}
SUCCESS = {**NAMES, "runtime": 0.06234, "return_value": ", ..."}
FAILURE = {**NAMES, "exc": "RuntimeError('on request')", "description": "raised unexpected"}


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What passes the filters of the loggers that are shaped."""
    names = (task_lines.TASK_EVENTS, task_lines.RECEIVED)
    with ExitStack() as stack:
        for name in names:
            logger = logging.getLogger(name)
            stack.enter_context(caplog.at_level(logging.INFO, logger=name))
            stack.callback(setattr, logger, "filters", [*logger.filters])
            stack.callback(setattr, logger, "propagate", logger.propagate)
            stack.callback(logger.removeHandler, caplog.handler)
            logger.addHandler(caplog.handler)
            logger.propagate = False
        yield caplog


def log(text: str, data: dict[str, Any], level: int = logging.INFO) -> None:
    logging.getLogger(task_lines.TASK_EVENTS).log(level, text, data, extra={"data": data})


def test_rounded(said: pytest.LogCaptureFixture) -> None:
    """A service's lines keep the whole name and id; a line that is not about an end stays as it is."""
    with Celery(set_as_current=False) as app:
        task_lines.begin(app)
    log(trace.LOG_SUCCESS, SUCCESS)
    log(trace.LOG_RETRY, RETRY)
    log(trace.LOG_FAILURE, FAILURE, logging.ERROR)
    logging.getLogger(task_lines.TASK_EVENTS).info("other")
    logging.getLogger(task_lines.RECEIVED).info("received")
    named = "Task tasks.evaluation.score_aeo[9f3c0000-1]"
    assert [record.getMessage() for record in said.records] == [
        f"{named} succeeded in 62 ms",
        f"{named} retry: Retry in 68 s: RuntimeError('on request')",
        f"{named} raised unexpected: RuntimeError('on request')",
        "other",
        "received",
    ]


def test_short(said: pytest.LogCaptureFixture) -> None:
    """In development an end is one short line, an expected error is an error, and a message is none."""
    with Celery(set_as_current=False) as app:
        app.development = True
        task_lines.begin(app)
    log(trace.LOG_SUCCESS, SUCCESS)
    log(trace.LOG_RETRY, RETRY)
    log(trace.LOG_FAILURE, {**FAILURE, "description": "raised expected"})
    logging.getLogger(task_lines.RECEIVED).info("received")
    assert [(record.levelname, record.getMessage()) for record in said.records] == [
        ("INFO", "score_aeo[9f3c] ok in 62 ms"),
        ("ERROR", "score_aeo[9f3c] failed: RuntimeError('on request')"),
    ]


def test_own_frames_first() -> None:
    """Frames of Celery and of the runtime before the task's are left out; if it has none, all are shown."""

    def caller(module: str) -> Any:
        names: dict[str, Any] = {"__name__": module}
        exec("def call(function): function()", names)
        return names["call"]

    def task() -> None:
        caller("celery.canvas")(None)

    celery, runtime = caller("celery.app.trace"), caller("contentworker.runtime.worker.arguments")

    def frames(function: Any) -> list[str]:
        try:
            celery(lambda: runtime(function)) if function else celery(None)
        except TypeError as error:
            of_celery = error.__traceback__.tb_next
            return [frame.name for frame in traceback.extract_tb(task_lines.own_frames(of_celery))]
        raise AssertionError

    assert frames(task) == ["<lambda>", "call", "task", "call"]
    assert frames(None) == ["call"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.000213, "0.21 ms"),
        (0.0099, "9.9 ms"),
        (0.00996, "10 ms"),
        (0.0623, "62 ms"),
        (0.0996, "100 ms"),
        (0.8328, "0.83 s"),
        (0.996, "1 s"),
        (8.31, "8.3 s"),
        (9.96, "10 s"),
        (68.379, "68 s"),
        (600.0, "600 s"),
        (0.0, "0 ms"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert task_lines.duration(seconds) == shown
