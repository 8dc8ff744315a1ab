"""The figures of a long run from its ledger: tasks, latencies and memory, each also minute by minute."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from benchmarks.chaos.accounting import Figures, percentile
from benchmarks.chaos.ledger import KINDS, Ledger
from benchmarks.chaos.memory import MEBIBYTE, flatness

__all__ = ["WORKER_KILLS", "Histogram", "line", "result"]

MINUTE_SECONDS = 60
WORKER_KILLS = ("kill-group", "kill-main")
LATE_SECONDS = 60
FEWEST_POINTS = 8
SETTLING_SECONDS = 720
"""After that what Redis keeps for ten minutes is level: the slope of memory is of the time since then."""
FIGURES = (
    *("tasks", "unconfirmed", "finished", "lost", "lost_critical", "lost_with_failure", "critical_twice"),
    *("twice_at_once", "duplicates", "critical_cut_off", "left"),
    *("lost_ids", "critical_twice_ids", "twice_at_once_ids"),
)


class Histogram:
    """Counts of latencies in steps of 2 %, so that percentiles of any number of tasks need little memory."""

    RATIO = 1.02
    SHORTEST_SECONDS = 0.0001

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.greatest = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.greatest = max(self.greatest, seconds)
        self.counts[round(math.log(max(seconds, self.SHORTEST_SECONDS), self.RATIO))] += 1

    def percentile(self, percent: float) -> float:
        """The nearest-rank percentile, to 1 %; 0 if there is none."""
        wanted, seen = self.counts.total() * percent / 100, 0
        for step, count in sorted(self.counts.items()):
            seen += count
            if seen >= wanted:
                return float(min(self.RATIO**step, self.greatest))
        return 0.0

    def figures(self) -> dict[str, float]:
        """Percentiles, and the greatest."""
        said = {f"p{percent:g}": self.percentile(percent) for percent in (50, 90, 99, 99.9, 99.99)}
        return {name: round(seconds, 4) for name, seconds in {**said, "worst": self.greatest}.items()}


def line(ledger: Ledger, elapsed: float) -> str:
    """How it stands, for a person who watches."""
    since = elapsed - MINUTE_SECONDS
    tasks, done = ledger.rows("SELECT count(*), coalesce(sum(done > 0), 0) FROM tasks")[0]
    lately, worst = ledger.rows(
        "SELECT count(*), coalesce(max(first - due), 0) FROM tasks WHERE ended > ? AND number > ?",
        *(since, tasks - 200_000),
    )[0]
    (late,) = ledger.rows(
        "SELECT count(*) FROM tasks WHERE done = 0 AND confirmed = 1 AND due < ?", elapsed - LATE_SECONDS
    )[0]
    (twice,) = ledger.rows(
        "SELECT count(*) FROM tasks WHERE starts > 1 AND kind = ?", KINDS.index("critical")
    )[0]
    faults = dict(ledger.rows("SELECT name, count(*) FROM faults GROUP BY name"))
    sizes = ledger.rows(
        "SELECT name, round(avg(bytes) / ?, 1) FROM memory WHERE at > ?"
        " AND name IN ('w0', 'w0 pool', 'redis', 'redis used') GROUP BY name",
        *(MEBIBYTE, since),
    )
    return (
        f"{elapsed / MINUTE_SECONDS:.1f} min: {tasks:,} tasks, {done:,} done,"
        f" {lately / MINUTE_SECONDS:.0f}/s, worst start {worst:.1f} s,"
        f" {late} not done after {LATE_SECONDS} s, critical twice {twice},"
        f" workers killed {sum(faults.get(name, 0) for name in WORKER_KILLS)}, faults {faults},"
        f" MiB {dict(sizes)}"
    )


def result(ledger: Ledger, figures: Figures, untouched: Collection[str]) -> dict[str, Any]:
    """All figures. `untouched` names the workers that no fault killed."""
    faults = dict(ledger.rows("SELECT name, count(*) FROM faults GROUP BY name"))
    recovery = figures.recovery_seconds
    first, whole, minutes = _latencies(ledger)
    for minute, name, number in ledger.rows(
        f"SELECT CAST(at / {MINUTE_SECONDS} AS INTEGER), name, count(*) FROM faults GROUP BY 1, 2"  # noqa: S608
    ):
        minutes[minute].setdefault("faults", {})[name] = number
    shown = _names(untouched)
    for minute, name, size in _memory_by_minute(ledger):
        if name in shown:
            minutes[minute].setdefault("memory", {})[name] = round(size / MEBIBYTE, 1)
    return {
        "seconds": round(ledger.note("elapsed")),
        "sessions": ledger.note("sessions"),
        **{name: getattr(figures, name) for name in FIGURES},
        "may_repeat": ledger.rows("SELECT coalesce(sum(may_repeat), 0) FROM faults")[0][0],
        "faults": faults,
        "workers_killed": sum(faults.get(name, 0) for name in WORKER_KILLS),
        "worker_deaths": ledger.note("deaths"),
        "until_started": first.figures(),
        "until_done": whole.figures(),
        "recovery": {
            name: percentile(recovery, percent)
            for name, percent in (("p50", 50), ("p99", 99), ("worst", 100))
        },
        "untouched": sorted(untouched),
        "memory": _flatness(ledger, untouched),
        "minutes": [{"minute": minute, **minutes[minute]} for minute in sorted(minutes)],
    }


def _latencies(ledger: Ledger) -> tuple[Histogram, Histogram, dict[int, dict[str, Any]]]:
    first, whole = Histogram(), Histogram()
    of_minute: dict[int, Histogram] = defaultdict(Histogram)
    ended: Counter[int] = Counter()
    for due, started, done in ledger.each("SELECT due, first, iif(done, ended, NULL) FROM tasks"):
        if done is not None:
            ended[int(done // MINUTE_SECONDS)] += 1
        if due is not None and started is not None:
            first.add(started - due)
            of_minute[int(due // MINUTE_SECONDS)].add(started - due)
            if done is not None:
                whole.add(done - due)
    minutes: dict[int, dict[str, Any]] = defaultdict(dict)
    for minute, number in ended.items():
        minutes[minute]["done"] = number
    for minute, histogram in of_minute.items():
        minutes[minute] |= {
            "p50": round(histogram.percentile(50), 4),
            "p99": round(histogram.percentile(99), 4),
            "worst": round(histogram.greatest, 3),
        }
    return first, whole, minutes


def _memory_by_minute(ledger: Ledger) -> Iterator[tuple[int, str, float]]:
    yield from ledger.rows(
        f"SELECT CAST(at / {MINUTE_SECONDS} AS INTEGER), name, avg(bytes) FROM memory GROUP BY 1, 2"  # noqa: S608
    )


def _names(untouched: Collection[str]) -> list[str]:
    """What memory is told of: Redis, and the workers that no fault killed."""
    return ["redis", "redis used", *(f"{name}{part}" for name in untouched for part in ("", " pool"))]


def _flatness(ledger: Ledger, untouched: Collection[str]) -> dict[str, dict[str, float]]:
    """Of Redis, and of the workers that no fault killed, once what is kept for minutes is level.

    A new session starts every process again, so it is of the longest one.
    """
    spans = ledger.rows(
        "SELECT min(at), max(at) FROM memory WHERE name = ? GROUP BY pid"
        " ORDER BY max(at) - min(at) DESC LIMIT 1",
        min(untouched, default=""),
    )
    began, ended = spans[0] if spans else (0, 0)
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for minute, name, size in _memory_by_minute(ledger):
        if began + SETTLING_SECONDS <= minute * MINUTE_SECONDS <= ended:
            points[name].append((minute * MINUTE_SECONDS, size))
    return {name: flatness(points[name]) for name in _names(untouched) if len(points[name]) >= FEWEST_POINTS}
