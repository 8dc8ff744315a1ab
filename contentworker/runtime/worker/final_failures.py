"""Makes dead letters of final failures: with which reason and text, and how they are written.

The worker's main process writes them (`request.py`, step 6). It learns of every failure, even if the pool
process had no time to write anything, and it has the message as it was in Redis.
"""

import queue
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from celery import Celery
from celery.exceptions import (
    MaxRetriesExceededError,
    SoftTimeLimitExceeded,
    TimeLimitExceeded,
    WorkerLostError,
)
from celery.utils.log import get_logger
from celery.utils.serialization import UnpickleableExceptionWrapper
from celery.worker.request import ExceptionWithTraceback
from redis.exceptions import RedisError

from contentworker.runtime import metrics
from contentworker.runtime.logs.context import LONGEST_CHARACTERS
from contentworker.runtime.metrics.definitions import DEAD_LETTERS
from contentworker.runtime.records import dead_letters
from contentworker.runtime.transport.validity import is_held

__all__ = ["exception", "keep", "letter_of"]

logger = get_logger(__name__)

TRY_AGAIN_SECONDS = 1.0
"""Pause between two attempts while Redis is unreachable or full."""
PAUSE_SECONDS = 60.0
"""Pause after an unexpected error. The error may repeat, and should not fill the log."""


LONGEST_ERROR_CHARACTERS = 1_000
"""Of an error, in a log line; its letter has more."""


class _Unwritten(NamedTuple):
    """A dead letter that is not in Redis yet, and its message, which stays held until then."""

    app: Celery
    letter: dead_letters.DeadLetter
    message: Any
    acknowledge: Callable[[], object]

    def __str__(self) -> str:
        # A stranger's task and id may be as long as a message.
        task, task_id = (each[:LONGEST_CHARACTERS] for each in (self.letter.task, self.letter.task_id))
        return f"{task or 'no task'}[{task_id}]"


_unwritten: "queue.Queue[_Unwritten]" = queue.Queue()


def exception(exc_info: Any) -> BaseException:
    """The error from a request's exception info, without Celery's wrapper."""
    error: BaseException = exc_info.exception
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def letter_of(request: Any, failure: Any) -> dead_letters.DeadLetter:
    """The dead letter of a request that failed for good, with this exception info."""
    error = exception(failure)
    name = _type_name(error)
    return dead_letters.DeadLetter(
        reason=_reason(request, error),
        error=f"{name.rpartition('.')[2]}: {_text(error)}",
        exception=name,
        traceback=failure.traceback or "",
        task=request.type,
        task_id=request.id,
        critical=bool(getattr(request.task, "claimed", False)),
        worker=request.hostname,
        **dead_letters.parts_of(request.message),
    )


def _reason(request: Any, error: BaseException) -> dead_letters.Reason:
    own: dead_letters.Reason | None = getattr(error, "dead_letter_reason", None)
    if own in dead_letters.REASONS:
        return own
    task, retries = request.task, request.request_dict.get("retries") or 0
    if isinstance(error, TimeLimitExceeded | SoftTimeLimitExceeded):
        return "time limit"
    if isinstance(error, WorkerLostError):
        return "interrupted" if task.claimed else "lost process"
    is_retried = isinstance(error, tuple(task.autoretry_for)) and not isinstance(
        error, tuple(task.dont_autoretry_for)
    )
    is_out_of_retries = task.max_retries is not None and retries >= task.max_retries
    if isinstance(error, MaxRetriesExceededError) or (is_retried and is_out_of_retries):
        return "retries exhausted"
    return "failed"


def keep(
    app: Celery, letter: dead_letters.DeadLetter, message: Any, acknowledge: Callable[[], object]
) -> bool:
    """Write a letter now and return True, or write it later and return False.

    Until it is written, the message stays held and unacknowledged, and goes back to its queue if this worker
    ends. A thread tries again once a second while Redis is unreachable or full, and once a minute after any
    other error. It calls `acknowledge` when the letter is written.
    """
    unwritten = _Unwritten(app, letter, message, acknowledge)
    reason: object = "others wait already"
    if not _unwritten.unfinished_tasks:  # otherwise it would only wait for a time-out, too
        try:
            _write(unwritten)
        except Exception as error:  # noqa: BLE001 (the thread handles errors by their kind)
            reason = error
        else:
            return True
    logger.error(
        "The dead letter of %s cannot be written, so its message stays held: %s", str(unwritten), reason
    )
    _unwritten.put(unwritten)
    _start_writer()
    return False


def _write(unwritten: _Unwritten) -> None:
    app, letter, message, _ = unwritten
    # The holder's client has short time-outs, repeats nothing, and outlives the message's channel, which a
    # reconnect closes. The plain transport has no holder, but the result backend's client uses the same
    # Redis. Several threads may use either client.
    is_leased = getattr(message, "delivery", None) is not None
    client = message.channel.holder.client if is_leased else app.backend.client
    letter_id = dead_letters.add(client, letter, app.runtime_settings.dead_letters)
    metrics.count(DEAD_LETTERS, queue=letter.queue, reason=letter.reason)
    logger.warning(
        "Kept %s from queue %s as dead letter %s (%s): %s",
        *(
            str(unwritten),
            letter.queue,
            letter_id,
            letter.reason,
            letter.error.partition("\n")[0][:LONGEST_ERROR_CHARACTERS],
        ),
    )


def _pause(unwritten: _Unwritten) -> None:
    """Try again after a pause, and let the letters behind it go first. Called where an error is handled."""
    logger.exception(  # noqa: LOG004 (called where an error is handled)
        "The dead letter of %s is not written, so its message stays held; next attempt in %g s",
        *(str(unwritten), PAUSE_SECONDS),
    )
    _start_writer()
    timer = threading.Timer(PAUSE_SECONDS, _unwritten.put, [unwritten])
    timer.daemon = True
    timer.start()


def _write_later() -> None:
    while True:
        unwritten = _unwritten.get()
        # If the message is no longer held, another worker has it, and handles its failure.
        while is_held(unwritten.message.properties):
            try:
                _write(unwritten)
            except (RedisError, OSError):
                time.sleep(TRY_AGAIN_SECONDS)
                continue
            except Exception:  # noqa: BLE001 (whatever it is, the other letters must be written)
                _pause(unwritten)
                break
            try:
                unwritten.acknowledge()
            except Exception:  # the other letters must be written
                logger.exception("%s is a dead letter, but its message stays held", str(unwritten))
            break
        _unwritten.task_done()


@cache
def _start_writer() -> None:
    threading.Thread(target=_write_later, name="dead-letters", daemon=True).start()


def _type_name(error: BaseException) -> str:
    if isinstance(error, UnpickleableExceptionWrapper):
        return f"{error.exc_module}.{error.exc_cls_name}"
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (even this may fail in a task's own error class)
        return "its text cannot be read"
