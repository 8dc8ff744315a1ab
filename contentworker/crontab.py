"""Crontabs in any time zone: what is wrong with one, and its moments, exact where clocks change.

A crontab that names hours has each of its local times once a day: a time that the clock skips counts when the
clock is put forward, and a time that comes twice counts the first time. A crontab of every hour follows the
time that passes: nothing in a skipped hour, both passes of a repeated one. Debian's cron does the same.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Crontab", "check"]

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class _Field(NamedTuple):
    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        names = f" or {self.names[0][:3]} to {self.names[-1][:3]}" if self.names else ""
        return f"must be {self.first} to {self.last}{names}"


FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, MONTHS),
    _Field("day of the week", 0, 6, DAYS),
)

LONGEST_DAYS = 41 * 366
"""More than between two days of any crontab: a Monday that is the 29th of February, and the next one."""


class Crontab:
    """The moments of a crontab in a time zone.

    Raises:
        ValueError: as `check`.
    """

    def __init__(self, text: str, zone: tzinfo) -> None:
        minutes, hours, self._days, self._months, self._weekdays = _fields(text)
        self._zone = zone
        self._is_hourly = len(hours) == 24  # noqa: PLR2004 (all of them)
        self._times = [time(hour, minute) for hour in sorted(hours) for minute in sorted(minutes)]
        # A schedule is asked for its next moment every few seconds, mostly on the same day.
        self._moments_of = lru_cache(maxsize=4)(self._moments)

    def after(self, moment: datetime) -> datetime:
        """The first moment after this one, in UTC."""
        # From the day before: a clock that is put back around midnight shows that day again.
        first = moment.astimezone(self._zone).date() - timedelta(days=1)
        for ahead in range(LONGEST_DAYS):
            day = first + timedelta(days=ahead)
            if later := [each for each in self._moments_of(day) if each > moment]:
                following = self._moments_of(day + timedelta(days=1))
                return min(later + [each for each in following if each > moment])
        raise AssertionError("check lets no crontab pass that never occurs")

    def _moments(self, day: date) -> tuple[datetime, ...]:
        if not self._has(day):
            return ()
        local = (datetime.combine(day, each) for each in self._times)
        return tuple(moment for each in local for moment in self._instants(each))

    def _has(self, day: date) -> bool:
        is_weekday = day.isoweekday() % 7 in self._weekdays
        return is_weekday and day.day in self._days and day.month in self._months

    def _instants(self, local: datetime) -> Iterator[datetime]:
        """When a local time counts."""
        first, second = (local.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first > second:  # the clock skips it (PEP 495)
            if not self._is_hourly:
                yield self._change(second, first)
            return
        yield first
        if second > first and self._is_hourly:
            yield second

    def _change(self, before: datetime, after: datetime) -> datetime:
        """When the clock is changed between two moments, to the second."""
        offset = before.astimezone(self._zone).utcoffset()
        while after - before > timedelta(seconds=1):
            middle = before + (after - before) // 2
            if middle.astimezone(self._zone).utcoffset() == offset:
                before = middle
            else:
                after = middle
        return after.replace(microsecond=0)


def check(text: str) -> None:
    """Refuse a crontab that Celery would not take, or that never occurs.

    Raises:
        ValueError: the field that is wrong, what is allowed in it, and what it is.
    """
    _fields(text)


def _fields(text: str) -> list[set[int]]:
    words = text.split(" ")
    if len(words) != len(FIELDS) or not all(words):
        fields = ", ".join(field.name for field in FIELDS)
        raise ValueError(f"must be five fields with one space between two: {fields}, as in 30 3 * * mon-fri")
    values = [_values(word, field) for word, field in zip(words, FIELDS, strict=True)]
    _, _, days, months, _ = values
    if min(days) > max(DAYS_IN_MONTH[month - 1] for month in months):
        raise ValueError(f"never occurs: no such month has a day {min(days)}")
    return values


def _values(word: str, field: _Field) -> set[int]:
    found: set[int] = set()
    for part in word.split(","):
        match = re.fullmatch(r"(\*|(\w+)(?:-(\w+))?)(?:/(\d+))?", part, re.ASCII)
        if not match or (match[4] and match[1] != "*" and not match[3]):
            raise ValueError(
                f"the {field.name} must be written as *, 5, 1-5, */15 or 0-30/10, or several of these with "
                f"commas between, not {part!r}"
            )
        if match[4] and not int(match[4]):
            raise ValueError(f"the step of the {field.name} must be at least 1, not {match[4]}")
        first = field.first if match[1] == "*" else _number(match[2], field)
        last = field.last if match[1] == "*" else _number(match[3] or match[2], field)
        round_the_end = [*range(first, field.last + 1), *range(field.first, last + 1)]
        found.update((range(first, last + 1) if first <= last else round_the_end)[:: int(match[4] or 1)])
    return found


def _number(word: str, field: _Field) -> int:
    if word.isdecimal() and field.first <= int(word) <= field.last:
        return int(word)
    for number, name in enumerate(field.names, field.first):
        if word.lower() in (name, name[:3]):
            return number
    raise ValueError(f"the {field.name} {field.allowed}, not {word}")
