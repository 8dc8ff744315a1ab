"""A crontab in a time zone as one of Celery's schedules.

Celery's own crontab sends the skipped 02:30 at 03:30, and sends nothing in the second of two equal hours
(https://github.com/celery/celery/issues/10107).
"""

from datetime import datetime, timedelta
from typing import Any

from celery.schedules import BaseSchedule, schedstate

from contentworker import crontab
from contentworker.time_zones import time_zone

__all__ = ["Crontab"]


class Crontab(BaseSchedule):
    """The moments of a crontab on the clocks of a time zone; `contentworker/crontab.py` has the rules."""

    def __init__(self, text: str, timezone: str, **options: Any) -> None:
        super().__init__(**options)
        self._text = f"{text} {timezone}"
        self._crontab = crontab.Crontab(text, time_zone(timezone))

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        """The time from now until the first moment after the last run; negative if it is due."""
        remaining: timedelta = self._crontab.after(last_run_at) - self.now()
        return remaining

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Whether there was a moment since the last run, and the seconds until the next one."""
        left = self.remaining_estimate(last_run_at).total_seconds()
        if left > 0:
            return schedstate(is_due=False, next=left)
        return schedstate(is_due=True, next=self.remaining_estimate(self.now()).total_seconds())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Crontab) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return self._text
