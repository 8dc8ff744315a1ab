"""The table of results, a line for each system and fault: `results.csv`."""

import csv
from pathlib import Path
from typing import Any

from benchmarks.chaos.accounting import percentile
from benchmarks.chaos.promises import PROMISES

__all__ = ["Results", "read", "record"]

Results = dict[tuple[str, str], dict[str, Any]]
"""What was measured, by system and fault. A column that is empty is no key."""

PLACES = ("queued", "held", "delayed", "dead letter")
COLUMNS = (
    *("system", "fault", "tasks", "unconfirmed", "finished", "lost", "lost_critical", "lost_with_failure"),
    *(f"{column}{part}" for column in PROMISES for part in ("", "_of")),
    *("critical_twice", "twice_at_once", "duplicates", "may_repeat", "critical_cut_off", *PLACES),
    *("recovery_p50", "recovery_p99", "kills", "worker_deaths", "overlaps_reported", "stranded_for_an_hour"),
    *("publish_errors", "fault_seconds", "drain_seconds", "seed", "workers", "concurrency"),
    *("broker", "python", "celery", "cores", "machine", "date", "not_run"),
)


def read(table: Path) -> Results:
    """Read the table; empty if there is none."""
    if not table.exists():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        rows = [{name: _value(text) for name, text in row.items() if text} for row in csv.DictReader(file)]
    return {(str(row["system"]), str(row["fault"])): row for row in rows}


def record(table: Path, result: dict[str, Any]) -> None:
    """Write a run's result into the table, in place of an earlier one of that system and fault."""
    row = {**result, **result.get("left", {})}
    if recovery := result.get("recovery_seconds"):
        row |= {"recovery_p50": percentile(recovery, 50), "recovery_p99": percentile(recovery, 99)}
    results = {**read(table), (result["system"], result["fault"]): row}
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(results[key] for key in sorted(results))


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
