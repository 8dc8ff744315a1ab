"""The lines that Celery logs for each task, made readable: rounded times, and one short line in development.

Celery alone logs "Task tasks.evaluation.score_aeo[9f3c…] succeeded in 0.06234133s: , ...", and of a failure
that is retried only "retry: Retry in 68.37921480895791s: …", without a traceback until the last attempt.
"""

import logging
import re
from types import TracebackType
from typing import Any

from celery import Celery
from celery._state import get_current_task
from celery.signals import task_retry

__all__ = ["TASK_EVENTS", "begin", "duration", "own_frames"]

logger = logging.getLogger(__name__)

TASK_EVENTS = "celery.app.trace"
"""The logger that reports how a task has ended."""
RECEIVED = "celery.worker.strategy"
"""The logger that reports each message."""
ID_CHARACTERS = 4
MILLISECONDS_BELOW = 0.1
TWO_DIGITS_FROM = 10
MACHINERY = ("billiard", "celery", "kombu", "contentworker.runtime")
"""Packages whose frames stand before those of a task in its traceback."""


def begin(app: Celery) -> None:
    """Shape the lines of this worker's tasks; those of a worker in development mode are short."""
    logging.getLogger(TASK_EVENTS).addFilter(_rounded)
    if getattr(app, "development", None):
        logging.getLogger(TASK_EVENTS).addFilter(_shortened)
        logging.getLogger(RECEIVED).addFilter(_is_no_message)
        task_retry.connect(_log_retry, weak=False)


def duration(seconds: float) -> str:
    """A time for people, with two digits below ten: `62 ms`, `0.83 s`, `8.3 s`, `68 s`."""
    value, unit = (seconds * 1000, "ms") if seconds < MILLISECONDS_BELOW else (seconds, "s")
    return f"{value:.0f} {unit}" if value >= TWO_DIGITS_FROM else f"{value:.2g} {unit}"


def own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the task's first frame on; all of it if the task has none."""
    own = trace
    while own is not None:
        name = own.tb_frame.f_globals.get("__name__") or ""
        if not any(name == each or name.startswith(f"{each}.") for each in MACHINERY):
            return own
        own = own.tb_next
    return trace


def _rounded(record: logging.LogRecord) -> bool:
    data = record.__dict__.get("data")
    if not isinstance(data, dict):
        return True
    if "runtime" in data:
        record.msg = "Task %s[%s] succeeded in %s"
        record.args = (data["name"], data["id"], duration(data["runtime"]))
    elif _is_retry(data):
        told = re.sub(
            r"^Retry in ([\d.]+)s", lambda found: f"Retry in {duration(float(found[1]))}", data["exc"]
        )
        record.args = {**data, "exc": told}
    return True


def _shortened(record: logging.LogRecord) -> bool:
    data = record.__dict__.get("data")
    if not isinstance(data, dict):
        return True
    if _is_retry(data):
        return False  # `_log_retry` says more
    task = _short(data["name"], data["id"])
    if "runtime" in data:
        record.msg, record.args = "%s ok in %s", (task, duration(data["runtime"]))
    elif "exc" in data:
        record.msg, record.args = "%s failed%s: %s", (task, _attempt(is_final=True), data["exc"])
        record.levelno, record.levelname = logging.ERROR, "ERROR"
    record.is_short = True
    return True


def _is_no_message(record: logging.LogRecord) -> bool:
    return record.levelno != logging.INFO


def _is_retry(data: dict[str, Any]) -> bool:
    return "exc" in data and "description" not in data


def _log_retry(sender: Any = None, request: Any = None, reason: Any = None, **_: Any) -> None:
    """Log why an attempt failed, at once: with its traceback the first time, in a line after that."""
    task, delay = _short(sender.name, request.id), reason.when
    when = f"next attempt in {duration(delay)}" if isinstance(delay, int | float) else f"next attempt {delay}"
    more = {"is_short": True}
    if reason.exc is None:
        logger.info("%s asks for a retry%s, %s", task, _attempt(), when, extra=more)
        return
    trace = reason.exc if not request.retries else None
    logger.error("%s failed%s, %s: %r", task, _attempt(), when, reason.exc, exc_info=trace, extra=more)


def _attempt(*, is_final: bool = False) -> str:
    """Which attempt the running task is in. A first one that is also the last says nothing."""
    task = get_current_task()
    if task is None or (is_final and not task.request.retries):
        return ""
    every = "" if task.max_retries is None else f" of {task.max_retries + 1}"
    return f" (attempt {task.request.retries + 1}{every})"


def _short(name: str, task_id: str) -> str:
    return f"{name.rpartition('.')[2]}[{task_id[:ID_CHARACTERS]}]"
