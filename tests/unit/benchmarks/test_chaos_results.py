"""The table of the chaos runs keeps what was measured."""

from pathlib import Path
from typing import Any

from benchmarks.chaos import report
from benchmarks.chaos.command import DOCS, RESULTS
from benchmarks.chaos.results import read, record

RUN: dict[str, Any] = {
    "system": "leased",
    "fault": "kill-main",
    "lost": 0,
    "lost_ids": [],
    "left": {"dead letter": 3},
    "recovery_seconds": [float(number) for number in range(100)],
    "fault_seconds": 1.5,
    "celery": "5.7.0",
}


def test_a_result_is_read_as_it_was_recorded(tmp_path: Path) -> None:
    """Numbers stay numbers, what is empty is no key, and a run again takes the place of the first."""
    table = tmp_path / "new" / "results.csv"
    assert read(table) == {}
    record(table, {**RUN, "lost": 7})
    record(table, {"system": "defaults", "fault": "none", "not_run": "no server"})
    record(table, RUN)
    assert read(table) == {
        ("defaults", "none"): {"system": "defaults", "fault": "none", "not_run": "no server"},
        ("leased", "kill-main"): {
            "system": "leased",
            "fault": "kill-main",
            "lost": 0,
            "dead letter": 3,
            "recovery_p50": 50.0,
            "recovery_p99": 99.0,
            "fault_seconds": 1.5,
            "celery": "5.7.0",
        },
    }


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    """docs/chaos.md and its picture are what the table gives."""
    report.write(read(RESULTS), tmp_path)
    for name in ("chaos.md", "chaos.svg"):
        assert (tmp_path / name).read_bytes() == (DOCS / name).read_bytes()


def test_a_promise_has_a_column_where_it_was_put_to_the_test() -> None:
    """With how often it was; a run that did not has a dash, and the table of another system no column."""
    columns = ("lost", "critical_twice", "twice_at_once", "duplicates", "may_repeat", "overlaps_reported")
    run = {**dict.fromkeys(columns, 0), "stranded_for_an_hour": 0, "kills": 1, "tasks": 2}
    unique = {"unique_twice": 3, "unique_twice_of": 7}
    runs: Any = {
        ("flow", "none"): {**run, **unique, "fault": "none"},
        ("flow", "kill-main"): {**run, **unique, "fault": "kill-main", "revoked_run": 0, "revoked_run_of": 4},
        ("leased", "none"): {**run, "fault": "none"},
    }
    head, _, none, kill_main = report.table("flow", runs).splitlines()[4:8]
    assert head.endswith("| unique run twice | revoked yet run |")
    assert none.endswith("| 3 of 7 | - |")
    assert kill_main.endswith("| 3 of 7 | 0 of 4 |")
    assert "unique" not in report.table("leased", runs)
