"""What operators do with schedules on their page: pause, resume, run now."""

from starlette.responses import Response

from contentworker.desk.dead_letters import noted
from contentworker.desk.web import Ask, Refused, to
from contentworker.runtime.records import schedules
from contentworker.runtime.worker.schedules import run_now

__all__ = ["pause", "resume", "run"]


def pause(ask: Ask) -> Response:
    """Pause a schedule."""
    name = _name(ask)
    is_new = schedules.pause(ask.desk.machinery.client(), name, ask.name)
    noted(ask, "schedule.pause", name, outcome="done" if is_new else "was paused already")
    return to("/operations")


def resume(ask: Ask) -> Response:
    """Resume a schedule."""
    name = _name(ask)
    is_new = schedules.resume(ask.desk.machinery.client(), name)
    noted(ask, "schedule.resume", name, outcome="done" if is_new else "was not paused")
    return to("/operations")


def run(ask: Ask) -> Response:
    """Send a schedule's task now."""
    name = _name(ask)
    task_id = run_now(ask.desk.machinery.app, ask.desk.machinery.client(), name)
    noted(ask, "schedule.run", name, outcome=f"task {task_id}")
    return to("/operations")


def _name(ask: Ask) -> str:
    name = ask.path["schedule"]
    if name not in ask.desk.machinery.schedules():
        raise Refused(404, "There is no such schedule", "Go back to the list.")
    return name
