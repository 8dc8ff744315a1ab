"""Keeps an overview of queues, workers and tasks up to date, for `top`.

Everything but the running tasks comes from Redis and costs the workers nothing. Only the workers know what
they run, so they are asked every few seconds. Celery's events stay off.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from contentworker.printable import decoded
from contentworker.runtime.metrics import reading
from contentworker.runtime.metrics.definitions import DUPLICATES, TASKS
from contentworker.runtime.metrics.recording import MILLION
from contentworker.runtime.records import dead_letters
from contentworker.runtime.records.spending import Spending
from contentworker.runtime.settings import RuntimeSettings
from contentworker.runtime.transport.scripts import load
from contentworker.runtime.watching.overview import Away, Failure, Overview, Rates, Running, WorkerState

__all__ = ["Observer"]

ASK_SECONDS = 3.0
"""Time between two questions to all workers."""
ANSWER_SECONDS = 1.0
"""Longest wait for their answers; later ones are ignored."""
SHARE = 5
"""Reading Redis takes at most 1/5 of the time, however slow Redis is."""
RATE_SECONDS = 30.0
"""Rates are measured over this time; until then, over the time since the start."""
FIRST_RATE_SECONDS = 5.0
"""Shortest time to measure a rate over: workers send to Redis once a second."""
NEWEST_LETTERS = 10

_NEWEST = load(__file__, "newest")


class Observer:
    """Reads and asks in threads of its own, so that `look` never waits: `with Observer(…) as observer`.

    `connect` makes a redis-py client with short timeouts.
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
        self._snapshot: reading.Snapshot | None = None
        self._failures: tuple[Failure, ...] = ()
        self._spent_today = 0.0
        self._history: deque[tuple[float, Counter[str]]] = deque()
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

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(2 * ANSWER_SECONDS)

    def wait(self, timeout_seconds: float) -> None:
        """Wait until Redis was read, and the workers were asked, once."""
        deadline = time.monotonic() + timeout_seconds
        self._was_read.wait(timeout_seconds)
        self._was_asked.wait(max(0.0, deadline - time.monotonic()))

    def look(self) -> Overview:
        """What is known now; returns at once."""
        with self._lock:
            answers, snapshot = self._answers, self._snapshot
            return Overview(
                at=datetime.now(UTC),
                transport=self._settings.broker.transport,
                is_measured=self._settings.metrics.enabled,
                away=self._away,
                state=snapshot.state if snapshot else None,
                workers=_workers(snapshot.signs if snapshot else (), answers),
                running=None if answers is None else _running(answers, self._asked_at),
                asked_seconds=None if answers is None else time.monotonic() - self._asked,
                rates=_rates(self._history),
                failures=self._failures,
                paused_schedules=snapshot.schedules.paused_now if snapshot else {},
                spent_today=self._spent_today,
                cap_per_day=self._settings.spending.cap_per_day,
            )

    def _keep_reading(self) -> None:
        client = None
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                client = client or self._connect()
                snapshot = reading.read(client, [*self._settings.queues], (TASKS, DUPLICATES))
                spent_today = Spending(client, self._settings.spending).today()
                failures = _newest(client)
            except Exception as error:  # noqa: BLE001 (the page stays up and shows the reason)
                with self._lock:
                    since = self._away.since if self._away else datetime.now(UTC)
                    self._away = Away(since, str(error) or type(error).__name__)
                    self._history.clear()
            else:
                with self._lock:
                    self._away, self._snapshot = None, snapshot
                    self._failures, self._spent_today = failures, spent_today
                    self._note(snapshot)
            self._was_read.set()
            self._stopping.wait(max(self._interval_seconds, (SHARE - 1) * (time.monotonic() - begun)))
        if client is not None:
            client.close()
            client.connection_pool.disconnect()

    def _note(self, snapshot: reading.Snapshot) -> None:
        """Remember what the workers counted, for the rates."""
        now, ended = time.monotonic(), _ended(snapshot)
        if self._history and self._history[-1][1] - ended:
            self._history.clear()  # Redis was emptied
        self._history.append((now, ended))
        while now - self._history[0][0] > RATE_SECONDS:
            self._history.popleft()

    def _keep_asking(self) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            if self._away is None:
                try:
                    with self._app.connection_for_write() as connection:
                        # The default tries for ever, also after `__exit__`.
                        connection.ensure_connection(max_retries=1, timeout=ANSWER_SECONDS)
                        inspect = self._app.control.inspect(timeout=ANSWER_SECONDS, connection=connection)
                        answers = inspect.active(safe=True) or {}
                    _running(answers, time.time())  # fails if an answer is not a worker's
                except Exception:  # noqa: BLE001 (Redis is away, which the page shows, or the answer of another program)
                    answers = None
                with self._lock:
                    self._answers, self._asked, self._asked_at = answers, time.monotonic(), time.time()
            self._was_asked.set()
            self._stopping.wait(max(0.0, ASK_SECONDS - (time.monotonic() - begun)))


def _workers(
    signs: Sequence[reading.Sign], answers: dict[str, list[dict[str, Any]]] | None
) -> tuple[WorkerState, ...]:
    answered = {name: len(tasks) for name, tasks in (answers or {}).items()}
    workers = [
        WorkerState(sign.worker, sign.queues, sign.age_seconds, answered.get(sign.worker), sign.slots)
        for sign in signs
    ]
    signing = {sign.worker for sign in signs}
    workers += [WorkerState(name, None, None, answered[name]) for name in answered.keys() - signing]
    return tuple(sorted(workers, key=lambda worker: (not worker.is_silent, worker.name)))


def _running(answers: dict[str, list[dict[str, Any]]], at: float) -> tuple[Running, ...]:
    running = (
        Running(
            task=str(each.get("name")),
            task_id=str(each.get("id")),
            queue=str((each.get("delivery_info") or {}).get("routing_key") or ""),
            worker=worker,
            seconds=max(0.0, at - (each.get("time_start") or at)),
        )
        for worker, tasks in answers.items()
        for each in tasks
    )
    return tuple(sorted(running, key=lambda task: -task.seconds))


def _ended(snapshot: reading.Snapshot) -> Counter[str]:
    """Runs of tasks that ended, in millionths, by how they ended, and duplicates, which did not run."""
    ended: Counter[str] = Counter()
    for labels, number in snapshot.counted[TASKS.name].items():
        ended[labels[-1]] += number
    if duplicates := sum(snapshot.counted[DUPLICATES.name].values()):
        ended["duplicate"] = duplicates
    return ended


def _rates(history: Sequence[tuple[float, Counter[str]]]) -> Rates | None:
    if not history or not history[-1][1]:  # no worker has counted anything
        return None
    (begun, before), (ended, after) = history[0], history[-1]
    if ended - begun < FIRST_RATE_SECONDS:
        return None

    def rate(*states: str) -> float:
        return sum(after[state] - before[state] for state in states) / MILLION / (ended - begun)

    return Rates(
        done=rate("success", "ignored"),
        failed=rate("failure"),
        retried=rate("retry"),
        seconds=ended - begun,
        duplicates=rate("duplicate"),
    )


def _newest(client: Any) -> tuple[Failure, ...]:
    found = client.eval(_NEWEST, 1, dead_letters.STREAM, NEWEST_LETTERS)
    texts = [decoded(value) for value in found]
    return tuple(
        Failure(dead_letters.arrival(letter_id), task, queue, reason)
        for letter_id, reason, queue, task in zip(*(iter(texts),) * 4, strict=True)
    )
