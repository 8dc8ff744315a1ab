"""What we take for a crontab is what Celery takes for one; its moments are exact in every time zone."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

import pytest
from celery import schedules
from hypothesis import given, settings
from hypothesis import strategies as st

from contentworker import crontab
from contentworker.time_zones import time_zone

NUMBERS = st.one_of(st.integers(0, 75).map(str), st.sampled_from(["mon", "Sunday", "feb", "june", "x", "07"]))
PARTS = st.one_of(
    st.sampled_from(["*", "*/15", "*/0", "*/", "/5", "1/5", "-1", "1-", "?", "1.5", "L"]),
    NUMBERS,
    st.builds("{}-{}".format, NUMBERS, NUMBERS),
    st.builds("{}-{}/{}".format, NUMBERS, NUMBERS, st.integers(0, 9)),
)
WORDS = st.lists(PARTS, min_size=1, max_size=3).map(",".join)
GOOD = st.tuples(
    *(
        st.one_of(
            st.just("*"),
            st.integers(low, high).map(str),
            st.builds("{}-{}/{}".format, st.integers(low, high), st.integers(low, high), st.integers(1, 9)),
            st.integers(1, 9).map("*/{}".format),
        )
        for low, high in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
    )
).map(" ".join)


def celery_takes(text: str) -> bool:
    try:
        schedules.crontab.from_string(text)
    except (ValueError, schedules.ParseException):
        return False
    return True


def we_take(text: str) -> bool:
    try:
        crontab.check(text)
    except ValueError:
        return False
    return True


@given(st.tuples(*[WORDS] * 5).map(" ".join) | GOOD)
@settings(max_examples=100, deadline=None)
def test_celery_takes_what_we_take(text: str) -> None:
    """Nothing that passes here stops beat."""
    assert celery_takes(text) or not we_take(text)


@given(GOOD)
@settings(max_examples=100, deadline=None)
def test_we_take_what_celery_takes(text: str) -> None:
    """Numbers, ranges and steps: neither is stricter, also about days that no month has."""
    assert we_take(text) == celery_takes(text)


def test_every_day_of_every_month() -> None:
    """The last days of each month, one by one."""
    texts = [f"0 0 {day} {month} *" for day in range(28, 33) for month in range(1, 13)]
    assert [text for text in texts if we_take(text)] == [text for text in texts if celery_takes(text)]


@pytest.mark.parametrize(
    "text", ["30 3 * * mon-fri", "0 0 29 feb *", "0 0 31 1,4 *", "*/15 22-4 1-31/2 jan-March Saturday,0"]
)
def test_names_and_leap_days(text: str) -> None:
    assert we_take(text)
    assert celery_takes(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("75 3 * * *", "the minute must be 0 to 59, not 75"),
        ("0 24 * * *", "the hour must be 0 to 23, not 24"),
        ("0 3 0 * *", "the day of the month must be 1 to 31, not 0"),
        ("0 3 * 13 *", "the month must be 1 to 12 or jan to dec, not 13"),
        ("0 3 * j *", "the month must be 1 to 12 or jan to dec, not j"),
        ("0 3 * * someday", "the day of the week must be 0 to 6 or sun to sat, not someday"),
        ("0 3 31 feb,4 *", "never occurs: no such month has a day 31"),
        ("*/0 3 * * *", "the step of the minute must be at least 1, not 0"),
        ("5/10 3 * * *", "the minute must be written as *, 5, 1-5, */15 or 0-30/10"),
        ("30 3 * *", "must be five fields"),
        ("30  3 * * *", "must be five fields"),
    ],
)
def test_what_is_wrong_is_said_in_words(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        crontab.check(text)
    assert str(caught.value).startswith(said)
    assert not celery_takes(text)


ZONES = {
    "Europe/Berlin": "north",
    "America/New_York": "north, west of Greenwich",
    "Australia/Sydney": "south",
    "Australia/Lord_Howe": "half an hour",
    "America/Santiago": "south, at midnight",
    "Asia/Beirut": "at midnight: the repeated hour belongs to the day before",
    "Africa/Casablanca": "summer time all year but Ramadan",
    "America/St_Johns": "an odd offset",
    "Asia/Kolkata": "never",
    "UTC": "never",
}
YEAR = 2026
MINUTE = timedelta(minutes=1)


def expected(texts: Sequence[str], zone: tzinfo, begin: datetime, end: datetime) -> dict[str, list[datetime]]:
    """When the moments of crontabs count, by looking at a clock on the wall each minute.

    Celery reads the fields, and only that. A crontab of every hour counts whenever the clock shows such a
    time. Of others, each time of day counts once, when the clock first shows it, or has jumped over it.
    """
    found: dict[str, list[datetime]] = {text: [] for text in texts}
    crontabs = {text: schedules.crontab.from_string(text) for text in texts}
    latest = (begin - MINUTE).astimezone(zone).replace(tzinfo=None)
    for number in range((end - begin) // MINUTE):
        now = begin + number * MINUTE
        local = now.astimezone(zone).replace(tzinfo=None)
        jumped = [latest + MINUTE * each for each in range(1, (local - latest) // MINUTE + 1)]
        latest = max(latest, local)
        for text, fields in crontabs.items():
            is_hourly = len(fields.hour) == 24
            if any(
                each.minute in fields.minute
                and each.hour in fields.hour
                and each.day in fields.day_of_month
                and each.month in fields.month_of_year
                and each.isoweekday() % 7 in fields.day_of_week
                for each in ([local] if is_hourly else jumped)
            ):
                found[text].append(now)
    return found


def moments(text: str, zone: str, begin: datetime, end: datetime) -> list[datetime]:
    """What we take for the moments in this time."""
    crontab_there = crontab.Crontab(text, time_zone(zone))
    found = []
    moment = crontab_there.after(begin - timedelta(microseconds=1))
    while moment < end:
        found.append(moment)
        moment = crontab_there.after(moment)
    return found


def changes(zone: str) -> list[datetime]:
    """The hours of the year after which the clock of a zone is changed."""
    hours = [datetime(YEAR, 1, 1, tzinfo=UTC) + timedelta(hours=each) for each in range(365 * 24)]
    offsets = [each.astimezone(time_zone(zone)).utcoffset() for each in hours]
    return [hour for hour, one, two in zip(hours, offsets, offsets[1:], strict=False) if one != two]


CHANGES = {zone: changes(zone) or [datetime(YEAR, 2, 28, 23, tzinfo=UTC)] for zone in ZONES}


@given(
    GOOD.filter(we_take), st.sampled_from([(zone, each) for zone, hours in CHANGES.items() for each in hours])
)
@settings(max_examples=50, deadline=None)
def test_each_moment_around_a_change_of_the_clock_counts_once(
    text: str, change: tuple[str, datetime]
) -> None:
    """Of any crontab, in each zone, at each change of its clocks in a year, and the days around it."""
    zone, hour = change
    begin, end = hour - timedelta(days=1, hours=hour.hour), hour + timedelta(days=1)
    assert moments(text, zone, begin, end) == expected([text], time_zone(zone), begin, end)[text]


def test_each_moment_of_a_year_counts_once() -> None:
    """By the minute, hour, day, and with names: nothing is left out, nothing comes twice."""
    zone = "Australia/Lord_Howe"
    begin, end = datetime(YEAR, 1, 1, tzinfo=UTC), datetime(YEAR + 1, 1, 1, tzinfo=UTC)
    texts = ("30 2 * * *", "0 0 * * sun", "*/20 0-3 1-15 * *", "15 * * mar,apr,sep,oct *")
    found = {text: moments(text, zone, begin, end) for text in texts}
    assert found == expected(texts, time_zone(zone), begin, end)


@pytest.mark.parametrize(
    ("text", "zone", "after", "shown"),
    [
        pytest.param("30 2 * * *", "Europe/Berlin", "2026-03-28T12", "03-29 03:00 +0200", id="skipped"),
        pytest.param("30 2 * * *", "Europe/Berlin", "2026-03-29T01", "03-30 02:30 +0200", id="only-once"),
        pytest.param("30 2 * * *", "Europe/Berlin", "2026-10-24T12", "10-25 02:30 +0200", id="twice-first"),
        pytest.param("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30", "10-26 02:30 +0100", id="not-again"),
        pytest.param("30 * * * *", "Europe/Berlin", "2026-03-29T00:30", "03-29 03:30 +0200", id="hourly-gap"),
        pytest.param("30 * * * *", "Europe/Berlin", "2026-10-25T00:30", "10-25 02:30 +0100", id="hourly"),
        pytest.param("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00", "10-04 02:30 +1100", id="half"),
        pytest.param("0 0 * * *", "America/Santiago", "2026-09-05T12", "09-06 01:00 -0300", id="midnight"),
        pytest.param("30 23 * * *", "Asia/Beirut", "2026-10-24T20:30", "10-25 23:30 +0200", id="beirut"),
        pytest.param("0 12 30 12 *", "Pacific/Apia", "2011-12-29T00", "12-31 00:00 +1400", id="day-skipped"),
        pytest.param("0 9 29 2 mon", "Europe/Berlin", "2072-03-01T00", "02-29 09:00 +0100", id="rarest"),
    ],
)
def test_the_moments_that_people_ask_about(text: str, zone: str, after: str, shown: str) -> None:
    moment = crontab.Crontab(text, time_zone(zone)).after(datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert f"{moment.astimezone(time_zone(zone)):%m-%d %H:%M %z}" == shown
