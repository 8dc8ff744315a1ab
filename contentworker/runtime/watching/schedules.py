"""The schedules of `celery beat`: when each was last sent, and when it is due next."""

import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contentworker.runtime.records import schedules
from contentworker.runtime.settings import ScheduleSettings
from contentworker.runtime.watching.overview import age_text

__all__ = ["ScheduleLine", "read"]


@dataclass(frozen=True)
class ScheduleLine:
    """A schedule."""

    name: str
    task: str
    rhythm: str
    is_enabled: bool
    last: datetime | None
    """When it was last sent; a new one counts from when a beat first knew it. None: no beat knows it."""
    next: datetime | None
    """When it is due; if that is over, no beat runs. None: no beat knows it, or it is not enabled."""


def read(client: Any, app: Any, now: datetime) -> list[ScheduleLine]:
    """The schedules of an application, in the order of worker.toml."""
    sent = schedules.last_sent(client)
    lines = []
    for name, settings in app.runtime_settings.schedules.items():
        last = datetime.fromtimestamp(sent[name], UTC) if name in sent else None
        entry = app.conf.beat_schedule.get(name)
        due = _next(entry["schedule"], last, now) if entry and last else None
        lines.append(ScheduleLine(name, settings.task, _rhythm(settings), settings.enabled, last, due))
    return lines


def _rhythm(settings: ScheduleSettings) -> str:
    return f"{settings.crontab} UTC" if settings.crontab else f"every {age_text(settings.every_seconds)}"


def _next(entry: Any, last: datetime, now: datetime) -> datetime:
    """As beat reckons it. Celery's schedules are floats where they are seconds."""
    from celery import schedules as celerys

    schedule = copy.copy(celerys.maybe_schedule(entry))
    schedule.nowfun = lambda: now
    moment: datetime = now + schedule.remaining_estimate(last)
    return moment
