"""How `submit` reads its arguments."""

from pathlib import Path
from typing import Any

import click
import pytest

from contentworker.cli.submit import _argument
from contentworker.errors import ContentError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a=b", ("a", "b"), id="string"),
        pytest.param("a=", ("a", ""), id="empty"),
        pytest.param("a=1", ("a", "1"), id="no number"),
        pytest.param("a=b=c@d", ("a", "b=c@d"), id="the first mark counts"),
        pytest.param('a:=[1, "b=c"]', ("a", [1, "b=c"]), id="JSON"),
        pytest.param("a:=null", ("a", None), id="null"),
    ],
)
def test_an_argument(text: str, expected: tuple[str, Any]) -> None:
    """NAME=VALUE is a string, NAME:=JSON a value."""
    assert _argument(text) == expected


def test_an_argument_from_a_file(tmp_path: Path) -> None:
    """NAME@FILE is its text; `=` in the path belongs to it; what is no UTF-8 is named by its place."""
    file = tmp_path / "a=b"
    file.write_text("# Ä\n", "utf-8")
    assert _argument(f"text@{file}") == ("text", "# Ä\n")
    with pytest.raises(click.BadParameter, match=r"a=b would send the name .*; for its text write text@/"):
        _argument(f"text=@{file}")
    assert _argument("text=@nobody") == ("text", "@nobody")
    file.write_bytes(b"ok\xff")
    with pytest.raises(ContentError, match=r"^text: .*a=b must be UTF-8; byte 2 is not$"):
        _argument(f"text@{file}")
    with pytest.raises(ContentError, match=r"cannot be read: No such file"):
        _argument(f"text@{tmp_path}/none")


@pytest.mark.parametrize("text", ["", "a", "=b", "@f", ":=1", "a b=c", "1a=b", "a:b=c", "a:=", "a:={"])
def test_what_is_no_argument(text: str) -> None:
    """No name, no mark, or no JSON: a wrong command line."""
    with pytest.raises(click.BadParameter):
        _argument(text)
