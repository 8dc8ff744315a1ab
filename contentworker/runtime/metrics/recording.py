"""Measurements of a worker process, and the thread that sends them to Redis.

Measuring adds to a number in memory, so a task never waits for Redis. A thread sends the sums once a second.
While Redis is unreachable the numbers add up. A killed process loses at most its last second; if an answer
of Redis is lost, that second may count twice.

Redis keeps a hash for each metric: its fields are the values of the labels, its numbers are millionths,
because Redis adds integers exactly.
"""

import logging
import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from contentworker.printable import decoded
from contentworker.runtime.metrics.definitions import DROPPED, OTHER, Metric
from contentworker.runtime.transport.scripts import load

__all__ = ["MILLION", "PREFIX", "SEPARATOR", "SLOTS", "WORKERS", "Recorder", "recorder"]

logger = logging.getLogger(__name__)

PREFIX = "contentworker:metrics"
WORKERS = f"{PREFIX}:workers"
"""Sorted set of workers, each with its queues, by the time of its last sign of life on the clock of Redis."""
SLOTS = f"{PREFIX}:slots"
"""Hash of workers: how many tasks each can run, and how many it ran at its last sign of life."""
SEPARATOR = "\x1f"
"""Separates the values of the labels and, in a histogram, `sum` or the bound of a bucket after them."""
MILLION = 1_000_000

FLUSH_SECONDS = 1.0
MOST_SERIES = 5_000
"""Most numbers to keep in memory while Redis is unreachable."""
MOST_FIELDS = 20_000
"""Most numbers of one metric in Redis, where names of tasks from earlier releases stay."""
MOST_NAMES = 500
"""Most tasks, and most queues, with numbers of their own; the rest counts as `other`."""
FORGET_SECONDS = 3600
"""Time without a sign of life after which a worker is not listed any more."""

MISTAKES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""Errors that a wrong call leads to. Not `Exception`: a soft time limit must reach the task that measures."""

_ADD = load(__file__, "add")
_SIGN = load(__file__, "sign")

Key = tuple[str, ...]
"""Name of a metric, values of its labels, part of a histogram."""


class Recorder:
    """Measurements of one process. Before `begin` it measures nothing: only workers measure."""

    def __init__(self) -> None:
        self._connect: Callable[[], Any] | None = None
        self._known: dict[str, Collection[str]] = {}
        self._reset()

    def _reset(self) -> None:
        # Also in a forked process, which has no thread yet; the parent sends the numbers of the parent.
        self._lock = threading.RLock()
        self._sending = threading.Lock()
        self._amounts: dict[Key, int] = {}
        self._gauges: dict[Key, int] = {}
        self._dropped = 0
        self._sign: tuple[str, ...] = ()
        self._client: Any = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._is_refused = False

    def begin(self, connect: Callable[[], Any], tasks: Collection[str], queues: Collection[str]) -> None:
        """Measure from now on. `connect` makes a redis-py client with short timeouts."""
        self._known = {
            "task": frozenset(sorted(tasks)[:MOST_NAMES]),
            "queue": frozenset([*queues][:MOST_NAMES]),
        }
        self._connect = connect

    def count(self, metric: Metric, amount: float, labels: dict[str, str]) -> None:
        """Add to a counter. Never raises, never waits for Redis."""
        if self._connect is None:
            return
        try:
            self._add(self._key(metric, labels), round(amount * MILLION))
        except MISTAKES:
            self._drop()

    def observe(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """Add a value to a histogram. Never raises, never waits for Redis."""
        if self._connect is None:
            return
        try:
            key = self._key(metric, labels)
            millionths = max(0, round(value * MILLION))
            self._add((*key, metric.bounds[bisect_left(metric.buckets, millionths / MILLION)]), MILLION)
            self._add((*key, "sum"), millionths)
        except MISTAKES:
            self._drop()

    def set_gauge(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """Set a gauge, for all workers. Never raises, never waits for Redis."""
        if self._connect is None:
            return
        try:
            key = self._key(metric, labels)
            with self._lock:
                self._gauges[key] = round(value * MILLION)
            self.start()
        except MISTAKES:
            self._drop()

    def sign(self, worker: str, queues: Collection[str], slots: int, busy_slots: int) -> None:
        """Send with the next numbers that the worker lives, serves these queues, and how busy it is."""
        self._sign = (SEPARATOR.join([worker, *queues]), worker, f"{slots}{SEPARATOR}{busy_slots}")
        self.start()

    def start(self) -> None:
        """Start the thread of this process that sends to Redis."""
        if self._thread is None and self._connect is not None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
                    self._thread.start()

    def end(self, worker: str = "") -> None:
        """Send what is left, and that this worker has stopped; then measure nothing."""
        if self._connect is None:
            return
        self._stopping.set()
        self.flush()
        self._connect = None
        if worker and self._client is not None:
            with suppress(Exception):
                self._client.hdel(SLOTS, worker)
                # With whatever queues: before it was killed and came back, it may have served others.
                known = self._client.zrangebyscore(WORKERS, "-inf", "+inf")
                own = [each for each in known if decoded(each).partition(SEPARATOR)[0] == worker]
                self._client.zrem(WORKERS, *own)

    def flush(self) -> None:
        """Send what was measured since the last time."""
        with self._sending:
            with self._lock:
                amounts, self._amounts = self._amounts, {}
                gauges, self._gauges = self._gauges, {}
                dropped, self._dropped = self._dropped, 0
                sign, self._sign = self._sign, ()
            if not (amounts or gauges or dropped or sign):
                return
            try:
                self._send(amounts, gauges, dropped, sign)
            except Exception as error:  # noqa: BLE001 (Redis is unreachable or full: try again with the next second)
                if not self._is_refused:
                    logger.warning("Metrics cannot be sent to Redis; they add up until it answers: %s", error)
                self._is_refused = True
                with self._lock:
                    self._dropped += dropped
                    self._gauges = {**gauges, **self._gauges}
                for key, amount in amounts.items():
                    self._add(key, amount)
            else:
                self._is_refused = False

    def _send(self, amounts: dict[Key, int], gauges: dict[Key, int], dropped: int, sign: Key) -> None:
        if self._client is None:
            assert self._connect is not None  # noqa: S101 (who calls has checked it)
            self._client = self._connect()
        if dropped:
            amounts = {**amounts, (DROPPED.name,): amounts.get((DROPPED.name,), 0) + dropped * MILLION}
        keys: dict[str, int] = {}
        arguments: list[Any] = []
        for command, numbers in (("HINCRBY", amounts), ("HSET", gauges)):
            for (name, *values), number in numbers.items():
                place = keys.setdefault(f"{PREFIX}:{name}", len(keys) + 1)
                arguments += [place, command, SEPARATOR.join(values), number]
        pipeline = self._client.pipeline(transaction=False)
        if arguments:
            pipeline.eval(_ADD, len(keys), *keys, MOST_FIELDS, *arguments)
        if sign:
            member, *slots = sign
            pipeline.eval(_SIGN, 2, WORKERS, SLOTS, member, FORGET_SECONDS, *slots)
        answer, *_ = pipeline.execute(raise_on_error=False)
        if arguments and isinstance(answer, Exception):
            raise answer  # not if only the sign was refused: the numbers must not be sent twice
        if arguments and answer:
            self._drop(answer)

    def _run(self) -> None:
        while not self._stopping.wait(FLUSH_SECONDS):
            self.flush()

    def _key(self, metric: Metric, labels: dict[str, str]) -> Key:
        if len(labels) != len(metric.labels):
            raise ValueError(f"{metric.name}: labels: must be {', '.join(metric.labels)}")
        values = []
        for name, allowed in metric.labels.items():
            value = labels[name]
            values.append(value if value in (self._known[name] if allowed is None else allowed) else OTHER)
        return (metric.name, *values)

    def _add(self, key: Key, amount: int) -> None:
        with self._lock:
            if key in self._amounts or len(self._amounts) < MOST_SERIES:
                self._amounts[key] = self._amounts.get(key, 0) + amount
            else:
                self._dropped += 1
        if self._thread is None:
            self.start()

    def _drop(self, number: int = 1) -> None:
        with self._lock:
            self._dropped += number


recorder = Recorder()
"""The recorder of this process."""
os.register_at_fork(after_in_child=recorder._reset)  # noqa: SLF001 (the recorder's own module)
