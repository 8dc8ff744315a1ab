"""Log lines: JSON for programs, fields for the journal, text for people.

Celery sets up its loggers as usual, for each command and each pool process; then its handlers get another
formatter. So Celery's options keep their meaning: `--loglevel`, `--logfile`, `worker_hijack_root_logger`,
`worker_redirect_stdouts`.
"""

import json
import logging
import os
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from celery import current_app
from celery._state import get_current_task
from celery.signals import after_setup_logger, after_setup_task_logger, celeryd_after_setup, celeryd_init
from celery.utils.log import ColorFormatter, get_logger, get_multiprocessing_logger

from contentworker.printable import lines, one_line
from contentworker.runtime.logs import context as log_context
from contentworker.runtime.logs import journal
from contentworker.runtime.logs.task_lines import TASK_EVENTS, own_frames
from contentworker.runtime.settings import LogFormat, LogSettings
from contentworker.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["JsonFormatter", "TextFormatter", "format_of", "set_up"]

logger = get_logger(__name__)

SAID_SHORT = frozenset(("task", "task_id", "queue", "attempt", "run_id"))
"""Fields that a short line of development mode says in its own way, or does without."""

COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
DIM = "2"


class FieldsFormatter(logging.Formatter):
    """The fields of a record, in the order in which people read them."""

    def fields(self, record: logging.LogRecord) -> dict[str, str | int | float]:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, str | int | float] = {
            "time": f"{moment[:23]}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": log_context.message(record),
            **self.context(record),
        }
        if exception := self.exception(record):
            line["exc_type"], line["traceback"] = exception
        return line

    def context(self, record: logging.LogRecord) -> dict[str, str | int | float]:
        """Fields of the task, or the message, that the record is about."""
        context = log_context.fields()
        if record.name == TASK_EVENTS and (seconds := _duration_seconds(record)) is not None:
            context["duration_seconds"] = round(seconds, 6)
        return context

    def exception(self, record: logging.LogRecord) -> tuple[str, str] | None:
        """The type of an exception and its traceback."""
        if not record.exc_info or record.exc_info[0] is None:
            return None
        kind = record.exc_info[0]
        return f"{kind.__module__}.{kind.__qualname__}", self.formatException(record.exc_info)


class JsonFormatter(FieldsFormatter):
    """One JSON object a line, in ASCII, so that its encoding does not matter."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        return json.dumps(self.fields(record))


class TextFormatter(FieldsFormatter):
    """A line for people. Fields that the message does not contain follow it, dimmed."""

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._paint: Callable[[str, str], str] = _coloured if coloured else lambda text, _: text

    def exception(self, record: logging.LogRecord) -> tuple[str, str] | None:
        """The type of an exception and its traceback; in a short line, from the task's first frame on."""
        if getattr(record, "is_short", False) and record.exc_info and record.exc_info[0] is not None:
            kind, error, trace = record.exc_info
            return kind.__qualname__, self.formatException((kind, error, own_frames(trace)))
        return super().exception(record)

    def format(self, record: logging.LogRecord) -> str:
        """The record as text; only its first line begins with a time."""
        message = log_context.message(record)
        said = SAID_SHORT if getattr(record, "is_short", False) else ()
        more = " ".join(
            f"{name}={one_line(value)}"
            for name, value in self.context(record).items()
            if name != "duration_seconds"
            and name not in said
            and (name, value) != ("attempt", 1)
            and not (name in ("task", "task_id") and str(value) in message)
        )
        local = datetime.fromtimestamp(record.created).isoformat(" ", "milliseconds")  # noqa: DTZ006 (a person reads it: local time)
        level = self._paint(f"{record.levelname:<7}", COLOURS.get(record.levelname, ""))
        first, *rest = [*lines(message)] or [""]
        line = f"{self._paint(local, DIM)} {level} {first}"
        if more:
            line = f"{line}  {self._paint(more, DIM)}"
        if exception := self.exception(record):
            rest += lines(exception[1])
        # Indented, so that foreign text cannot look like another log line.
        return "\n".join([line, *(f"  {each}" for each in rest)])


def format_of(setting: LogFormat, stream: TextIO | None) -> LogFormat:
    """The format that `auto` means for this stream, which depends on who reads it."""
    if setting != "auto":
        return setting
    try:
        descriptor = stream.fileno() if stream else -1
    except (OSError, ValueError):  # a stream in memory
        return "json"
    if journal.is_stream(descriptor):
        return "journal"
    return "text" if os.isatty(descriptor) else "json"


def set_up(settings: LogSettings, level: int = logging.INFO) -> None:
    """Log to stderr in a process that is not a `celery` command."""
    root = logging.getLogger()
    root.handlers[:] = [_shaped(logging.StreamHandler(sys.__stderr__), settings.format)]
    root.setLevel(level)
    logging.captureWarnings(capture=True)


def _shaped(handler: logging.Handler, setting: LogFormat, *, coloured: bool = True) -> logging.Handler:
    """The handler with our formatter, or a handler for the journal in its place."""
    chosen = format_of(setting, getattr(handler, "stream", None))
    if chosen == "text":
        handler.setFormatter(TextFormatter(coloured=coloured and _is_for_colours(handler)))
        return handler
    handler.setFormatter(JsonFormatter())
    if chosen == "journal" and not isinstance(handler, logging.FileHandler):
        return journal.JournalHandler(handler.formatter, handler)
    return handler


def _is_for_colours(handler: logging.Handler) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    stream = getattr(handler, "stream", None)
    return bool(os.environ.get("FORCE_COLOR") or (stream and stream.isatty()))


def _setting() -> LogFormat:
    settings = getattr(current_app, "runtime_settings", None)
    return settings.logs.format if settings else "auto"


@after_setup_logger.connect
@after_setup_task_logger.connect
def _shape(*, logger: logging.Logger, colorize: bool | None = None, **_: Any) -> None:
    """Give Celery's own handlers our formatter. Handlers of others stay as they are."""
    for each in (logger, get_multiprocessing_logger()):
        each.handlers[:] = [
            _shaped(
                handler, _setting(), coloured=colorize is not False or bool(os.environ.get("FORCE_COLOR"))
            )
            if isinstance(handler.formatter, ColorFormatter)
            else handler
            for handler in each.handlers
        ]


@celeryd_init.connect
def _no_other_lines(instance: Any = None, **_: Any) -> None:
    """Off a terminal, stop Celery from printing: no banner, no warning before the log begins."""
    if format_of(_setting(), sys.__stderr__) == "text" and sys.__stderr__ and sys.__stderr__.isatty():
        return
    instance.quiet = True
    handler = _shaped(logging.StreamHandler(sys.__stderr__), _setting())
    if not logging.getLogger().handlers:  # until Celery sets up its own
        logging.getLogger().addHandler(handler)
    logging.captureWarnings(capture=True)
    sys.modules["celery.apps.worker"].safe_say = partial(_say, handler)  # type: ignore[attr-defined]


@celeryd_after_setup.connect
def _log_start(sender: str = "", instance: Any = None, **_: Any) -> None:
    """Log one line in place of Celery's banner."""
    if instance.quiet:
        queues = ", ".join(instance.app.amqp.queues.consume_from)
        pool = instance.pool_cls if isinstance(instance.pool_cls, str) else instance.pool_cls.__module__
        text = "%s starts; Content Worker %s; queues: %s; concurrency: %s (%s)"
        logger.info(text, sender, VERSION, queues, instance.concurrency, pool.rpartition(".")[2])


def _say(handler: logging.Handler, message: str, _stream: Any = None) -> None:
    """Log what Celery prints in a signal handler, without a lock, which the interrupted code may hold."""
    record = logging.LogRecord("celery.worker", logging.INFO, "", 0, message, None, None)
    if isinstance(handler, journal.JournalHandler):
        handler.emit(record)
    else:
        os.write(2, f"{handler.format(record)}\n".encode())


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
