"""What we take for a crontab is what Celery takes for one."""

import re

import pytest
from celery import schedules
from hypothesis import given, settings
from hypothesis import strategies as st

from contentworker import crontab

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
