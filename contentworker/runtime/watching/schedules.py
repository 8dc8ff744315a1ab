"""The schedules of `celery beat`: when each was last sent, when it is due next, who paused it."""

import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contentworker.runtime.records import schedules
from contentworker.runtime.records.pauses import Pause
from contentworker.runtime.records.schedules import Schedules
from contentworker.runtime.settings import ScheduleSettings
from contentworker.runtime.watching.overview import age_text, pause_text
from contentworker.time_zones import time_zone

__all__ = ["ScheduleLine", "read"]


@dataclass(frozen=True)
class ScheduleLine:
    """A schedule."""

    name: str
    task: str
    rhythm: str
    timezone: str
    """The zone of its crontab; UTC for an interval."""
    is_enabled: bool
    last: datetime | None
    """When it was last sent, by beat or by a person. None: never, or an earlier version did not note it."""
    next: datetime | None
    """When it is due; if that is over, no beat runs. None: no beat knows it, it is off, or it is paused."""
    is_paused: bool = False
    pause: Pause | None = None
    """Who paused it, and when, where that is known."""

    @property
    def next_local(self) -> datetime | None:
        """When it is due, on the clocks of its time zone."""
        return self.next and self.next.astimezone(time_zone(self.timezone))

    @property
    def state(self) -> str:
        """What beat does with it, for people."""
        if not self.is_enabled:
            return "off"
        if self.is_paused:
            return pause_text(self.pause)
        return "on" if self.next else "no beat knows it yet"


def read(client: Any, app: Any, now: datetime) -> list[ScheduleLine]:
    """The schedules of an application, in the order of worker.toml."""
    known = schedules.read(client)
    lines = []
    for name, settings in app.runtime_settings.schedules.items():
        entry = app.conf.beat_schedule.get(name)
        is_paused = name in known.paused
        due = _next(entry["schedule"], name, known, now) if entry and not is_paused else None
        lines.append(
            ScheduleLine(
                name=name,
                task=settings.task,
                rhythm=_rhythm(settings),
                timezone=settings.timezone,
                is_enabled=settings.enabled,
                last=schedules.as_time(known.sent.get(name)),
                next=due,
                is_paused=is_paused,
                pause=known.paused.get(name),
            )
        )
    return lines


def _rhythm(settings: ScheduleSettings) -> str:
    if settings.crontab:
        return f"{settings.crontab} {settings.timezone}"
    return f"every {age_text(settings.every_seconds)}"


def _next(rhythm: Any, name: str, known: Schedules, now: datetime) -> datetime | None:
    """As beat reckons it."""
    schedule = copy.copy(rhythm)
    schedule.nowfun = lambda: now
    times = (known.handled.get(name), known.since.get(schedules.since_field(name, schedule)))
    handled, since = map(schedules.as_time, times)
    if handled is None or since is None:
        return None
    moment: datetime = now + schedule.remaining_estimate(max(handled, since))
    return moment
