"""The chaos harness counts right: a check that cannot fail would show nothing."""

from pathlib import Path

import pytest

from benchmarks.chaos.accounting import Published, count, percentile
from benchmarks.chaos.records import Execution, FailedOnPurposeError, Journal, perform


def ran(task: str, *times: float, outcome: str = "done") -> Execution:
    return Execution(task, pid=1, parent=0, times=list(times), outcome=outcome)


def sent(*tasks: str, kind: str = "base", confirmed: bool = True) -> list[Published]:
    return [Published(task, kind, confirmed) for task in tasks]


def test_a_task_that_is_nowhere_is_lost() -> None:
    """Confirmed, not finished, and in no place of the broker: lost, also if it was started."""
    figures = count(
        sent("never", "cut", "clean"), [ran("cut", 1, outcome=""), ran("clean", 1, 2)], {}, {"cut"}
    )
    assert figures.lost_ids == ["never", "cut"]
    assert (figures.lost, figures.lost_with_failure, figures.finished, figures.tasks) == (2, 1, 1, 3)


@pytest.mark.parametrize("place", ["queued", "held", "delayed", "dead letter"])
def test_a_task_that_the_broker_has_is_not_lost(place: str) -> None:
    """It is counted where it is."""
    figures = count(sent("a"), [], {"a": place})
    assert (figures.lost, figures.left) == (0, {place: 1})


def test_a_task_that_may_be_dropped_cannot_be_lost() -> None:
    """It was revoked, or another one of its key is there; it may still wait to be dropped."""
    tasks = [Published(name, "base", confirmed=True, may_be_dropped=True) for name in ("a", "b")]
    figures = count(tasks, [], {"b": "delayed"})
    assert (figures.lost, figures.left) == (0, {})


def test_an_unconfirmed_task_cannot_be_lost_but_can_run_twice_at_once() -> None:
    """The broker may or may not have got it."""
    figures = count(sent("a", "b", confirmed=False), [ran("b", 1, 3), ran("b", 2, 4)], {})
    assert (figures.lost, figures.unconfirmed, figures.twice_at_once_ids) == (0, 2, ["b"])


def test_a_second_execution_is_a_duplicate() -> None:
    """One after a failure on purpose is not; one after a cut is, and shows how long recovery took."""
    again = [ran("again", 1, 2, outcome="failed"), ran("again", 5, 6)]
    cut = [ran("cut", 1, 1.5, outcome=""), ran("cut", 13.5, 14)]
    figures = count(sent("again", "cut", "clean"), [*again, *cut, ran("clean", 1, 2)], {})
    assert (figures.duplicates, figures.twice_at_once, figures.lost) == (1, 0, 0)
    assert figures.recovery_seconds == [12.0]


def test_a_critical_task_that_starts_twice_is_found() -> None:
    """Even if neither execution came to its end; it is no duplicate of a late-acknowledged task."""
    figures = count(sent("a", kind="critical"), [ran("a", 1, 2, outcome=""), ran("a", 9, 10, outcome="")], {})
    assert (figures.critical_twice_ids, figures.duplicates, figures.critical_cut_off) == (["a"], 0, 1)


@pytest.mark.parametrize(
    ("second", "at_once"),
    [((1.5, 1.6), 1), ((2.5, 3), 0), ((0.5, 9), 1), ((8, 9, 10), 1), ((11, 12), 0)],
)
def test_two_executions_at_once_are_found(second: tuple[float, ...], at_once: int) -> None:
    """The first worked from 1 to 2, was frozen, and went on from 8.5 to 10.5."""
    frozen = ran("a", 1, 1.5, 2, 8.5, 9.5, 10.5)
    assert count(sent("a"), [frozen, ran("a", *second)], {}).twice_at_once == at_once


def test_the_journal_reads_what_tasks_write(tmp_path: Path) -> None:
    """What they did comes back; half a line waits for its other half."""
    path = tmp_path / "executions"
    journal = Journal(path)
    perform(str(path), "good", 0.06, fail=False)
    with pytest.raises(FailedOnPurposeError):
        perform(str(path), "bad", 0.001, fail=True)
    with path.open("a") as file:
        file.write("start third c 1 ")
    assert [each.outcome for each in journal.refresh().executions.values()] == ["done", "failed"]
    assert journal.finished == {"good"}
    with path.open("a") as file:
        file.write("0 5.5\n")
    assert journal.refresh().executions["third"].times == [5.5]


def test_percentiles_are_values_that_were_seen() -> None:
    """Nearest rank; none of nothing."""
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99), percentile([], 50)) == (51.0, 100.0, None)
