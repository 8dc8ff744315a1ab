"""Fields that connect a log line, a span or an error report to its task, such as `task_id`."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from celery._state import get_current_task

__all__ = [
    "ARGUMENTS_SHOWN",
    "LONGEST_CHARACTERS",
    "NOT_SHOWN",
    "Attributes",
    "Say",
    "bind",
    "fields",
    "handling",
    "message",
]

Attributes = Mapping[str, str | int | float]
"""Fields of a log line or a span."""
Say = Callable[[Attributes], None]
"""Adds fields to the current span."""

ARGUMENTS_SHOWN = ("argsrepr", "kwargsrepr")
"""Headers with a preview of the task's arguments. Logs, events and Flower show them."""
NOT_SHOWN = "(not shown)"
"""Replaces what must not be shown. If a preview were empty, Celery would make one from the arguments."""

logger = logging.getLogger(__name__)

CARRIED = ("article_id", "run_id")
"""Headers of a message that become fields. Any client may set them."""

LONGEST_CHARACTERS = 200
LARGEST_NUMBER = 2**63 - 1
"""What the readers of JSON lines and spans can take; a client's header may be any number."""
BOUND = "_log_fields"
"""Attribute of a request for fields that the task has bound. A client's header of this name becomes the same
attribute, but its value is never a `_Bound`: only the process that runs the task makes those."""
NAME = re.compile(r"(?!syslog_|code_|object_|coredump_)[a-z][a-z0-9_]{0,63}")
"""Names that a task may bind. The prefixes have a meaning in the journal, see systemd.journal-fields(7)."""
RESERVED = frozenset(
    (
        *("task", "task_id", "queue", "attempt", "duration_seconds", "exc_type", "traceback"),
        *("time", "level", "logger", "message", "message_id", "priority", "errno", "unit", "user_unit"),
        *("documentation", "invocation_id", "tid"),
    )
)
"""More names that a task cannot bind: those of every line, and other fields of the journal."""


class _Bound(dict[str, str | int | float]):
    """Fields that a task has bound."""


_message: ContextVar[tuple[Any, Any] | None] = ContextVar("message", default=None)


def bind(**values: str | float | None) -> None:
    """Add fields to all further log lines, spans and error reports of the running task: `bind(pages=3)`.

    Bind ids and counts, never text: people who may not read articles read and keep logs. A name that log
    lines or the journal use is left out, with an error in the log. Outside of a task nothing happens.
    """
    task = get_current_task()
    if task is None:
        return
    request = vars(task.request)
    if not isinstance(request.get(BOUND), _Bound):
        request[BOUND] = _Bound()
    for name, value in values.items():
        if name in RESERVED or not NAME.fullmatch(name):
            logger.error("Log field %r is left out: the name is reserved or not valid, choose another", name)
        elif value is not None:
            request[BOUND][name] = value


@contextmanager
def handling(headers: Any, delivery_info: Any) -> Iterator[None]:
    """Within the block, log lines outside of a task are about this message. Its parts may be anything."""
    token = _message.set((headers, delivery_info))
    try:
        yield
    finally:
        _message.reset(token)


def fields() -> dict[str, str | int | float]:
    """Fields of the running task, or of the message that `handling` names: its id, queue and so on."""
    task = get_current_task()
    if task is not None and (request := vars(task.request)).get("id"):
        return _fields(request, request.get("delivery_info"))
    message = _message.get()
    return {} if message is None else _fields(*message)


def _fields(headers: Any, delivery_info: Any) -> dict[str, str | int | float]:
    headers = headers if isinstance(headers, dict) else {}
    delivery_info = delivery_info if isinstance(delivery_info, dict) else {}
    retries, bound = headers.get("retries"), headers.get(BOUND)
    values = {
        "task": headers.get("task"),
        "task_id": headers.get("id"),
        "queue": delivery_info.get("routing_key"),
        "attempt": retries + 1 if isinstance(retries, int) else 1,
        **{name: headers.get(name) for name in CARRIED},
        **(bound if isinstance(bound, _Bound) else {}),
    }
    known: dict[str, str | int | float] = {}
    for name, value in values.items():
        if isinstance(value, str):
            known[name] = value[:LONGEST_CHARACTERS]
        # A tuple: a union of types is many times as slow. The bound leaves out infinity and NaN as well.
        elif isinstance(value, (int, float)) and abs(value) <= LARGEST_NUMBER:
            known[name] = value
    return known


def message(record: logging.LogRecord) -> str:
    """The text of a record; without its arguments if they do not fit, since that is better than no line."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 (an argument's own method may raise anything)
        return str(record.msg)
