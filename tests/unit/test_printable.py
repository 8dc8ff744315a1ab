"""Nothing that a stranger wrote steers a terminal, or looks like a line of ours."""

import io
import json
import logging
from datetime import UTC, datetime

import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from contentworker import printable
from contentworker.cli import dead_letters as dead_letters_cli
from contentworker.cli.errors import PlainErrorsGroup
from contentworker.cli.top_page import render
from contentworker.errors import ContentError
from contentworker.runtime.logs import context as log_context
from contentworker.runtime.logs import lines as logs
from contentworker.runtime.records.dead_letters import DeadLetter, EarlierLetter, UnknownLetter
from contentworker.runtime.records.letter_parts import LetterParts
from contentworker.runtime.records.pauses import Pause
from contentworker.runtime.watching.overview import Away, Failure, Overview, Running, WorkerState

NOW = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)
LINE_OF_OURS = "2026-11-28 12:00:00.000 INFO    all is well"
# As JSON may carry it: half a surrogate pair, too.
foreign = st.lists(
    st.sampled_from(
        [*"\x1b\x07\x9b\r\n\u2028\u202e\u200f\u0085\ud83d\U000e0041\x00 a", "\n" + LINE_OF_OURS, "\x1b[2J"]
    )
    | st.characters(),
    max_size=8,
).map("".join)


@settings(deadline=None)
@given(foreign)
def test_one_line_and_lines(text: str) -> None:
    """Each is printable and can be encoded; what was printable is left alone."""
    assert printable.one_line(text).isprintable()
    assert all(line.isprintable() and line.encode() is not None for line in printable.lines(text))
    assert printable.one_line("häß λ 日本 \\n") == "häß λ 日本 \\n"
    assert [*printable.lines(ValueError("a\n\x1bä\u202e"))] == ["a", "\\x1bä\\u202e"]


@pytest.mark.parametrize(
    ("value", "text"),
    [("ä", "ä"), ("ä".encode(), "ä"), (b"", ""), (b"a\xffb", "a\\xffb")],
    ids=["text", "utf-8", "empty", "no-utf-8"],
)
def test_what_redis_returned(value: bytes | str, text: str) -> None:
    """Text from any client, and never an error: anybody may have written it."""
    assert printable.decoded(value) == text


@settings(deadline=None)
@given(foreign)
def test_any_text_can_be_made_encodable(text: str) -> None:
    """Half a surrogate pair is written out, all else stays."""
    assert printable.encodable(text) == text.encode("utf-8", "backslashreplace").decode("utf-8")
    assert printable.encodable("a\ud800b") == "a\\ud800b"


@settings(deadline=None)
@given(foreign)
def test_json(text: str) -> None:
    """ASCII without control characters, and the same value when it is read."""
    for value in (text, text + "\x7f"):
        shown = printable.json_text({"a": [value]})
        assert shown.isascii()
        assert shown.isprintable()
        assert json.loads(shown) == {"a": [value]}
    assert printable.json_text({"a": "\x7f"}, 2) == '{\n  "a": "\\u007f"\n}'


@pytest.mark.parametrize("value", ["a\nb", "\x1b", "\u202e", ["a", "b\x00"], ("a", ["\r"])], ids=repr)
def test_settings_that_would_need_escaping_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must be one line of text without control characters"):
        printable.check(value)


@pytest.mark.parametrize("value", ["", "häß λ 日本 \\n", 5, None, ["a", 5], ("a", ["b"])], ids=repr)
def test_other_settings_are_allowed(value: object) -> None:
    """Text of any language; what is no text has nothing to escape."""
    printable.check(value)


@settings(deadline=None)
@given(foreign)
def test_dead_letters(text: str) -> None:
    """`show` and `list`, of a letter that a stranger caused, and of one of another version."""
    message = json.dumps(
        {
            "body": json.dumps([[text], {text: [text]}, {}]),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"task": text, "id": text},
            "properties": {},
        }
    )
    letter = DeadLetter(
        reason="failed", error=text, exception=text, traceback=text, queue=text, task=text, task_id=text,
        worker=text, message=message, history=(EarlierLetter(id=text, arrived=NOW, reason=text, error=text),),
    )  # fmt: skip
    unread = letter.model_copy(update={"message": text.encode("utf-8", "replace").decode()})
    for each in (letter, unread, UnknownLetter(version=text, content=text)):
        assert all(line.isprintable() for line in dead_letters_cli._page("1-0", NOW, each))
    for version in (text, "2"):
        parts = LetterParts("1-0", 1, version, "failed", text, text, text, text, text, False, text)
        assert dead_letters_cli._summary(parts).isprintable()


@settings(deadline=None, max_examples=30)
@given(foreign)
def test_top(text: str) -> None:
    """Its page, as it is in a pipe."""
    overview = Overview(
        at=NOW, transport="leased", is_measured=True, away=Away(NOW, text), state=None,
        workers=(WorkerState(text, (text,), 1.0, 1),),
        running=(Running(text, text, text, text, 1.0),), asked_seconds=1.0, rates=None,
        failures=(Failure(NOW, text, text, text),), paused_schedules={text: Pause(text, NOW)}, spent_today=0,
        cap_per_day=0,
    )  # fmt: skip
    file = io.StringIO()
    Console(file=file, width=200, highlight=False).print(render(overview, 200))
    assert all(line.isprintable() for line in file.getvalue().split("\n"))


@settings(deadline=None)
@given(foreign, foreign)
def test_text_log(message: str, header: str) -> None:
    """Message, fields and traceback: only the first line begins as lines of the log do."""
    try:
        raise ValueError(message)
    except ValueError as error:
        exc_info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("a", logging.ERROR, __file__, 1, "%s", (message,), exc_info)
    with log_context.handling({"task": header, "id": header, "article_id": header}, {"routing_key": header}):
        first, *others = logs.TextFormatter(coloured=False).format(record).split("\n")
    assert first.isprintable()
    assert all(line.startswith("  ") and line.isprintable() for line in others)


@pytest.mark.parametrize("error", [ContentError("content", "\x1b[2J"), click.ClickException("\u202ex\nb")])
def test_errors_of_commands(error: Exception) -> None:
    """What a task or a server answered, and a command quotes."""

    @click.group(cls=PlainErrorsGroup)
    def group() -> None:
        """A command line of ours."""

    @group.command()
    def fail() -> None:
        raise error

    done = CliRunner().invoke(group, ["fail"])
    assert done.exit_code == 1
    assert all(line.isprintable() for line in done.output.split("\n"))
    assert "\\x1b[2J" in done.output or "\\u202ex" in done.output
