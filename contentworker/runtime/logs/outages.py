"""An outage of Redis is two lines in a worker's log: one when it begins, one when it is over.

Celery, the lease's keeper, the metrics and each pool process log an outage on their own, at each attempt. A
filter moves those lines to level debug, and uses what they say for our two lines.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from celery import bootsteps
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from contentworker.printable import counted
from contentworker.runtime.logs.context import message

__all__ = ["Outage", "OutageStep", "begin"]

logger = logging.getLogger(__name__)

AWAY = (RedisConnectionError, RedisTimeoutError, OperationalError, OSError)
"""Errors of a Redis that cannot be reached. A Redis that refuses (full, read-only) is not an outage."""
SETTLED_SECONDS = 3.0
"""An outage is over when nothing has failed for this time: parts of a worker notice its end one by one."""
LATE_SECONDS = 60.0
"""Time after an outage in which late events, sent during it, may still arrive."""
CHECK_SECONDS = 1.0


class Outage:
    """Whether the parts of a worker can reach Redis. Several threads may use it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.RLock()  # a signal handler may log while the lock is held
        self._without: set[str] = set()
        self._since: float | None = None
        self._answered = -LATE_SECONDS
        self._stopped = 0

    @property
    def is_recent(self) -> bool:
        """Whether there is an outage, or was one a short time ago."""
        return self._since is not None or self._clock() - self._answered < LATE_SECONDS

    @property
    def has_stopped_work(self) -> bool:
        """Whether the lease ended in this outage, or in a recent one."""
        return self.is_recent and bool(self._stopped)

    def begins(self, part: str, reason: object) -> None:
        """Note that a part of the worker cannot reach Redis."""
        with self._lock:
            self._without.add(part)
            if self._since is not None:
                return
            self._since, self._stopped = self._clock(), 0
        logger.warning(
            "Redis cannot be reached (%s). No new task starts until it can; running tasks go on as long as "
            "their lease lasts. If Redis stays away, check its server, the network and REDIS_URL",
            reason,
        )

    def ends(self, part: str) -> bool:
        """Note that a part reaches Redis. Return whether it could not before."""
        with self._lock:
            if part not in self._without:
                return False
            self._without.discard(part)
            self._answered = self._clock()
            return True

    def settle(self) -> None:
        """Report the end of an outage once it is certain. Call this about every second."""
        with self._lock:
            since, answered = self._since, self._answered
            if since is None or self._without or self._clock() - answered < SETTLED_SECONDS:
                return
            self._since, stopped = None, self._stopped
        again = f"{counted(stopped, 'running task')} {'starts' if stopped == 1 else 'start'} again"
        lost = f"; the lease ended meanwhile, and {again}" if stopped else ""
        logger.warning("Redis answers again after %.0f s%s", answered - since, lost)

    def lease_lost(self, number: int) -> bool:
        """Note that work was stopped. Return whether an outage is the cause; then its end reports it."""
        with self._lock:
            if self._since is None:
                return False
            self._stopped += number
            return True


class _Repeated(NamedTuple):
    """A line that a part of a worker logs during an outage."""

    logger: str
    words: str
    """Part of its text."""
    is_repeated: Callable[[Outage, tuple[Any, ...]], bool]
    """Notes in the outage what the arguments say. Returns whether the line says nothing more than that."""


def _always(_outage: Outage, _arguments: tuple[Any, ...]) -> bool:
    return True


def _if_recent(outage: Outage, _arguments: tuple[Any, ...]) -> bool:
    return outage.is_recent


def _if_away(_outage: Outage, arguments: tuple[Any, ...]) -> bool:
    return isinstance(_error(arguments), AWAY)


def _connection_lost(outage: Outage, arguments: tuple[Any, ...]) -> bool:
    error = _error(arguments)
    outage.begins("connection", str(error) or type(error).__name__)
    return True


def _lease_not_renewed(outage: Outage, arguments: tuple[Any, ...]) -> bool:
    error = _error(arguments)
    if isinstance(error, AWAY):
        outage.begins("lease", error)
    return isinstance(error, AWAY)


def _letter_waits(outage: Outage, arguments: tuple[Any, ...]) -> bool:
    error = _error(arguments)  # None: other letters wait already
    return isinstance(error, AWAY) or (error is None and outage.is_recent)


def _if_killed_by_us(outage: Outage, arguments: tuple[Any, ...]) -> bool:
    return outage.has_stopped_work and any("SIGKILL" in str(each) for each in arguments)


def _error(arguments: tuple[Any, ...]) -> BaseException | None:
    return next((each for each in arguments if isinstance(each, BaseException)), None)


_CONSUMER = "celery.worker.consumer.consumer"
_TRANSPORT = "contentworker.runtime.transport"
REPEATED = (
    _Repeated(_CONSUMER, "consumer: Cannot connect to", _connection_lost),
    _Repeated(_CONSUMER, "consumer: Connection to broker lost", _connection_lost),
    _Repeated(_CONSUMER, "Frequent restarts detected", _if_recent),
    _Repeated(_TRANSPORT, "The lease cannot be renewed", _lease_not_renewed),
    _Repeated(_TRANSPORT, "The lease is renewed again", lambda outage, _: outage.ends("lease")),
    _Repeated(_TRANSPORT, "Lease lost", lambda outage, arguments: outage.lease_lost(arguments[1])),
    _Repeated(_TRANSPORT, "Redis is unreachable", _if_away),
    _Repeated(_TRANSPORT, "could not be noted", _if_away),
    _Repeated("contentworker.runtime.worker.consumer", "A message goes back to its queue", _if_away),
    # Logged at each lost connection, about a setting that is off on purpose.
    _Repeated("py.warnings", "In Celery 5.1 we introduced an optional breaking change", _always),
    _Repeated("multiprocessing", "Process ", _if_killed_by_us),
    # Not if the server is full: no other line says why the task does not end.
    _Repeated("celery.backends.base", "Failed operation", _if_away),
    _Repeated("celery.backends.redis", "Connection to Redis lost", _always),
    _Repeated("celery.events.state", "Substantial drift", _if_recent),
    _Repeated("contentworker.runtime.metrics.recording", "Metrics cannot be sent to Redis", _if_away),
    # Written as soon as Redis is back, which is a line of its own.
    _Repeated("contentworker.runtime.worker.final_failures", "so its message stays held", _letter_waits),
)


class OutageStep(bootsteps.StartStopStep):
    """Looks for the end of an outage in the event loop, which runs only while the connection works."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Note that the consumer has connected, for the first time or again."""
        consumer.app.outage.ends("connection")
        if consumer.hub is None:
            consumer.app.outage.settle()

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Set the timer again after each lost connection, since Celery drops it then."""
        hub.call_repeatedly(CHECK_SECONDS, consumer.app.outage.settle)


def begin(worker: Any) -> None:
    """Report an outage in two lines, and move lines that repeat it to level debug.

    The pool processes inherit the filter.
    """
    outage = worker.app.outage = Outage()
    worker.app.steps["consumer"].add(OutageStep)

    def quieten(record: logging.LogRecord) -> bool:
        for each in REPEATED:
            if record.name != each.logger or each.words not in message(record):
                continue
            if each.is_repeated(outage, record.args if isinstance(record.args, tuple) else ()):
                record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
                return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
        return True

    for name in {each.logger for each in REPEATED}:
        logging.getLogger(name).addFilter(quieten)
