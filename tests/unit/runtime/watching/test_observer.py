"""What the overview says of numbers and answers: rates, silent workers, running tasks."""

from collections import Counter
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from contentworker import config
from contentworker.runtime.metrics.reading import Sign
from contentworker.runtime.metrics.recording import MILLION
from contentworker.runtime.watching import observer
from contentworker.runtime.watching.overview import Rates, WorkerState


def counts(**millions: int) -> Counter[str]:
    """Ended runs, as they are in Redis."""
    return Counter({state: number * MILLION for state, number in millions.items()})


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([(0, counts()), (9, counts())], None, id="no worker has counted"),
        pytest.param([(0, counts()), (4.9, counts(success=1))], None, id="too short"),
        pytest.param(
            [(0, counts()), (5, counts(success=10))], Rates(2.0, 0.0, 0.0, 5), id="just long enough"
        ),
        pytest.param(
            [
                (10, counts(success=1, failure=2)),
                (15, counts(success=100)),
                (20, counts(success=21, ignored=10, failure=3, retry=5, revoked=9, duplicate=20)),
            ],
            Rates(done=3.0, failed=0.1, retried=0.5, seconds=10, duplicates=2.0),
            id="first against last",
        ),
    ],
)
def test_rates(history: list[tuple[float, Counter[str]]], expected: Rates | None) -> None:
    """Runs per second between the first and the last reading, from five seconds on."""
    assert observer._rates(history) == expected


@pytest.mark.parametrize(
    ("age_seconds", "running", "is_silent"),
    [(15.0, None, False), (15.1, None, True), (15.1, 0, False), (None, None, False)],
    ids=["young", "old", "old, but it answers", "no sign"],
)
def test_silent(age_seconds: float | None, running: int | None, is_silent: bool) -> None:
    """A worker is silent if its last sign is older than 15 s and it does not answer."""
    assert WorkerState("one", (), age_seconds, running).is_silent == is_silent


def test_workers_of_signs_and_answers() -> None:
    """Silent workers come first, then by name; one without signs is there because it answers."""
    signs = [Sign("b", ("q",), 0.0, 1.0), Sign("z", ("q",), 0.0, 99.0)]
    workers = observer._workers(signs, {"a": [{}], "b": []})
    assert workers == (
        WorkerState("z", ("q",), 99.0, None),
        WorkerState("a", None, None, 1),
        WorkerState("b", ("q",), 1.0, 0),
    )


def test_running_tasks() -> None:
    """The longest first; a task that has not started yet runs for 0 s."""
    answers: dict[str, list[dict[str, Any]]] = {
        "one": [
            {"name": "short", "id": "1", "time_start": 98.0, "delivery_info": {"routing_key": "q"}},
            {"name": "new", "id": "2", "time_start": None, "delivery_info": None},
        ],
        "two": [{"name": "long", "id": "3", "time_start": 40.0}],
    }
    running = observer._running(answers, at=100.0)
    assert [(each.task, each.queue, each.worker, each.seconds) for each in running] == [
        ("long", "", "two", 60.0),
        ("short", "q", "one", 2.0),
        ("new", "", "one", 0.0),
    ]


def test_the_answer_of_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a program of that Redis answers to `inspect`, the page goes on without it."""
    answer = {"a@b": {"error": "x"}}
    inspect = SimpleNamespace(active=lambda **_: answer)
    app: Any = SimpleNamespace(
        connection_for_write=MagicMock, control=SimpleNamespace(inspect=lambda **_: inspect)
    )
    watching = observer.Observer(app, lambda: None, config.load(environ={}))
    monkeypatch.setattr(watching._stopping, "wait", lambda _: watching._stopping.set())
    watching._keep_asking()
    assert watching.look().running is None
