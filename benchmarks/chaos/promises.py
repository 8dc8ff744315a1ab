"""Counts what broke a promise: a limit, uniqueness, a schedule, a revocation. Starts no process.

Only what is certain counts: an execution works between two of its beats (`records.py`), and not while it is
frozen.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from typing import Any

from benchmarks.chaos.records import EVERY_SECONDS, MOMENT, Execution

__all__ = [
    "PROMISES",
    "count",
    "not_sent_once",
    "over_the_limit",
    "ran_after_revocation",
    "unique_twice",
]

PLACES = 1
"""How many tasks of each customer may work at the same time."""
PROMISES = {
    "over_limit": "over the limit",
    "unique_twice": "unique run twice",
    "scheduled_wrong": "scheduled twice or missed",
    "revoked_run": "revoked yet run",
}
"""Figures of a run: how often a promise was broken, and with `_of`, how often it was put to the test."""


def count(
    sent: Mapping[str, Mapping[str, Any]], executions: Collection[Execution], outage_seconds: float | None
) -> dict[str, Any]:
    """The figures, and for each the names of what broke it. `sent` has what was published, by id.

    `outage_seconds`: how long no beat could send; None if there was no beat.
    """
    keys = {name: task["key"] for name, task in sent.items() if "key" in task}
    limited, alone, once = (
        {name: key for name, key in keys.items() if sent[name]["kind"] == kind}
        for kind in ("limited", "alone", "once")
    )
    revoked = {name: task["revoked_at"] for name, task in sent.items() if task.get("revoked_at")}
    broken = {
        "over_limit": over_the_limit(executions, limited, PLACES),
        "unique_twice": unique_twice(executions, once) + over_the_limit(executions, alone, places=1),
        "revoked_run": ran_after_revocation(executions, revoked),
    }
    tested = {"over_limit": len(limited), "unique_twice": len(alone) + len(once), "revoked_run": len(revoked)}
    if outage_seconds is not None:
        moments = moments_of(executions)
        broken["scheduled_wrong"] = not_sent_once(moments, EVERY_SECONDS, outage_seconds)
        tested["scheduled_wrong"] = len(moments)
    return {
        **{name: len(found) for name, found in broken.items()},
        **{f"{name}_ids": found for name, found in broken.items()},
        **{f"{name}_of": number for name, number in tested.items()},
    }


def moments_of(executions: Iterable[Execution]) -> list[float]:
    """When beats sent what ran. A message that ran again was sent once."""
    names = {each.task for each in executions if each.task.startswith(MOMENT)}
    return [float(name.split("/")[1]) for name in names]


def over_the_limit(executions: Iterable[Execution], keys: Mapping[str, str], places: int) -> list[str]:
    """Tasks that worked while `places` others of their key did. `keys` has the key of each limited task."""
    # At the same time, an end comes before a start, except that of the spell itself: of a task that was cut
    # off at once, only its start is known.
    changes: dict[str, list[tuple[float, int, int, str]]] = defaultdict(list)
    for execution in executions:
        if key := keys.get(execution.task):
            for first, last in execution.spells():
                changes[key] += [
                    (first, 1, 1, execution.task),
                    (last, 2 * (first == last), -1, execution.task),
                ]
    over: set[str] = set()
    for of_key in changes.values():
        working = 0
        for _, _, change, task in sorted(of_key):
            working += change
            if change > 0 and working > places:
                over.add(task)
    return sorted(over)


def unique_twice(executions: Iterable[Execution], keys: Mapping[str, str]) -> list[str]:
    """Keys with more than one task that ran, although the first one was to keep the others from being sent.

    A task that runs again under its own id is no second one: it counts as a duplicate.
    """
    tasks: dict[str, set[str]] = defaultdict(set)
    for execution in executions:
        if key := keys.get(execution.task):
            tasks[key].add(execution.task)
    return sorted(key for key, ran in tasks.items() if len(ran) > 1)


def ran_after_revocation(executions: Iterable[Execution], revoked: Mapping[str, float]) -> list[str]:
    """Tasks that started after their revocation was confirmed, at this time of the executions' clock."""
    started = {each.task for each in executions if each.times[0] > revoked.get(each.task, float("inf"))}
    return sorted(started)


def not_sent_once(sent: Iterable[float], every_seconds: float, outage_seconds: float = 0) -> list[str]:
    """Moments of a schedule that were sent twice, or left out. `sent` has the times at which beats sent it.

    `outage_seconds`: how long no beat could send; moments that pass meanwhile are sent once, together.
    """
    wrong = []
    for before, after in pairwise(sorted(sent)):
        if after - before < every_seconds / 2:
            wrong.append(f"{after:.2f} twice")
        elif after - before >= 2 * every_seconds + outage_seconds:
            wrong.append(f"{after:.2f} after missed ones")
    return wrong
