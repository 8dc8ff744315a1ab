"""Counts the figures of a run from what was published, what ran and what is left. Starts no process."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise

from benchmarks.chaos.records import Execution

__all__ = ["Figures", "Published", "count", "percentile"]


@dataclass(frozen=True)
class Published:
    """A task that was sent."""

    id: str
    kind: str
    """`base`, `idempotent` or `critical`."""
    confirmed: bool
    """False if the publisher got an error: the broker may have it or not, so it does not count as lost."""
    may_be_dropped: bool = False
    """It was revoked, or sent by a client that does not know that another of its key is there."""


@dataclass
class Figures:
    """Figures of a run; the fields that end in `_ids` name the tasks."""

    tasks: int = 0
    unconfirmed: int = 0
    finished: int = 0
    lost: int = 0
    """Confirmed, and neither finished nor anywhere in the broker."""
    lost_critical: int = 0
    """Lost tasks that may run once at most, so that no system may run them again."""
    lost_with_failure: int = 0
    """Lost tasks whose result is a FAILURE, so that a client that waits for it gets the error."""
    critical_twice: int = 0
    twice_at_once: int = 0
    """Tasks that ran twice at the same time."""
    duplicates: int = 0
    """Executions of late-acknowledged tasks beyond the first and those after a failure on purpose."""
    critical_cut_off: int = 0
    left: dict[str, int] = field(default_factory=dict)
    """Unfinished, and where in the broker they are: `queued`, `held`, `delayed`, `dead letter`."""
    recovery_seconds: list[float] = field(default_factory=list)
    """From the last sign of life of each execution that was cut off to the next start of its task."""
    lost_ids: list[str] = field(default_factory=list)
    critical_twice_ids: list[str] = field(default_factory=list)
    twice_at_once_ids: list[str] = field(default_factory=list)


def count(
    published: Iterable[Published],
    executions: Iterable[Execution],
    remaining: Mapping[str, str],
    failures: Collection[str] = (),
) -> Figures:
    """Count a run after its end. `remaining` says of each task in the broker where it is."""
    runs: dict[str, list[Execution]] = defaultdict(list)
    for execution in sorted(executions, key=lambda each: each.times[0]):
        runs[execution.task].append(execution)
    figures = Figures()
    left: dict[str, int] = defaultdict(int)
    for task in published:
        mine = runs[task.id]
        finished = any(each.outcome == "done" for each in mine)
        figures.finished += finished
        figures.tasks += task.confirmed
        figures.unconfirmed += not task.confirmed
        if finished or task.may_be_dropped:
            pass
        elif task.id in remaining:
            left[remaining[task.id]] += 1
        elif task.confirmed:
            figures.lost_ids.append(task.id)
            figures.lost_critical += task.kind == "critical"
        if task.kind == "critical":
            figures.critical_cut_off += bool(mine) and not finished
            if len(mine) > 1:
                figures.critical_twice_ids.append(task.id)
        else:
            wanted = 1 + sum(each.outcome == "failed" for each in mine)
            figures.duplicates += max(0, len(mine) - wanted)
        if any(_at_once(one, other) for one, other in combinations(mine, 2)):
            figures.twice_at_once_ids.append(task.id)
        figures.recovery_seconds += _recoveries(mine)
    figures.lost = len(figures.lost_ids)
    figures.lost_with_failure = sum(task in failures for task in figures.lost_ids)
    figures.critical_twice = len(figures.critical_twice_ids)
    figures.twice_at_once = len(figures.twice_at_once_ids)
    figures.left = dict(left)
    figures.recovery_seconds.sort()
    return figures


def _at_once(one: Execution, other: Execution) -> bool:
    return any(
        first < their_last and their_first < last
        for first, last in one.spells()
        for their_first, their_last in other.spells()
    )


def _recoveries(runs: list[Execution]) -> list[float]:
    """Of the executions of one task, in the order of their starts."""
    return [
        round(following.times[0] - cut_off.times[-1], 3)
        for cut_off, following in pairwise(runs)
        if not cut_off.outcome and following.times[0] > cut_off.times[-1]
    ]


def percentile(values: list[float], percent: float) -> float | None:
    """The nearest-rank percentile of sorted values."""
    if not values:
        return None
    return values[min(len(values) - 1, int(len(values) * percent / 100))]
