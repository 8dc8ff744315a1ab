"""Ids by their first characters."""

import click
import pytest

from contentworker.cli import ids

KNOWN = ["abcd", "abcdef1", "abcdef2", "abcx"]


def whole(typed: str) -> str:
    return ids.whole(typed, lambda beginning: [each for each in KNOWN if each.startswith(beginning)])


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        pytest.param("abcx", "abcx", id="whole"),
        pytest.param("abcd", "abcd", id="whole, though others begin so"),
        pytest.param("abcdef1", "abcdef1", id="longest"),
        pytest.param("zzzz", "zzzz", id="none"),
        pytest.param("abc", "abc", id="too short to be meant"),
    ],
)
def test_one_or_none(typed: str, expected: str) -> None:
    """What no id begins with stays as it was typed, for the error that names it."""
    assert whole(typed) == expected


def test_several() -> None:
    """All are listed, or the first ten and dots."""
    with pytest.raises(click.ClickException) as error:
        whole("abcde")
    assert error.value.message == "abcde: several ids begin with this: abcdef1, abcdef2"
    many = [f"long{number:02}" for number in range(11)]
    with pytest.raises(click.ClickException, match=r"long09, \.\.\.$"):
        ids.whole("long", lambda beginning: many)
