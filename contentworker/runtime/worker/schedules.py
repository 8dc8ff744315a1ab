"""Schedules: `[schedules.NAME]` of worker.toml, for `celery beat`."""

from collections.abc import Mapping
from typing import Any, NoReturn

from celery import platforms
from celery.signals import beat_init

from contentworker.runtime.records import schedules as records
from contentworker.runtime.settings import ScheduleSettings

__all__ = ["SCHEDULER", "beat_schedule", "run_now"]

SCHEDULER = "contentworker.runtime.worker.beat:Scheduler"


def beat_schedule(schedules: Mapping[str, ScheduleSettings]) -> dict[str, dict[str, Any]]:
    """Celery's `beat_schedule`, with every schedule that is enabled."""
    return {
        name: {"task": each.task, "schedule": _rhythm(each), "kwargs": each.arguments}
        for name, each in schedules.items()
        if each.enabled
    }


def _rhythm(schedule: ScheduleSettings) -> Any:
    # Loaded only if there is a schedule.
    from celery import schedules

    from contentworker.runtime.worker.rhythms import Crontab

    if schedule.crontab:
        return Crontab(schedule.crontab, schedule.timezone)
    return schedules.schedule(schedule.every_seconds)


def run_now(app: Any, client: Any, name: str) -> str:
    """Send the task of a schedule once, as beat would, and return its id. The next time does not change."""
    settings: ScheduleSettings = app.runtime_settings.schedules[name]
    with app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1)  # by default, sending would try for ever
    sent = app.send_task(settings.task, kwargs=settings.arguments, ignore_result=True, retry=False)
    records.note_sent(client, name)
    return str(sent.id)


@beat_init.connect
def _stop_at_once(sender: Any = None, **_: Any) -> None:
    """End beat at once on a signal; there is nothing to save.

    Celery's handler makes the scheduler first, and fails if the signal comes while it is half made.
    """

    def stop(*_: Any) -> NoReturn:
        sender._is_stopped.set()  # noqa: SLF001 (Celery has no public way)
        raise SystemExit

    platforms.signals.update(SIGTERM=stop, SIGINT=stop)
