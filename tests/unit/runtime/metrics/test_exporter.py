"""What the exporter makes of a snapshot."""

from collections.abc import Callable
from typing import Any

import pytest

from contentworker.runtime.metrics import exporter
from contentworker.runtime.metrics.definitions import Metric
from contentworker.runtime.metrics.reading import Sign, Snapshot
from contentworker.runtime.metrics.recording import MILLION
from contentworker.runtime.records.queue_state import LimitState, QueueState, State
from contentworker.runtime.records.schedules import Schedules
from contentworker.version import VERSION

COUNTER = Metric("c_total", "counter", "", "What failed?", {"queue": None, "kind": ("a", "b")})
TIMES = Metric("t_seconds", "histogram", "", "What failed?", {"queue": None}, (1, 5))

Collect = Callable[..., dict[str, dict[tuple[str, ...], float]]]


def snapshot(**more: Any) -> Snapshot:
    """One queue with messages, one without an age, and no signs or numbers but those given."""
    full = QueueState(
        "full", ready=3, oldest_message_seconds=7.5, delayed=2, held=1, is_paused=True, parked=2
    )
    empty = QueueState("empty", ready=0, oldest_message_seconds=None, delayed=0, held=0, is_paused=False)
    state = State(
        queues=(full, empty),
        leases=4,
        delayed_uncounted=5,
        dead_letters=6,
        revocations=7,
        limits=(LimitState("known", 1, 2), LimitState("removed", 0, 3)),
    )
    sent = {"night": "1764300600.12", "broken": "x", "gone": "1"}
    known = Schedules(
        1.0, dict.fromkeys(("night", "broken", "new"), "1"), {}, sent, {"night": None, "gone": None}
    )
    given = {"signs": (), "counted": {COUNTER.name: {}, TIMES.name: {}}, "seconds": 0.25, **more}
    return Snapshot(state=state, schedules=known, **given)


@pytest.fixture
def collect() -> Collect:
    """Collect once: sample's name → values of its labels → number."""

    def collect(
        read: Callable[[], Snapshot], *, has_leases: bool = True, is_measured: bool = True
    ) -> dict[str, dict[tuple[str, ...], float]]:
        collector = exporter.SnapshotCollector(
            *(read, (COUNTER, TIMES), ["full", "empty"]),
            has_leases=has_leases,
            is_measured=is_measured,
            limits=["known", "idle"],
        )
        samples: dict[str, dict[tuple[str, ...], float]] = {}
        for family in collector.collect():
            for sample in family.samples:
                samples.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
        return samples

    return collect


def test_state_of_the_queues(collect: Collect) -> None:
    """Each number of the state is shown under its own name; an unknown age is absent."""
    assert collect(snapshot) == {
        "contentworker_build_info": {(VERSION,): 1},
        "contentworker_up": {(): 1},
        "contentworker_read_seconds": {(): 0.25},
        "contentworker_queue_workers": {("full",): 0, ("empty",): 0},
        "contentworker_queue_slots": {("full",): 0, ("empty",): 0},
        "contentworker_queue_busy_slots": {("full",): 0, ("empty",): 0},
        "contentworker_leases": {(): 4},
        "contentworker_queue_ready_messages": {("full",): 3, ("empty",): 0},
        "contentworker_queue_oldest_message_seconds": {("full",): 7.5},
        "contentworker_queue_delayed_messages": {("full",): 2, ("empty",): 0},
        "contentworker_queue_held_messages": {("full",): 1, ("empty",): 0},
        "contentworker_queue_limited_messages": {("full",): 2, ("empty",): 0},
        "contentworker_limit_places_taken": {("known",): 1, ("idle",): 0, ("removed",): 0},
        "contentworker_limit_waiting_messages": {("known",): 2, ("idle",): 0, ("removed",): 3},
        "contentworker_queue_paused": {("full",): 1, ("empty",): 0},
        "contentworker_delayed_messages_uncounted": {(): 5},
        "contentworker_schedule_last_sent_timestamp_seconds": {("night",): 1764300600.12},
        "contentworker_schedule_paused": {("night",): 1, ("broken",): 0, ("new",): 0},
        "contentworker_dead_letters_kept": {(): 6},
        "contentworker_revocations": {(): 7},
        "c_total": {(queue, kind): 0 for queue in ("full", "empty") for kind in ("a", "b")},
    }


def test_workers_with_a_young_sign_serve(collect: Collect) -> None:
    """A sign of 15 s counts, an older one does not; both are shown with their times."""
    signs = (
        Sign("young", ("full", "empty"), 1000.0, 15.0, slots=4, busy_slots=3),
        Sign("another", ("full",), 1000.0, 1.0, slots=2, busy_slots=0),
        Sign("of an earlier release", ("full",), 1000.0, 1.0),
        Sign("old", ("full",), 999.0, 15.1, slots=8, busy_slots=8),
    )
    samples = collect(lambda: snapshot(signs=signs))
    assert samples["contentworker_queue_workers"] == {("full",): 3, ("empty",): 1}
    assert samples["contentworker_queue_slots"] == {("full",): 6, ("empty",): 4}
    assert samples["contentworker_queue_busy_slots"] == {("full",): 3, ("empty",): 3}
    signs_seen = samples["contentworker_worker_last_sign_timestamp_seconds"]
    assert (signs_seen["young",], signs_seen["old",]) == (1000, 999)


def test_counted_numbers(collect: Collect) -> None:
    """Millionths become units, buckets of a histogram add up, and numbers with other labels are left out."""
    counts = {("full", "a"): 2 * MILLION, ("full",): 9 * MILLION, ("gone", "b"): MILLION}
    times = {
        ("full", "1"): MILLION,
        ("full", "+Inf"): 2 * MILLION,
        ("full", "sum"): 31 * MILLION // 2,
        ("full",): MILLION,
    }
    samples = collect(lambda: snapshot(counted={COUNTER.name: counts, TIMES.name: times}))
    assert samples["c_total"] == {
        ("full", "a"): 2,
        ("full", "b"): 0,
        ("empty", "a"): 0,
        ("empty", "b"): 0,
        ("gone", "b"): 1,
    }
    assert samples["t_seconds_bucket"] == {("full", "1"): 1, ("full", "5"): 1, ("full", "+Inf"): 3}
    assert (samples["t_seconds_sum"], samples["t_seconds_count"]) == ({("full",): 15.5}, {("full",): 3})


@pytest.mark.parametrize(("most", "zeros"), [(4, 4), (3, 0)], ids=["just so many", "one too many"])
def test_zeros_are_bounded(collect: Collect, monkeypatch: pytest.MonkeyPatch, most: int, zeros: int) -> None:
    """A counter is shown as 0 before it counts only if that does not make too many series."""
    monkeypatch.setattr(exporter, "MOST_ZEROS", most)
    assert len(collect(snapshot).get("c_total", ())) == zeros


def test_plain_workers_have_no_leases(collect: Collect) -> None:
    """What plain workers hold is unknown, and not 0."""
    samples = collect(snapshot, has_leases=False)
    assert not samples.keys() & {"contentworker_leases", "contentworker_queue_held_messages"}
    assert samples["contentworker_queue_delayed_messages"] == {("full",): 2, ("empty",): 0}


def test_unmeasured_workers_count_nothing(collect: Collect) -> None:
    """What workers would count, and whether they live, is unknown, and not 0."""
    samples = collect(snapshot, is_measured=False)
    assert not samples.keys() & {"c_total", "t_seconds_count", "contentworker_queue_workers"}
    assert samples["contentworker_leases"] == {(): 4}


def test_only_the_version_is_known_without_redis(collect: Collect, caplog: pytest.LogCaptureFixture) -> None:
    """`contentworker_up` is 0, everything from Redis is absent, and the log says why."""

    def read() -> Snapshot:
        raise ConnectionError("refused")

    assert collect(read) == {"contentworker_build_info": {(VERSION,): 1}, "contentworker_up": {(): 0}}
    assert caplog.messages == ["Redis cannot be read: ConnectionError: refused"]
