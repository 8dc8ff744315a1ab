"""A long run is counted exactly, also when resumed: a count that cannot be wrong would show nothing."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos import soak_figures, soak_report
from benchmarks.chaos.command import DOCS, SOAKS
from benchmarks.chaos.ledger import Ledger, LiveJournal, number_of, task_id
from benchmarks.chaos.memory import MEBIBYTE, flatness
from benchmarks.chaos.soak_figures import Histogram

PROCESS = "11 10"


class Run:
    """A ledger and a journal in a folder, and what is to be written into them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.journal = LiveJournal(folder / "executions", self.ledger.note("position", 0))

    def send(self, number: int, kind: str = "base", *, confirmed: bool = True) -> str:
        """Have it sent at the time that is its number."""
        self.ledger.add("sent", *number_of(task_id(number, kind)), float(number), confirmed)
        return task_id(number, kind)

    def happened(self, *lines: str) -> None:
        with self.journal.path.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        self.write()

    def write(self) -> None:
        self.journal.refresh()
        self.ledger.write(self.journal, clock_offset=100, elapsed=60.0, deaths=1, sessions=1)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made = Run(tmp_path)
    yield made
    made.ledger.close()


def test_a_task_says_its_number_and_kind() -> None:
    assert number_of(task_id(1_000_000, "critical")) == (1_000_000, 2)


def test_what_went_well_is_counted_and_what_did_not_is_named(run: Run) -> None:
    """Lost, critical twice, and a duplicate, among tasks that were simply done, or once more on purpose."""
    plain, lost, twice, again, failed, letter = (
        run.send(number, kind)
        for number, kind in enumerate(("base", "base", "critical", "base", "base", "critical"), 1)
    )
    run.send(7, confirmed=False)
    run.happened(
        *(f"start a {plain} {PROCESS} 101", "beat a 101.1", "done a 101.1"),
        *(f"start b {twice} {PROCESS} 102", f"start c {twice} {PROCESS} 103", "done c 103.5"),
        *(f"start d {again} {PROCESS} 104", f"start e {again} {PROCESS} 112", "done e 112.5"),
        *(
            f"start f {failed} {PROCESS} 105",
            "failed f 105.2",
            f"start g {failed} {PROCESS} 106",
            "done g 107",
        ),
        f"start h {letter} {PROCESS} 108",
    )
    figures = run.ledger.count(run.journal.path, {letter: "dead letter"})
    assert (figures.tasks, figures.finished, figures.unconfirmed) == (6, 4, 1)
    assert figures.lost_ids == [lost]
    assert figures.critical_twice_ids == [twice]
    assert (figures.duplicates, figures.left) == (1, {"dead letter": 1})
    assert figures.recovery_seconds == [1.0, 8.0]
    assert run.ledger.unfinished() == {lost, letter}


def test_a_run_is_resumed_where_it_was_written_last(run: Run) -> None:
    """No line of the journal counts twice, also if a task began before the pause and ended after it."""
    first, second = run.send(1), run.send(2)
    run.happened(f"start a {first} {PROCESS} 101", "done a 101.1", f"start b {second} {PROCESS} 102")
    run.ledger.close()

    resumed = Run(run.folder)
    resumed.ledger.forget_times()
    resumed.happened("done b 103", f"start c {resumed.send(3)} {PROCESS} 104", "done c 104.5")
    rows = resumed.ledger.rows("SELECT number, starts, done, due FROM tasks ORDER BY number")
    assert rows == [(1, 1, 1, 1.0), (2, 1, 1, None), (3, 1, 1, 3.0)]
    assert resumed.ledger.last_number() == 3
    assert resumed.ledger.unfinished() == set()
    resumed.ledger.close()


def test_the_journal_keeps_only_what_runs(run: Run) -> None:
    """Memory does not grow with the number of tasks; what is sent and not ended is counted for a while."""
    task = task_id(1, "base")
    run.journal.expect(task)
    run.happened(f"start a {task} {PROCESS} 101", *(f"beat a {101 + beat / 20}" for beat in range(9)))
    assert run.journal.executions["a"].times == [101, 101.4]
    assert (run.journal.expected(since=0), run.journal.expected(since=float("inf"))) == (1, 0)
    run.journal.expect(task)
    run.happened("done a 102")
    assert (run.journal.executions, run.journal.finished, run.journal.done) == ({}, set(), 1)
    assert run.journal.expected(since=0) == 0


def test_latencies_are_of_what_was_due(run: Run) -> None:
    """By minute, from due to started and to done; the greatest is exact."""
    run.send(1), run.send(2), run.send(61)
    for execution, number, started, done in (
        ("a", 1, 101.5, 102),
        ("b", 2, 112, 113),
        ("c", 61, 161.25, 162),
    ):
        task = task_id(number, "base")
        run.happened(f"start {execution} {task} {PROCESS} {started}", f"done {execution} {done}")
    run.ledger.add("fault", 61.0, "kill-main", 1)
    run.ledger.add("memory", 61.0, "w0", 10, 5 * MEBIBYTE)
    run.write()
    found = soak_figures.result(run.ledger, run.ledger.count(run.journal.path, {}), untouched=["w0"])
    assert (found["until_started"]["worst"], found["until_done"]["worst"]) == (10, 11)
    assert found["until_started"]["p50"] == pytest.approx(0.5, rel=0.02)
    assert [(each["minute"], each["done"], each["worst"]) for each in found["minutes"]] == [
        (0, 2, 10),
        (1, 1, 0.25),
    ]
    assert found["minutes"][1]["faults"] == {"kill-main": 1}
    assert found["minutes"][1]["memory"] == {"w0": 5}
    assert (found["workers_killed"], found["may_repeat"], found["memory"]) == (1, 1, {})


def test_a_percentile_is_right_to_two_percent() -> None:
    histogram, draw = Histogram(), random.Random(1)
    values = sorted(draw.lognormvariate(0, 3) for _ in range(10_000))
    for value in values:
        histogram.add(value)
    for percent in (1, 50, 99, 99.99):
        assert histogram.percentile(percent) == pytest.approx(
            values[int(10_000 * percent / 100) - 1], rel=0.02
        )
    assert histogram.greatest == values[-1]
    assert Histogram().percentile(50) == 0


def test_growth_is_told_from_noise() -> None:
    """One MiB an hour is found in noise of a hundredth; none is not, and the interval says so."""
    noise = [random.Random(number).uniform(-0.01, 0.01) for number in range(60)]
    grows = flatness([(60 * at, MEBIBYTE * (50 + at / 60 + noise[at])) for at in range(60)])
    assert grows["slope"] == pytest.approx(1, abs=0.05)
    assert grows["slope"] - grows["slope_interval"] > 0.9
    assert (grows["first_quarter"], grows["last_quarter"]) == pytest.approx((50.1, 50.9), abs=0.05)
    level = flatness([(60 * at, MEBIBYTE * (50 + noise[at])) for at in range(60)])
    assert abs(level["slope"]) <= level["slope_interval"] + 0.01


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    """docs/scale.md and its picture say what was recorded."""
    (tmp_path / "scale.md").write_bytes((DOCS / "scale.md").read_bytes())
    soak_report.write(soak_report.read(SOAKS), tmp_path)
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (DOCS / file.name).read_bytes()


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    result: dict[str, Any] = {"system": "leased", "tasks": 1, "minutes": [{"minute": 0}, {"minute": 1}]}
    soak_report.record(tmp_path, result)
    assert soak_report.read(tmp_path) == {"leased": result}
