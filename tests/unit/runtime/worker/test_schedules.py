"""What `[schedules.NAME]` may say, and what Celery makes of it."""

import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery, schedules
from pydantic import ValidationError

from contentworker import config
from contentworker.runtime.settings import ScheduleSettings
from contentworker.runtime.worker.rhythms import Crontab
from contentworker.runtime.worker.schedules import beat_schedule
from contentworker.time_zones import time_zone


def schedule(**keys: Any) -> dict[str, ScheduleSettings]:
    return {"night": ScheduleSettings(**{"task": "a.task", **keys})}


def test_celery_gets_what_is_enabled() -> None:
    """Interval or crontab, with the arguments; what is not enabled is left out."""
    every = beat_schedule(schedule(every_seconds=90, arguments={"deep": {"list": [1, None]}}))["night"]
    assert (every["task"], every["kwargs"]) == ("a.task", {"deep": {"list": [1, None]}})
    assert every["schedule"].run_every == timedelta(seconds=90)
    crontab = beat_schedule(schedule(crontab="30 3 * * mon", timezone="Europe/Berlin"))["night"]["schedule"]
    crontab.nowfun = lambda: datetime(2026, 12, 7, 2, 30, tzinfo=UTC)
    assert crontab.is_due(datetime(2026, 12, 7, 2, 29, tzinfo=UTC)) == (True, 7 * 86_400)
    assert crontab.is_due(datetime(2026, 12, 7, 2, 30, tzinfo=UTC)) == (False, 7 * 86_400)
    assert beat_schedule(schedule(every_seconds=90, enabled=False)) == {}


def test_why_celerys_own_crontab_is_not_used() -> None:
    """At a change of the clock it sends late, or nothing (celery #10107). If this fails, it may do now."""
    app = Celery("clocks", set_as_current=False)
    app.conf.timezone = "Europe/Berlin"

    def is_due(text: str, last: str, now: str) -> list[bool]:
        there, moments = (
            time_zone("Europe/Berlin"),
            [datetime.fromisoformat(f"{each}Z") for each in (last, now)],
        )
        given = {"nowfun": lambda: moments[1].astimezone(there), "app": app}
        theirs = schedules.crontab(*text.split(), **given)
        ours = Crontab(text, "Europe/Berlin", **given)
        return [each.is_due(moments[0].astimezone(there)).is_due for each in (theirs, ours)]

    assert is_due("30 2 * * *", "2026-03-28T12:00", "2026-03-29T01:10") == [False, True]
    assert is_due("0 * * * *", "2026-10-25T00:00", "2026-10-25T01:00") == [False, True]


def test_those_of_worker_toml_are_right() -> None:
    """worker.toml has one example."""
    assert [*beat_schedule(config.load(environ={}).schedules)] == ["purge"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        pytest.param({}, "either every_seconds or crontab must be given", id="no-rhythm"),
        pytest.param(
            {"every_seconds": 1, "crontab": "* * * * *"}, "either every_seconds or crontab", id="two-rhythms"
        ),
        pytest.param({"every_seconds": 0.5}, "every_seconds must be at least 1", id="too-often"),
        pytest.param({"every_seconds": -1}, "greater than or equal to 0", id="negative"),
        pytest.param({"crontab": "30 3 * *"}, "must be five fields", id="four-fields"),
        pytest.param({"every_seconds": 1, "arguments": {"when": object()}}, "JSON", id="no-json"),
        pytest.param({"crontab": "* * * * *", "timezone": "Europe"}, "must be a time zone", id="a-folder"),
        pytest.param({"crontab": "* * * * *", "timezone": "../x"}, "must be a time zone", id="a-path"),
        pytest.param({"crontab": "* * * * *", "timezone": "right/UTC"}, "must be a time", id="leap-seconds"),
        pytest.param({"every_seconds": 1, "queue": "one"}, "Extra inputs", id="unknown-key"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_said(keys: dict[str, Any], said: str) -> None:
    """One error that says what is expected."""
    with pytest.raises(ValidationError, match=said):
        schedule(**keys)


def test_a_system_without_time_zones() -> None:
    """As in a small container: those of the package tzdata do."""
    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        assert datetime(2026, 7, 1, tzinfo=time_zone("Europe/Berlin")).utcoffset() == timedelta(hours=2)
    finally:
        zoneinfo.reset_tzpath()


def test_a_machine_without_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """UTC needs no data; of any other zone the error says what is missing."""
    monkeypatch.setattr(zoneinfo, "ZoneInfo", NoData)
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    schedule(crontab="* * * * *")
    with pytest.raises(ValidationError, match="no time zone data; install tzdata"):
        schedule(crontab="* * * * *", timezone="Europe/Berlin")


class NoData:
    def __init__(self, name: str) -> None:
        raise zoneinfo.ZoneInfoNotFoundError(name)
