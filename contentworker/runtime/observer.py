"""Keeps an overview up to date, for somebody who looks at it.

All but the running tasks is read from Redis, which costs no worker anything. What runs is asked of the
workers, every few seconds: only they know. Nothing here turns their events on.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from contentworker.runtime import dead_letters
from contentworker.runtime.metrics import reading
from contentworker.runtime.metrics.definitions import TASKS
from contentworker.runtime.metrics.recording import MILLION
from contentworker.runtime.overview import Away, Failure, Overview, Rates, Running, WorkerState
from contentworker.runtime.settings import RuntimeSettings
from contentworker.runtime.spending import Spending

__all__ = ["Observer"]

ASK_SECONDS = 3.0
"""Between two questions to all workers."""
ANSWER_SECONDS = 1.0
"""How long their answers are waited for; those that come later are not known."""
SHARE = 5
"""Redis is read for at most one part in so many of the time, however long it takes."""
RATE_SECONDS = 30.0
"""Rates are those of so long before; until then, of as long as is known."""
FIRST_RATE_SECONDS = 5.0
"""Over less no rate is told: workers tell Redis once a second."""
NEWEST_LETTERS = 10

# No more than these texts leave Redis: a letter keeps its message, which may be an article. The patterns
# occur in no string within it, whose quotes are escaped.
_NEWEST = """
local found = {}
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[1])) do
    local letter = entry[2][2] or ''
    found[#found + 1] = entry[1]
    for _, name in ipairs({'reason', 'queue', 'task'}) do
        found[#found + 1] = string.match(letter, '"' .. name .. '"%s*:%s*"([^"\\\\]*)"') or ''
    end
end
return found
"""


@dataclass(frozen=True)
class _Read:
    """What one look at Redis found."""

    snapshot: reading.Snapshot
    failures: tuple[Failure, ...]
    spent_today: float


class Observer:
    """Reads and asks in threads of its own, so that a look never waits: `with Observer(…) as observer`.

    `connect` makes a redis-py client with short time-outs.
    """

    def __init__(
        self,
        app: Any,
        connect: Callable[[], Any],
        settings: RuntimeSettings,
        *,
        interval_seconds: float = 1.0,
    ) -> None:
        self._app = app
        self._connect = connect
        self._settings = settings
        self._interval_seconds = interval_seconds
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._was_read, self._was_asked = threading.Event(), threading.Event()
        self._away: Away | None = None
        self._read: _Read | None = None
        self._history: deque[tuple[float, dict[str, float]]] = deque()
        self._answers: dict[str, list[dict[str, Any]]] | None = None
        self._asked, self._asked_at = 0.0, 0.0
        self._threads = [
            threading.Thread(target=target, name=f"overview-{target.__name__}", daemon=True)
            for target in (self._keep_reading, self._keep_asking)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(2 * ANSWER_SECONDS)

    def wait(self, timeout_seconds: float) -> None:
        """Wait until Redis was read and the workers were asked once."""
        deadline = time.monotonic() + timeout_seconds
        self._was_read.wait(timeout_seconds)
        self._was_asked.wait(max(0.0, deadline - time.monotonic()))

    def look(self) -> Overview:
        """What is known now, as far as it is; at once."""
        with self._lock:
            found, answers, away = self._read, self._answers, self._away
            asked_seconds = time.monotonic() - self._asked if answers is not None else None
            running = None if answers is None else _running(answers, self._asked_at)
            rates = _rates(self._history)
        return Overview(
            at=datetime.now(UTC),
            transport=self._settings.broker.transport,
            is_measured=self._settings.metrics.enabled,
            away=away,
            state=found.snapshot.state if found else None,
            workers=_workers(found.snapshot.signs if found else (), answers),
            running=running,
            asked_seconds=asked_seconds,
            rates=rates,
            failures=found.failures if found else (),
            spent_today=found.spent_today if found else 0.0,
            cap_per_day=self._settings.spending.cap_per_day,
        )

    def _keep_reading(self) -> None:
        client = None
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                client = client or self._connect()
                found = self._read_once(client)
            except Exception as error:  # whatever it is, the page stays up and says it
                with self._lock:
                    since = self._away.since if self._away else datetime.now(UTC)
                    self._away = Away(since, str(error) or type(error).__name__)
                    self._history.clear()
            else:
                with self._lock:
                    self._away, self._read = None, found
                    self._note(found.snapshot)
            self._was_read.set()
            self._stopping.wait(max(self._interval_seconds, (SHARE - 1) * (time.monotonic() - begun)))
        if client is not None:
            client.close()
            client.connection_pool.disconnect()

    def _read_once(self, client: Any) -> _Read:
        snapshot = reading.read(client, [*self._settings.queues], (TASKS,))
        spent = Spending(client, self._settings.spending).today()
        return _Read(snapshot, _newest(client), spent)

    def _note(self, snapshot: reading.Snapshot) -> None:
        """Remember what workers have counted, for the rates."""
        now, ended = time.monotonic(), _ended(snapshot)
        if self._history and any(
            number > ended.get(name, 0) for name, number in self._history[-1][1].items()
        ):
            self._history.clear()  # somebody emptied Redis
        self._history.append((now, ended))
        while now - self._history[0][0] > RATE_SECONDS:
            self._history.popleft()

    def _keep_asking(self) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            if self._away is None:
                try:
                    with self._app.connection_for_write() as connection:
                        # By itself it would try again for ever, and not hear that this has to end.
                        connection.ensure_connection(max_retries=1, timeout=ANSWER_SECONDS)
                        inspect = self._app.control.inspect(timeout=ANSWER_SECONDS, connection=connection)
                        answers = inspect.active(safe=True) or {}
                except Exception:  # of Redis, which is said already, or of a foreign answer
                    answers = None
                with self._lock:
                    self._answers, self._asked, self._asked_at = answers, time.monotonic(), time.time()
            self._was_asked.set()
            self._stopping.wait(max(0.0, ASK_SECONDS - (time.monotonic() - begun)))


def _workers(
    signs: Sequence[reading.Sign], answers: dict[str, list[dict[str, Any]]] | None
) -> tuple[WorkerState, ...]:
    answered = {name: len(tasks) for name, tasks in (answers or {}).items()}
    found = [
        WorkerState(sign.worker, sign.queues, sign.age_seconds, answered.get(sign.worker)) for sign in signs
    ]
    signing = {sign.worker for sign in signs}
    found += [WorkerState(name, None, None, answered[name]) for name in answered.keys() - signing]
    return tuple(sorted(found, key=lambda worker: (not worker.is_silent, worker.name)))


def _running(answers: dict[str, list[dict[str, Any]]], at: float) -> tuple[Running, ...]:
    found = [
        Running(
            task=str(each.get("name")),
            task_id=str(each.get("id")),
            queue=str((each.get("delivery_info") or {}).get("routing_key") or ""),
            worker=worker,
            seconds=max(0.0, at - (each.get("time_start") or at)),
        )
        for worker, tasks in answers.items()
        for each in tasks
    ]
    return tuple(sorted(found, key=lambda running: -running.seconds))


def _ended(snapshot: reading.Snapshot) -> dict[str, float]:
    ended: dict[str, float] = {}
    for labels, number in snapshot.counted[TASKS.name].items():
        state = labels[-1]
        ended[state] = ended.get(state, 0) + number / MILLION
    return ended


def _rates(history: Sequence[tuple[float, dict[str, float]]]) -> Rates | None:
    if not history or not history[-1][1]:  # nobody has counted anything
        return None
    (begun, before), (ended, after) = history[0], history[-1]
    if ended - begun < FIRST_RATE_SECONDS:
        return None

    def rate(*states: str) -> float:
        return sum(after.get(state, 0) - before.get(state, 0) for state in states) / (ended - begun)

    return Rates(
        done=rate("success", "ignored"), failed=rate("failure"), retried=rate("retry"), seconds=ended - begun
    )


def _newest(client: Any) -> tuple[Failure, ...]:
    found = client.eval(_NEWEST, 1, dead_letters.STREAM, NEWEST_LETTERS)
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in found]
    return tuple(
        Failure(dead_letters.arrival(letter_id), task, queue, reason)
        for letter_id, reason, queue, task in zip(*(iter(texts),) * 4, strict=True)
    )
