"""Schedules: `[schedules.NAME]` of worker.toml, for `celery beat`."""

from collections.abc import Mapping
from typing import Any, NoReturn

from celery import platforms
from celery.signals import beat_init

from contentworker.runtime.settings import ScheduleSettings

__all__ = ["SCHEDULER", "beat_schedule"]

SCHEDULER = "contentworker.runtime.worker.beat:Scheduler"


def beat_schedule(schedules: Mapping[str, ScheduleSettings]) -> dict[str, dict[str, Any]]:
    """Celery's `beat_schedule`: every schedule that is enabled."""
    return {
        name: {"task": each.task, "schedule": _rhythm(each), "kwargs": each.arguments}
        for name, each in schedules.items()
        if each.enabled
    }


def _rhythm(schedule: ScheduleSettings) -> Any:
    from celery import schedules  # loaded only if there is a schedule

    if schedule.crontab:
        return schedules.crontab.from_string(schedule.crontab)
    return schedules.schedule(schedule.every_seconds)


@beat_init.connect
def _stop_at_once(sender: Any = None, **_: Any) -> None:
    """End beat at once on a signal; there is nothing to save.

    Celery's handler makes the scheduler first, and fails if the signal comes while it is half made.
    """

    def stop(*_: Any) -> NoReturn:
        sender._is_stopped.set()  # noqa: SLF001 (Celery has no public way)
        raise SystemExit

    platforms.signals.update(SIGTERM=stop, SIGINT=stop)
