"""What a process measures before Redis hears of it: bounded, and never in the way of whoever measures."""

import threading
from typing import Any

import pytest
import redis
from celery.exceptions import SoftTimeLimitExceeded

from contentworker.runtime.metrics import recording as module
from contentworker.runtime.metrics.definitions import COUNTED, DROPPED, OTHER, READ, Metric
from contentworker.runtime.metrics.recording import MILLION, PREFIX, SEPARATOR, Recorder

COUNTER = Metric("c_total", "counter", "", "What failed?", {"task": None, "kind": ("a", "b")})
TIMES = Metric("t_seconds", "histogram", "", "What failed?", {}, (1, 5))


class Away:
    """A Redis that takes nothing until it is told to."""

    def __init__(self) -> None:
        self.is_away = True
        self.sent: list[tuple[Any, ...]] = []
        self.refused: list[int] = []
        self.meanwhile = lambda: None

    def pipeline(self, **_: Any) -> "Away":
        return self

    def eval(self, *arguments: Any) -> None:
        self.sent.append(arguments)

    def execute(self, **_: Any) -> list[Any]:
        self.meanwhile()
        if self.is_away:
            self.sent.clear()
            raise redis.exceptions.ConnectionError("away")
        refusal = redis.exceptions.ResponseError("refused")
        return [refusal if number in self.refused else 0 for number in range(len(self.sent))]

    def numbers(self) -> dict[str, int]:
        """What it was told last, as `metric values` → number."""
        _, count, *rest = self.sent[-1]
        keys, (_, *rows) = rest[:count], rest[count:]
        rows = [rows[start : start + 4] for start in range(0, len(rows), 4)]
        return {f"{keys[place - 1]} {field}": number for place, _, field, number in rows}


@pytest.fixture
def server() -> Away:
    """A Redis that is away."""
    return Away()


@pytest.fixture
def recorder(server: Away) -> Any:
    """One that measures; its thread is not started."""
    made = Recorder()
    made.begin(lambda: server, ["tasks.a", "tasks.b"], ["celery"])
    made._thread = threading.current_thread()
    return made


def test_nothing_is_measured_outside_of_a_worker() -> None:
    """Who only sends tasks has no thread and no numbers."""
    idle = Recorder()
    idle.count(COUNTER, 1, {"task": "tasks.a", "kind": "a"})
    idle.end()
    assert (idle._amounts, idle._thread) == ({}, None)


def test_numbers_add_up_while_redis_is_away(recorder: Recorder, server: Away) -> None:
    """Nothing is lost, nothing raised; when it is back it is told the sum."""
    for _ in range(3):
        recorder.count(COUNTER, 1, {"task": "tasks.a", "kind": "a"})
        recorder.observe(TIMES, 3, {})
        recorder.flush()
    server.is_away = False
    recorder.flush()
    assert server.numbers() == {
        f"{PREFIX}:c_total tasks.a{SEPARATOR}a": 3 * MILLION,
        f"{PREFIX}:t_seconds 5": 3 * MILLION,
        f"{PREFIX}:t_seconds sum": 9 * MILLION,
    }


def test_unknown_values_are_other(recorder: Recorder, server: Away) -> None:
    """However many names come in, one number is kept for all of them."""
    server.is_away = False
    for number in range(100):
        recorder.count(COUNTER, 1, {"task": f"junk.{number}", "kind": str(number)})
    recorder.flush()
    assert server.numbers() == {f"{PREFIX}:c_total {OTHER}{SEPARATOR}{OTHER}": 100 * MILLION}


def test_names_are_bounded(server: Away) -> None:
    """Of thousands of tasks the first 500 by name have numbers of their own, and of queues the first 500."""
    made = Recorder()
    names = [f"{number:04}" for number in range(5_000)]
    made.begin(lambda: server, names[::-1], names)
    assert made._known == {"task": {*names[:500]}, "queue": {*names[:500]}}


@pytest.mark.parametrize(
    ("value", "bucket", "total"),
    [(1, "1", 1), (1.000001, "5", 1.000001), (5, "5", 5), (5.1, "+Inf", 5.1), (-1, "1", 0)],
    ids=["at a bound", "over it", "at the last", "over the last", "negative"],
)
def test_buckets(recorder: Recorder, server: Away, value: float, bucket: str, total: float) -> None:
    """A value at a bound belongs to its bucket, as Prometheus has it; a clock put back counts as no time."""
    server.is_away = False
    recorder.observe(TIMES, value, {})
    recorder.flush()
    assert server.numbers() == {
        f"{PREFIX}:t_seconds {bucket}": MILLION,
        f"{PREFIX}:t_seconds sum": round(total * MILLION),
    }


def test_the_last_value_of_a_gauge_counts(recorder: Recorder, server: Away) -> None:
    """Also if it was set while Redis refused the value before."""
    level = Metric("level", "gauge", "", "What failed?")
    server.meanwhile = lambda: recorder.set_gauge(level, 2, {})
    recorder.set_gauge(level, 1, {})
    recorder.flush()
    server.is_away = False
    recorder.flush()
    assert server.numbers() == {f"{PREFIX}:level ": 2 * MILLION}


def test_memory_is_bounded(recorder: Recorder, server: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too much while Redis is away is dropped, and how much is said."""
    monkeypatch.setattr(module, "MOST_SERIES", 1)
    for kind in ("a", "a", "b", "b"):
        recorder.count(COUNTER, 1, {"task": "tasks.a", "kind": kind})
    recorder.flush()
    server.is_away = False
    recorder.flush()
    assert server.numbers() == {
        f"{PREFIX}:c_total tasks.a{SEPARATOR}a": 2 * MILLION,
        f"{PREFIX}:{DROPPED.name} ": 2 * MILLION,
    }


@pytest.mark.parametrize(
    ("amount", "labels"),
    [
        pytest.param(1, {}, id="labels missing"),
        pytest.param(1, {"task": "a", "colour": "b"}, id="another label"),
        pytest.param("much", {"task": "a", "kind": "b"}, id="no number"),
        pytest.param(float("nan"), {"task": "a", "kind": "b"}, id="not a number"),
        pytest.param(1, {"task": ["a"], "kind": "b"}, id="no text"),
    ],
)
def test_a_mistake_is_dropped(recorder: Recorder, server: Away, amount: Any, labels: Any) -> None:
    """Whoever measures never hears of it."""
    recorder.count(COUNTER, amount, labels)
    recorder.observe(COUNTER, amount, labels)
    server.is_away = False
    recorder.flush()
    assert server.numbers() == {f"{PREFIX}:{DROPPED.name} ": 2 * MILLION}


def test_definitions_are_sound() -> None:
    """Names are unique and as Prometheus has them; histograms have buckets in order, and only they."""
    every = (*COUNTED, *READ)
    assert len({metric.name for metric in every}) == len(every)
    for metric in every:
        assert metric.name.startswith("contentworker_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(metric.buckets)
        assert metric.help.endswith(".")


def test_a_soft_time_limit_comes_through(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come while a task measures, and is the task's."""

    def interrupted(*_: Any) -> None:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(recorder, "_add", interrupted)
    with pytest.raises(SoftTimeLimitExceeded):
        recorder.count(COUNTER, 1, {"task": "tasks.a", "kind": "a"})


def test_a_refused_sign_counts_nothing_twice(recorder: Recorder, server: Away) -> None:
    """Redis refused the sign of life only: what was added is not sent again."""
    server.is_away = False
    server.refused = [1]
    recorder.count(COUNTER, 1, {"task": "tasks.a", "kind": "a"})
    recorder.sign("worker", ["celery"], slots=2, busy_slots=1)
    recorder.flush()
    assert recorder._amounts == {}
