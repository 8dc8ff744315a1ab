"""What a worker's process has measured, and how Redis is told of it.

To measure is to add to a number in memory. A thread tells Redis once a second, whole amounts at a time, so
that nothing a task does waits for it. While Redis is away the numbers go on adding up. A process that is
killed takes at most its last second with it; where an answer of Redis is lost, that second may count twice.

Redis keeps a hash for each metric: the values of the labels → millionths, as it adds integers exactly.
"""

import logging
import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from contentworker.runtime.metrics.definitions import DROPPED, OTHER, Metric

__all__ = ["MILLION", "PREFIX", "SEPARATOR", "WORKERS", "Recorder", "recorder"]

logger = logging.getLogger(__name__)

PREFIX = "contentworker:metrics"
WORKERS = f"{PREFIX}:workers"
"""Sorted set: a worker's name and queues, by when it last gave a sign, in seconds of Redis's clock."""
SEPARATOR = "\x1f"
"""Between the values of the labels, and, in a histogram, before `sum` or the number of a bucket."""
MILLION = 1_000_000

FLUSH_SECONDS = 1.0
MOST_SERIES = 5_000
"""Numbers that are kept in memory while Redis is away."""
MOST_FIELDS = 20_000
"""Numbers that Redis keeps of one metric: tasks of former releases stay among them."""
MOST_NAMES = 500
"""Tasks, and queues, that are told apart."""
FORGET_SECONDS = 3600
"""After this long without a sign a worker is not listed any more."""

MISTAKES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a wrong call leads to; not every error, as a soft time limit may come in between."""

# Refused as a whole on a full server, whose memory is for messages.
_ADD = """
local dropped = 0
for i = 2, #ARGV, 4 do
    local key, field = KEYS[tonumber(ARGV[i])], ARGV[i + 2]
    if redis.call('HLEN', key) < tonumber(ARGV[1]) or redis.call('HEXISTS', key, field) == 1 then
        redis.call(ARGV[i + 1], key, field, ARGV[i + 3])
    else
        dropped = dropped + 1
    end
end
return dropped
"""

_SIGN = """
local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[1], now, ARGV[1])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2], 'LIMIT', 0, 100)) do
    redis.call('ZREM', KEYS[1], old)
end
"""

Key = tuple[str, ...]
"""Name of the metric, values of its labels, part of a histogram."""


class Recorder:
    """The measurements of one process. Until `begin` nothing is measured: only workers do."""

    def __init__(self) -> None:
        self._connect: Callable[[], Any] | None = None
        self._known: dict[str, Collection[str]] = {}
        self._reset()

    def _reset(self) -> None:
        # In a forked process too: the parent's numbers are the parent's, and so is its thread.
        self._lock = threading.RLock()
        self._sending = threading.Lock()
        self._amounts: dict[Key, int] = {}
        self._gauges: dict[Key, int] = {}
        self._dropped = 0
        self._sign = ""
        self._client: Any = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._is_refused = False

    def begin(self, connect: Callable[[], Any], tasks: Collection[str], queues: Collection[str]) -> None:
        """Measure from now on. `connect` makes a redis-py client with short time-outs."""
        self._known = {
            "task": frozenset(sorted(tasks)[:MOST_NAMES]),
            "queue": frozenset([*queues][:MOST_NAMES]),
        }
        self._connect = connect

    def count(self, metric: Metric, amount: float, labels: dict[str, str]) -> None:
        """Add to a counter; never raises, never waits for Redis."""
        if self._connect is None:
            return
        try:
            self._add(self._key(metric, labels), round(amount * MILLION))
        except MISTAKES:
            self._drop()

    def observe(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """Add a value to a histogram; the same."""
        if self._connect is None:
            return
        try:
            key = self._key(metric, labels)
            millionths = max(0, round(value * MILLION))
            self._add((*key, str(bisect_left(metric.buckets, millionths / MILLION))), MILLION)
            self._add((*key, "sum"), millionths)
        except MISTAKES:
            self._drop()

    def set_gauge(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """Set a gauge, for all workers; the same."""
        if self._connect is None:
            return
        try:
            key = self._key(metric, labels)
            with self._lock:
                self._gauges[key] = round(value * MILLION)
            self.start()
        except MISTAKES:
            self._drop()

    def sign(self, worker: str, queues: Collection[str]) -> None:
        """The worker lives, and serves these queues: to be said with what is sent next."""
        self._sign = SEPARATOR.join([worker, *queues])
        self.start()

    def start(self) -> None:
        """Have a thread of this process tell Redis."""
        if self._thread is None and self._connect is not None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
                    self._thread.start()

    def end(self, worker: str = "", queues: Collection[str] = ()) -> None:
        """Tell Redis what is left, and that this worker is no more; then measure nothing."""
        if self._connect is None:
            return
        self._stopping.set()
        self.flush()
        self._connect = None
        if worker and self._client is not None:
            with suppress(Exception):
                self._client.zrem(WORKERS, SEPARATOR.join([worker, *queues]))

    def flush(self) -> None:
        """Tell Redis what was measured since the last time."""
        with self._sending:
            with self._lock:
                amounts, self._amounts = self._amounts, {}
                gauges, self._gauges = self._gauges, {}
                dropped, self._dropped = self._dropped, 0
                sign, self._sign = self._sign, ""
            if not (amounts or gauges or dropped or sign):
                return
            try:
                self._send(amounts, gauges, dropped, sign)
            except Exception as error:  # Redis is away, or full: the next time may do better
                if not self._is_refused:
                    logger.warning("Metrics cannot be told to Redis, and add up meanwhile: %s", error)
                self._is_refused = True
                with self._lock:
                    self._dropped += dropped
                    self._gauges = {**gauges, **self._gauges}
                for key, amount in amounts.items():
                    self._add(key, amount)
            else:
                self._is_refused = False

    def _send(self, amounts: dict[Key, int], gauges: dict[Key, int], dropped: int, sign: str) -> None:
        if self._client is None:
            assert self._connect is not None
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
            pipeline.eval(_SIGN, 1, WORKERS, sign, FORGET_SECONDS)
        answer, *_ = pipeline.execute(raise_on_error=False)
        if arguments and isinstance(answer, Exception):
            raise answer  # a refused sign is none of that: what was added is not to be sent again
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
"""That of this process."""
os.register_at_fork(after_in_child=recorder._reset)
