"""What a log line, a span or an error report says of the task that it belongs to."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from celery._state import get_current_task

__all__ = ["bind", "fields", "handling"]

CARRIED = ("article_id", "run_id")
"""Headers of a message that are fields as well, whoever sent it; what they mean is the tasks' to know."""

LONGEST_CHARACTERS = 200
BOUND = "_log_fields"
NUMBERS = (int, float)  # a union of types takes many times as long to look at

_in_hand: ContextVar[tuple[Any, Any] | None] = ContextVar("in_hand", default=None)


def bind(**values: str | int | float | None) -> None:
    """Have all that is said of the running task until its end say these as well; outside of one, nothing.

    Ids and counts, never a text: logs are read, and kept, by others than those who may read articles.
    """
    task = get_current_task()
    if task is not None:
        values = {name: value for name, value in values.items() if value is not None}
        own = vars(task.request)
        bound = own.get(BOUND)
        own[BOUND] = {**bound, **values} if isinstance(bound, dict) else values


@contextmanager
def handling(headers: Any, delivery_info: Any) -> Iterator[None]:
    """Meanwhile what is said outside of a task is said of this message. Both may be a stranger's."""
    token = _in_hand.set((headers, delivery_info))
    try:
        yield
    finally:
        _in_hand.reset(token)


def fields() -> dict[str, str | int | float]:
    """Of the running task, else of the message in hand: its name, id, queue, attempt and what was bound."""
    task = get_current_task()
    if task is not None and (request := vars(task.request)).get("id"):
        return _fields(request, request.get("delivery_info"))
    if (in_hand := _in_hand.get()) is not None:
        return _fields(*in_hand)
    return {}


def _fields(headers: Any, delivery_info: Any) -> dict[str, str | int | float]:
    headers = headers if isinstance(headers, dict) else {}
    delivery_info = delivery_info if isinstance(delivery_info, dict) else {}
    said = {
        "task": headers.get("task"),
        "task_id": headers.get("id"),
        "queue": delivery_info.get("routing_key"),
        "attempt": _attempt(headers.get("retries")),
    }
    for name in CARRIED:
        said[name] = headers.get(name)
    if isinstance(bound := headers.get(BOUND), dict):
        said.update(bound)
    found: dict[str, str | int | float] = {}
    for name, value in said.items():
        if isinstance(value, str):
            found[name] = value[:LONGEST_CHARACTERS]
        elif isinstance(value, NUMBERS):
            found[name] = value
    return found


def _attempt(retries: Any) -> int:
    return retries + 1 if isinstance(retries, int) else 1
