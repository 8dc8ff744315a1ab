"""The chaos harness finds each broken promise, and takes no kept one for broken."""

from typing import Any

import pytest

from benchmarks.chaos.promises import (
    PROMISES,
    count,
    not_sent_once,
    over_the_limit,
    ran_after_revocation,
    unique_twice,
)
from benchmarks.chaos.records import Execution


def ran(task: str, *times: float, outcome: str = "done") -> Execution:
    return Execution(task, pid=1, parent=0, times=list(times), outcome=outcome)


@pytest.mark.parametrize(
    ("executions", "over"),
    [
        pytest.param([ran("a", 1, 2), ran("b", 1.5, 2.5), ran("c", 1.9, 3)], ["c"], id="three-at-once"),
        pytest.param(
            [ran("a", 1, 2), ran("b", 1.5, 2.5), ran("c", 2, 3)], [], id="one-ends-as-the-third-starts"
        ),
        pytest.param([ran("a", 1, 2), ran("b", 1, 3), ran("other", 1, 2)], [], id="another-key"),
        pytest.param([ran("a", 1, 2), ran("b", 1, 3), ran("free", 1, 2)], [], id="no-key"),
        pytest.param(
            [ran("a", 1, 1.5, outcome=""), ran("b", 1, 3), ran("c", 2, 3)],
            [],
            id="a-dead-one-frees-its-place",
        ),
        pytest.param(
            [ran("a", 1, 1.5, 20, 21), ran("b", 1, 3), ran("c", 2, 3)], [], id="frozen-is-not-working"
        ),
        pytest.param(
            [ran("a", 1, 1.5, 20, 21), ran("b", 20, 21), ran("c", 20.5, 21)], ["c"], id="thawed-beside-two"
        ),
        pytest.param(
            [ran("a", 1, 2), ran("b", 1, 2), ran("c", 1.5, outcome="")], ["c"], id="cut-off-at-once"
        ),
        pytest.param([ran("a", 1, outcome=""), ran("b", 1, 2), ran("c", 1, 2)], ["c"], id="all-at-once"),
        pytest.param([ran("a", 1, 3), ran("a", 1, 3), ran("b", 2, 3)], ["b"], id="one-task-twice-takes-two"),
    ],
)
def test_more_than_there_are_places_for(executions: list[Execution], over: list[str]) -> None:
    """Two places for each key."""
    keys = {"a": "key", "b": "key", "c": "key", "other": "other"}
    assert over_the_limit(executions, keys, places=2) == over


@pytest.mark.parametrize(
    ("executions", "twice"),
    [
        pytest.param([ran("a", 1, 2), ran("b", 7, 8)], ["key"], id="two-tasks"),
        pytest.param([ran("a", 1, 2, outcome=""), ran("b", 7, 8)], ["key"], id="the-first-was-cut-off"),
        pytest.param([ran("a", 1, 2, outcome=""), ran("a", 7, 8)], [], id="the-same-again"),
        pytest.param([ran("a", 1, 2), ran("other", 1, 2), ran("free", 1, 2)], [], id="other-keys"),
    ],
)
def test_two_of_a_unique_key(executions: list[Execution], twice: list[str]) -> None:
    """Whenever they ran: the key is unique for longer than a run."""
    assert unique_twice(executions, {"a": "key", "b": "key", "other": "other"}) == twice


@pytest.mark.parametrize(
    ("executions", "late"),
    [
        pytest.param([ran("a", 5.1, 6)], ["a"], id="started-after"),
        pytest.param([ran("a", 4.9, 6)], [], id="ran-already"),
        pytest.param([ran("a", 4.9, 6, outcome=""), ran("a", 9, 10)], ["a"], id="came-back"),
        pytest.param([ran("b", 9, 10)], [], id="not-revoked"),
    ],
)
def test_a_revoked_task_that_starts(executions: list[Execution], late: list[str]) -> None:
    """Its revocation was confirmed at 5."""
    assert ran_after_revocation(executions, {"a": 5.0}) == late


@pytest.mark.parametrize(
    ("sent", "outage_seconds", "wrong"),
    [
        pytest.param([10, 15, 20.2, 25.1], 0, [], id="each-once"),
        pytest.param([20.2, 10, 15, 15.1], 0, ["15.10 twice"], id="twice"),
        pytest.param([10, 19.9], 0, [], id="late"),
        pytest.param([10, 20], 0, ["20.00 after missed ones"], id="missed"),
        pytest.param([10, 27.9], 8, [], id="the-broker-was-away"),
        pytest.param([10, 28], 8, ["28.00 after missed ones"], id="missed-after-it-was-back"),
        pytest.param([], 0, [], id="none"),
    ],
)
def test_a_moment_that_is_not_sent_once(sent: list[float], outage_seconds: float, wrong: list[str]) -> None:
    """The schedule is due every five seconds."""
    assert not_sent_once(sent, 5, outage_seconds) == wrong


SENT: dict[str, dict[str, Any]] = {
    "a": {"kind": "once", "key": "once-1", "revoked_at": None},
    "b": {"kind": "once", "key": "once-1", "revoked_at": None},
    "c": {"kind": "alone", "key": "alone-1", "revoked_at": None},
    "d": {"kind": "alone", "key": "alone-1", "revoked_at": None},
    "e": {"kind": "base", "revoked_at": 5.0},
    "f": {"kind": "base", "revoked_at": None},
    "g": {"kind": "limited", "key": "large", "revoked_at": None},
    "h": {"kind": "limited", "key": "large", "revoked_at": None},
}
"""What a run published, by id."""


def test_a_run_that_keeps_its_promises() -> None:
    """How often each was put to the test is counted, too: of nothing, nothing can be broken."""
    kept = [
        *(ran("a", 1, 2), ran("c", 1, 2), ran("d", 3, 4), ran("e", 4, 6), ran("f", 9, 10)),
        *(ran("g", 1, 2), ran("h", 2, 3)),
        *(ran("moment/10.000/x", 1), ran("moment/15.000/y", 2), ran("moment/15.000/y", 3)),
    ]
    figures = count(SENT, kept, 0)
    assert {name: figures[name] for name in PROMISES} == dict.fromkeys(PROMISES, 0)
    assert [figures[f"{name}_of"] for name in PROMISES] == [2, 4, 2, 1]


def test_a_run_that_breaks_each_promise() -> None:
    """Each is named."""
    broken = [
        *(ran("a", 1, 2), ran("b", 7, 8), ran("c", 1, 2), ran("d", 1.5, 4), ran("e", 5.5, 6)),
        *(ran("g", 1, 2), ran("h", 1.9, 3)),
        *(ran("moment/10.000/x", 1), ran("moment/10.100/y", 2), ran("moment/30.000/z", 3)),
    ]
    figures = count(SENT, broken, 0)
    assert figures["over_limit_ids"] == ["h"]
    assert figures["unique_twice_ids"] == ["once-1", "d"]
    assert figures["revoked_run_ids"] == ["e"]
    assert figures["scheduled_wrong_ids"] == ["10.10 twice", "30.00 after missed ones"]
    assert [figures[name] for name in PROMISES] == [1, 2, 2, 1]


def test_without_beats_schedules_are_not_judged() -> None:
    """The table shows a dash then."""
    assert "scheduled_wrong" not in count(SENT, [], None)
