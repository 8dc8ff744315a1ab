"""Arguments are checked by a task's type hints, results become JSON."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Reject
from pydantic import BaseModel, StrictStr

from contentworker.errors import ContentError, PermanentError
from contentworker.runtime.worker.arguments import TypedTask


class Report(BaseModel):
    day: date
    note: str | None = None


@pytest.fixture(scope="module")
def app() -> Iterator[Celery]:
    """An application with nothing behind it."""
    app = Celery("test", set_as_current=False, broker="memory://", backend="cache+memory://")
    yield app
    app.close()


@pytest.fixture(scope="module")
def typed(app: Celery) -> Any:
    """A task with one argument of each kind."""

    @app.task(base=TypedTask, name="typed")
    def typed(
        text: StrictStr, count: int = 1, day: date | None = None, tags: list[str] | None = None
    ) -> list[Any]:
        """What it does."""
        return [text, count, day, tags]

    return typed


def test_arguments_come_as_what_the_hints_say(typed: Any) -> None:
    """A date travels as text and arrives as a date."""
    assert typed("a", count=2, day="2026-01-02", tags=["b"]) == ["a", 2, date(2026, 1, 2), ["b"]]


def test_arguments_can_be_given_by_position(typed: Any) -> None:
    """As any Celery client may."""
    assert typed("a", 2) == ["a", 2, None, None]


@pytest.mark.parametrize(
    ("args", "kwargs", "field", "expected"),
    [
        pytest.param(
            (), {}, "text", "missing required argument; allowed: text, count, day, tags", id="missing"
        ),
        pytest.param(
            ("a",), {"txt": 1}, "txt", "unexpected keyword argument; allowed: text, count", id="unknown"
        ),
        pytest.param(("a",), {"text": "b"}, "text", "got multiple values for argument", id="given-twice"),
        pytest.param(("a", 1, None, None, 5), {}, "4", "unexpected positional argument", id="too-many"),
        pytest.param((3,), {}, "text", "input should be a valid string, not int", id="number-by-position"),
        pytest.param((), {"text": None}, "text", "input should be a valid string, not NoneType", id="none"),
        pytest.param((), {"text": ["a"]}, "text", "input should be a valid string, not list", id="list"),
        pytest.param(("a", "x"), {}, "count", "input should be a valid integer", id="no-number"),
        pytest.param(("a",), {"day": "31 June"}, "day", "input should be a valid date", id="no-date"),
        pytest.param(
            ("a",), {"tags": ["b", 3]}, "tags.1", "input should be a valid string, not int", id="element"
        ),
    ],
)
def test_wrong_arguments_are_one_content_error(
    typed: Any, args: tuple[Any, ...], kwargs: dict[str, Any], field: str, expected: str
) -> None:
    """The error names the argument and what was expected of it, and is never retried."""
    with pytest.raises(ContentError) as caught:
        typed(*args, **kwargs)
    assert caught.value.field == field
    assert caught.value.expected.startswith(expected)
    assert isinstance(caught.value, PermanentError)


def test_a_secret_argument_is_not_repeated_in_the_error(typed: Any) -> None:
    """What was given can be long or private: the error says its type only."""
    with pytest.raises(ContentError) as caught:
        typed("a", tags="s3cret")
    assert "s3cret" not in str(caught.value)


def test_model_becomes_json(app: Celery) -> None:
    """A result backend that knows JSON only can keep it."""

    @app.task(base=TypedTask, name="report")
    def report(day: date) -> Report:
        return Report(day=day)

    assert report(day="2026-01-02") == {"day": "2026-01-02", "note": None}


def test_bound_task_gets_itself(app: Celery) -> None:
    """bind=True works, and `self` is no argument that a client could give."""

    @app.task(base=TypedTask, name="bound", bind=True)
    def bound(self: Any, count: int) -> list[Any]:
        return [self.name, count]

    assert bound(3) == bound(count=3) == ["bound", 3]
    with pytest.raises(ContentError) as caught:
        bound()
    assert caught.value.field == "count"
    assert "self" not in caught.value.expected


def test_errors_of_the_body_pass_unchanged(app: Celery) -> None:
    """Only the call is checked: what the body raises is its own."""

    @app.task(base=TypedTask, name="raises.kind")
    def raises(kind: str) -> None:
        if kind == "reject":
            raise Reject("a")
        int(kind)

    with pytest.raises(Reject):
        raises("reject")
    with pytest.raises(ValueError, match="invalid literal"):
        raises("x")
    with pytest.raises(ContentError):
        raises(kind=3)


def test_task_keeps_its_name_and_documentation(typed: Any) -> None:
    """Flower, `inspect` and help() show the body's."""
    assert typed.name == "typed"
    assert typed.run.__name__ == "typed"
    assert typed.run.__doc__ == "What it does."


def test_content_error_can_be_rebuilt_from_json() -> None:
    """A JSON result backend keeps an error's arguments; field and reason come back from them."""
    error = ContentError("text", "a string")
    again = ContentError(*json.loads(json.dumps(error.args)))
    assert (again.field, again.expected, str(again)) == ("text", "a string", "text: a string")
