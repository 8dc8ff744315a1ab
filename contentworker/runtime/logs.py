"""Log lines: one an event, as JSON for programs, as fields for the journal, readable in a terminal.

Celery sets its loggers up as ever, for each of its commands and each pool process; what it has made is then
given another form. So its options keep their meaning: `--loglevel`, `--logfile`, `worker_hijack_root_logger`,
`worker_redirect_stdouts`.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TextIO

from celery import current_app
from celery._state import get_current_task
from celery.signals import after_setup_logger, after_setup_task_logger, celeryd_after_setup, celeryd_init
from celery.utils.log import ColorFormatter, get_logger, get_multiprocessing_logger

from contentworker.runtime import journal, log_context
from contentworker.runtime.settings import LogFormat, LogSettings

__all__ = ["JsonFormatter", "TextFormatter", "format_of", "set_up"]

logger = get_logger(__name__)

TASK_EVENTS = "celery.app.trace"
"""Who says how a task has ended."""

COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
DIM = "2"


class FieldsFormatter(logging.Formatter):
    """What an event consists of, in the order in which it is read."""

    def fields(self, record: logging.LogRecord) -> dict[str, str | int | float]:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        found: dict[str, str | int | float] = {
            "time": f"{moment[:23]}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        for name, value in self.context(record).items():
            found.setdefault(name, value)
        if exception := self.exception(record):
            found["exc_type"], found["traceback"] = exception
        return found

    def context(self, record: logging.LogRecord) -> dict[str, str | int | float]:
        """What belongs to the task, or the message, that this is about."""
        found = log_context.fields()
        if record.name == TASK_EVENTS and (seconds := _duration_seconds(record)) is not None:
            found["duration_seconds"] = round(seconds, 6)
        return found

    def exception(self, record: logging.LogRecord) -> tuple[str, str] | None:
        """The type of an exception and its traceback."""
        if not record.exc_info or record.exc_info[0] is None:
            return None
        kind = record.exc_info[0]
        return f"{kind.__module__}.{kind.__qualname__}", self.formatException(record.exc_info)


class JsonFormatter(FieldsFormatter):
    """One JSON object a line, in ASCII: whoever reads it needs to know of no encoding."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.fields(record))


class TextFormatter(FieldsFormatter):
    """For a person: what the message does not say anyway stands behind it, dimmed."""

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._paint: Callable[[str, str], str] = _coloured if coloured else lambda text, colour: text

    def format(self, record: logging.LogRecord) -> str:
        message = _message(record)
        more = " ".join(
            f"{name}={value}"
            for name, value in self.context(record).items()
            if name != "duration_seconds"
            and (name, value) != ("attempt", 1)
            and not (name in ("task", "task_id") and str(value) in message)
        )
        local = datetime.fromtimestamp(record.created).isoformat(" ", "milliseconds")
        level = self._paint(f"{record.levelname:<7}", COLOURS.get(record.levelname, ""))
        line = f"{self._paint(local, DIM)} {level} {message}"
        if more:
            line = f"{line}  {self._paint(more, DIM)}"
        exception = self.exception(record)
        return f"{line}\n{exception[1]}" if exception else line


def format_of(setting: LogFormat, stream: TextIO | None) -> LogFormat:
    """What `auto` means for this stream: what reads it."""
    if setting != "auto":
        return setting
    try:
        descriptor = stream.fileno() if stream else -1
    except (OSError, ValueError):  # a stream of Python's own
        return "json"
    if journal.is_stream(descriptor):
        return "journal"
    return "text" if os.isatty(descriptor) else "json"


def set_up(settings: LogSettings, level: int = logging.INFO) -> None:
    """Log to stderr in a process that is no command of Celery's."""
    root = logging.getLogger()
    root.handlers[:] = [_shaped(logging.StreamHandler(sys.__stderr__), settings.format)]
    root.setLevel(level)
    logging.captureWarnings(True)


def _shaped(handler: logging.Handler, setting: LogFormat, *, coloured: bool = True) -> logging.Handler:
    """This handler with the right form, or the journal's in its place."""
    chosen = format_of(setting, getattr(handler, "stream", None))
    if chosen == "text":
        handler.setFormatter(TextFormatter(coloured=coloured and _is_for_colours(handler)))
        return handler
    handler.setFormatter(JsonFormatter())
    if chosen == "journal" and not isinstance(handler, logging.FileHandler):
        return journal.JournalHandler(handler.formatter, handler)
    return handler


def _is_for_colours(handler: logging.Handler) -> bool:
    stream = getattr(handler, "stream", None)
    return bool(stream and stream.isatty() and not os.environ.get("NO_COLOR"))


def _setting() -> LogFormat:
    settings = getattr(current_app, "runtime_settings", None)
    return settings.logs.format if settings else "auto"


@after_setup_logger.connect
@after_setup_task_logger.connect
def _shape(logger: logging.Logger, colorize: bool | None = None, **_: Any) -> None:
    """Only what Celery has made: the handlers of others stay as they are."""
    for each in (logger, get_multiprocessing_logger()):
        each.handlers[:] = [
            _shaped(handler, _setting(), coloured=colorize is not False)
            if isinstance(handler.formatter, ColorFormatter)
            else handler
            for handler in each.handlers
        ]


@celeryd_init.connect
def _no_other_lines(instance: Any = None, **_: Any) -> None:
    """Where programs read, have Celery print nothing beside the log: no banner, no warning before the log."""
    if format_of(_setting(), sys.__stderr__) == "text":
        return
    instance.quiet = True
    handler = _shaped(logging.StreamHandler(sys.__stderr__), _setting())
    if not logging.getLogger().handlers:  # until Celery sets its own up
        logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
    sys.modules["celery.apps.worker"].safe_say = partial(_say, handler)  # type: ignore[attr-defined]


@celeryd_after_setup.connect
def _instead_of_the_banner(sender: str = "", instance: Any = None, **_: Any) -> None:
    if instance.quiet:
        queues = ", ".join(instance.app.amqp.queues.consume_from)
        pool = instance.pool_cls if isinstance(instance.pool_cls, str) else instance.pool_cls.__module__
        text = "%s starts; queues: %s; concurrency: %s (%s)"
        logger.info(text, sender, queues, instance.concurrency, pool.rpartition(".")[2])


def _say(handler: logging.Handler, message: str, stream: Any = None) -> None:
    """What Celery says when a signal has come; that may have interrupted whoever holds a handler's lock."""
    record = logging.LogRecord("celery.worker", logging.INFO, "", 0, message, None, None)
    if isinstance(handler, journal.JournalHandler):
        handler.emit(record)
    else:
        os.write(2, f"{handler.format(record)}\n".encode())


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # a log line that was written wrongly is no reason to lose it
        return str(record.msg)


def _duration_seconds(record: logging.LogRecord) -> float | None:
    data = record.__dict__.get("data")
    if not isinstance(data, dict):
        return None
    if "runtime" in data:
        return float(data["runtime"])
    task = get_current_task()
    begun = getattr(task.request, "begun", None) if task is not None else None
    return time.monotonic() - begun if isinstance(begun, float) else None


def _coloured(text: str, colour: str) -> str:
    return f"\033[{colour}m{text}\033[0m" if colour else text
