"""What is sent by the clock: `[schedules.NAME]` of worker.toml, for `celery beat`."""

from collections.abc import Container, Mapping
from typing import Any, NoReturn

from celery import platforms
from celery.signals import beat_init

from contentworker.errors import ConfigError
from contentworker.runtime.routing import patterns_of, queue_of
from contentworker.runtime.settings import QueueSettings, ScheduleSettings

__all__ = ["SCHEDULER", "beat_schedule", "check_every_schedule_has_a_task"]

SCHEDULER = "contentworker.runtime.beat:Scheduler"


def beat_schedule(schedules: Mapping[str, ScheduleSettings]) -> dict[str, dict[str, Any]]:
    """Celery's `beat_schedule`, of the schedules that are enabled.

    Raises:
        ConfigError: a `crontab` that names no moment.
    """
    return {
        name: {"task": each.task, "schedule": _rhythm(name, each), "kwargs": each.arguments}
        for name, each in schedules.items()
        if each.enabled
    }


def check_every_schedule_has_a_task(
    schedules: Mapping[str, ScheduleSettings], task_names: Container[str], queues: Mapping[str, QueueSettings]
) -> None:
    """Raise a `ConfigError` for a schedule of a task that is not there, or that no queue takes."""
    for name, each in schedules.items():
        where = f"worker.toml: schedules.{name}.task"
        if queue_of(each.task, queues) is None:
            raise ConfigError(
                f"{where}: no pattern matches the task {each.task!r}; add it to the `tasks` of a queue "
                f"(patterns now: {patterns_of(queues)})"
            )
        if each.task not in task_names:
            raise ConfigError(f"{where}: there is no task {each.task!r} in tasks/")


def _rhythm(name: str, schedule: ScheduleSettings) -> Any:
    from celery import schedules  # only where there is one

    if not schedule.crontab:
        return schedules.schedule(schedule.every_seconds)
    try:
        return schedules.crontab.from_string(schedule.crontab)
    except (ValueError, schedules.ParseException) as error:
        raise ConfigError(
            f"worker.toml: schedules.{name}.crontab: must be minute, hour, day of the month, month, day of "
            f"the week, as `30 3 * * mon-fri`, not {schedule.crontab!r}: {error}"
        ) from None


@beat_init.connect
def _stop_at_once(sender: Any = None, **_: Any) -> None:
    """End beat by the signal alone: Celery's handler makes the scheduler first, which may be half made then.

    There is nothing to save.
    """

    def stop(*_: Any) -> NoReturn:
        sender._is_stopped.set()
        raise SystemExit

    platforms.signals.update(SIGTERM=stop, SIGINT=stop)
