"""Whether a crontab can occur, said in words. Celery, which reads it in the end, need not be installed."""

import re
from typing import NamedTuple

__all__ = ["check"]

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


def check(text: str) -> None:
    """Refuse a crontab that Celery would not take, or that never occurs.

    Raises:
        ValueError: the field that is wrong, what is allowed in it, and what it is.
    """
    words = text.split(" ")
    if len(words) != len(FIELDS) or not all(words):
        fields = ", ".join(field.name for field in FIELDS)
        raise ValueError(f"must be five fields with one space between two: {fields}, as in 30 3 * * mon-fri")
    _, _, days, months, _ = [_values(word, field) for word, field in zip(words, FIELDS, strict=True)]
    if min(days) > max(DAYS_IN_MONTH[month - 1] for month in months):
        raise ValueError(f"never occurs: no such month has a day {min(days)}")


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
