"""Why a failure is final, and how its letter gets written when that fails at first."""

import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import (
    MaxRetriesExceededError,
    SoftTimeLimitExceeded,
    TimeLimitExceeded,
    WorkerLostError,
)
from celery.worker.request import ExceptionInfo
from redis.exceptions import ConnectionError as RedisConnectionError

from contentworker.errors import PermanentError
from contentworker.runtime.transport.validity import Validity
from contentworker.runtime.worker import final_failures
from contentworker.runtime.worker.claims import InterruptedTaskError
from tasks.base import BaseTask, CriticalTask
from tests.support import PATIENCE


class OddError(Exception):
    """An error whose text cannot be read, and whose reason does not exist."""

    dead_letter_reason = "bad luck"

    def __str__(self) -> str:
        raise ValueError


def letter(error: Exception, task: Any = BaseTask, retries: int | None = 0) -> Any:
    try:
        raise error
    except Exception:  # noqa: BLE001 (any that is given)
        failure = ExceptionInfo()
    message = SimpleNamespace(headers={}, delivery_info={"routing_key": "celery"}, properties={}, raw=b"{}")
    request = SimpleNamespace(
        type="a.task",
        id="1",
        hostname="w@h",
        task=task,
        request_dict={"retries": retries},
        message=message,
    )
    return final_failures.letter_of(request, failure)


@pytest.mark.parametrize(
    ("error", "task", "retries", "reason"),
    [
        pytest.param(ValueError("x"), BaseTask, 3, "retries exhausted", id="last-try"),
        pytest.param(ValueError("x"), BaseTask, 4, "retries exhausted", id="beyond-the-last"),
        pytest.param(ValueError("x"), BaseTask, 2, "failed", id="last-but-one"),
        pytest.param(ValueError("x"), BaseTask, None, "failed", id="no-count"),
        pytest.param(ValueError("x"), CriticalTask, 0, "failed", id="never-retried"),
        pytest.param(PermanentError("x"), BaseTask, 3, "failed", id="permanent"),
        pytest.param(MaxRetriesExceededError("x"), CriticalTask, 0, "retries exhausted", id="own-retry"),
        pytest.param(SoftTimeLimitExceeded(), BaseTask, 3, "time limit", id="soft-limit"),
        pytest.param(TimeLimitExceeded(1), BaseTask, 3, "time limit", id="hard-limit"),
        pytest.param(WorkerLostError("x"), BaseTask, 3, "lost process", id="lost"),
        pytest.param(WorkerLostError("x"), CriticalTask, 0, "interrupted", id="claimed-and-lost"),
        pytest.param(InterruptedTaskError("x"), CriticalTask, 0, "interrupted", id="error-says-it"),
        pytest.param(OddError(), BaseTask, 0, "failed", id="no-such-reason"),
    ],
)
def test_reason(error: Exception, task: Any, retries: int | None, reason: str) -> None:
    """Each reason of docs/dead-letters.md that a running task can end with."""
    assert letter(error, task, retries).reason == reason


def test_endless_retries_are_never_exhausted() -> None:
    """`max_retries = None` means that there is always another."""

    class Endless(BaseTask):
        abstract = True
        max_retries = None  # type: ignore[assignment] # as Celery allows

    assert letter(ValueError("x"), Endless, 1000).reason == "failed"


def test_letter_says_what_happened() -> None:
    """Error, type and traceback; a text that cannot be read is no second failure."""
    said = letter(ValueError("two"))
    assert (said.error, said.exception, said.queue) == ("ValueError: two", "builtins.ValueError", "celery")
    assert said.traceback.endswith("ValueError: two\n")
    assert letter(OddError()).error == "OddError: its text cannot be read"


class Writing:
    """What is written and acknowledged, in order; each attempt first raises the next error."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.events: list[str] = []
        self.acknowledged = threading.Event()

    def write(self, unwritten: Any) -> None:
        if self.errors:
            self.events.append("error")
            raise self.errors.pop(0)
        self.events.append("written")

    def acknowledge(self) -> None:
        self.events.append("acknowledged")
        self.acknowledged.set()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(final_failures, "TRY_AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(final_failures, "PAUSE_SECONDS", 0.001)
    yield
    final_failures._unwritten.join()


def keep(writing: Writing, monkeypatch: pytest.MonkeyPatch, properties: Any = None) -> bool:
    monkeypatch.setattr(final_failures, "_write", writing.write)
    message = SimpleNamespace(properties=properties or {})
    said = letter(ValueError("x"))
    return final_failures.keep(SimpleNamespace(), said, message, writing.acknowledge)


def test_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the caller acknowledges."""
    writing = Writing()
    assert keep(writing, monkeypatch) is True
    assert writing.events == ["written"]


@pytest.mark.parametrize(
    "errors",
    [
        pytest.param([RedisConnectionError("away")] * 3, id="redis-is-away"),
        pytest.param([OSError("away")] * 3, id="network"),
        pytest.param([ValueError("unexpected")] * 3, id="unexpected"),
    ],
)
def test_written_later(monkeypatch: pytest.MonkeyPatch, errors: list[Exception]) -> None:
    """Whatever the error: the letter is tried again, and only then is the message acknowledged."""
    writing = Writing(*errors)
    assert keep(writing, monkeypatch) is False
    assert writing.acknowledged.wait(PATIENCE)
    assert writing.events == ["error", "error", "error", "written", "acknowledged"]


def test_lost_lease_ends_the_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is another worker's by then, which writes the letter if it fails there too."""
    lost = Validity()
    writing = Writing(RedisConnectionError("away"))
    assert keep(writing, monkeypatch, {"held": [lost.uid, 0, "holder", "1"]}) is False
    final_failures._unwritten.join()
    assert writing.events == ["error"]


def test_reason_for_a_person_survives_the_result_backend() -> None:
    """JSON keeps an error's class by its name; the class says why a person is asked."""
    backend = Celery("test", set_as_current=False, backend="cache+memory://").backend
    stored = json.loads(json.dumps(backend.prepare_exception(InterruptedTaskError("x"), "json")))
    rebuilt: Any = backend.exception_to_python(stored)
    assert (type(rebuilt), rebuilt.escalation_reason) == (InterruptedTaskError, "interrupted")


def test_a_log_line_is_short(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the names and the error of a stranger's message are."""
    monkeypatch.setattr("contentworker.runtime.records.dead_letters.add", lambda *_: "1-0")
    names = dict.fromkeys(("task", "task_id", "error"), "x" * 100_000)
    long = letter(ValueError("x")).model_copy(update=names)
    app: Any = SimpleNamespace(
        backend=SimpleNamespace(client=None), runtime_settings=SimpleNamespace(dead_letters=None)
    )
    assert final_failures.keep(app, long, SimpleNamespace(properties={}), lambda: None)
    assert caplog.messages[-1].startswith("Kept xxx")
    assert len(caplog.messages[-1]) < 2_000
