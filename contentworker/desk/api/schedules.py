"""Schedules in the API: the list, pause, resume, run now."""

from datetime import UTC, datetime

from contentworker.desk.api.base import Call, ProblemError
from contentworker.desk.api.operations_models import Schedule, ScheduleRun, Schedules
from contentworker.runtime.records import schedules
from contentworker.runtime.watching.schedules import ScheduleLine, read
from contentworker.runtime.worker.schedules import run_now

__all__ = ["listed", "pause", "resume", "run"]


def listed(call: Call) -> Schedules:
    """All schedules."""
    return Schedules(items=tuple(_lines(call).values()))


def pause(call: Call) -> Schedule:
    """Pause a schedule."""
    schedules.pause(call.desk.machinery.client(), _name(call), call.ask.name)
    return _lines(call)[call.id]


def resume(call: Call) -> Schedule:
    """Resume a schedule."""
    schedules.resume(call.desk.machinery.client(), _name(call))
    return _lines(call)[call.id]


def run(call: Call) -> ScheduleRun:
    """Send a schedule's task now."""
    machinery = call.desk.machinery
    return ScheduleRun(id=call.id, task_id=run_now(machinery.app, machinery.client(), _name(call)))


def _name(call: Call) -> str:
    known = call.desk.machinery.schedules()
    if call.id not in known:
        raise ProblemError(404, f"There is no such schedule. There are: {', '.join(known) or 'none'}.")
    return call.id


def _lines(call: Call) -> dict[str, Schedule]:
    machinery = call.desk.machinery
    machinery.schedules()
    return {line.name: _shown(line) for line in read(machinery.client(), machinery.app, datetime.now(UTC))}


def _shown(line: ScheduleLine) -> Schedule:
    return Schedule(
        name=line.name,
        task=line.task,
        rhythm=line.rhythm,
        timezone=line.timezone,
        is_enabled=line.is_enabled,
        last_sent=line.last,
        next=line.next,
        is_paused=line.is_paused,
        paused_by=line.pause and line.pause.by,
        paused_since=line.pause and line.pause.since,
    )
