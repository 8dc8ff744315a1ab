"""Redis and the workers, as the desk's pages see them."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from contentworker.desk.batching import Batch, Batches
from contentworker.editorial.escalations.audit import Audit
from contentworker.runtime.records.letter_parts import Letters
from contentworker.runtime.settings import RuntimeSettings, ScheduleSettings
from contentworker.runtime.watching.observer import Observer
from contentworker.runtime.watching.overview import Overview
from contentworker.runtime.worker.reloading import take_changes

__all__ = ["Machinery"]

FIRST_SECONDS = 1.5
"""Longest wait for the first overview: the workers have a second to answer."""
STALE_SECONDS = 30.0
"""A page that shows ages is fetched again after this time, though nothing else has changed."""
UNWATCHED_SECONDS = 60.0
"""After this time without a look, Redis and the workers are asked no more."""


class Machinery:
    """One client of Redis, one observer while anybody looks, and the batches: `with Machinery(…)`.

    `connect` makes a client to which a Redis that does not answer at once is away. `pace`: how many letters
    of a batch are handled a second. `audit`: the trail, which gets the end of each batch.
    """

    def __init__(
        self, app: Any, connect: Callable[[], Any], settings: RuntimeSettings, pace: float, audit: Audit
    ) -> None:
        self.app = app
        self.settings = settings
        self.letters = Letters()
        self.batches = Batches(self.client, self.letters, self._result_key, pace, self._note)
        self._audit = audit
        self._connect = connect
        self._client: Any = None
        self._lock = threading.Lock()
        self._observer: Observer | None = None
        self._looked_at = 0.0
        self._closing = threading.Event()
        self._essence: Any = None
        self._changed_at = 0.0

    def __enter__(self) -> Self:
        self.batches.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def client(self) -> Any:
        """The redis-py client, which several threads may use."""
        with self._lock:
            self._client = self._client or self._connect()
            return self._client

    def schedules(self) -> Mapping[str, ScheduleSettings]:
        """The schedules of worker.toml as it is now; a wrong file is logged, and changes nothing."""
        with self._lock:
            take_changes(self.app)
            found: Mapping[str, ScheduleSettings] = self.app.runtime_settings.schedules
            return found

    def _result_key(self, task_id: str) -> Any:
        return self.app.backend.get_key_for_task(task_id)

    def _note(self, batch: Batch, outcome: str) -> None:
        self._audit.write(
            "batch.end",
            batch.by,
            batch.signed_in,
            subject=batch.id,
            filter=batch.chosen,
            count=batch.done,
            outcome=outcome,
        )

    def look(self) -> Overview:
        """The overview, which is at most some seconds old."""
        with self._lock:
            self._looked_at = time.monotonic()
            is_new = self._observer is None
            if self._observer is None:
                self._observer = Observer(self.app, self._connect, self.settings).__enter__()
                threading.Thread(target=self._end_unwatched, name="desk-unwatched", daemon=True).start()
            observer = self._observer
        if is_new:
            observer.wait(FIRST_SECONDS)
        return observer.look()

    def news(self) -> int:
        """When the overview last changed, in milliseconds; 0 while nobody looks. It costs no question."""
        with self._lock:
            if self._observer is None:
                return 0
            overview = self._observer.look()
            workers = [(worker.name, worker.running, worker.is_silent) for worker in overview.workers]
            running = [task.task_id for task in overview.running or ()]
            essence = (overview.away, overview.state, workers, running, overview.spent_today)
            if essence != self._essence or time.time() - self._changed_at > STALE_SECONDS:
                self._essence, self._changed_at = essence, time.time()
            return int(1000 * self._changed_at)

    def close(self) -> None:
        """End the batch's step at hand, and let go of Redis."""
        self.batches.close()
        with self._lock:
            observer, self._observer = self._observer, None
            client, self._client = self._client, None
            self._closing.set()
        if observer:
            observer.__exit__()
        if client:
            client.close()
            client.connection_pool.disconnect()

    def _end_unwatched(self) -> None:
        while True:
            with self._lock:
                left = UNWATCHED_SECONDS - (time.monotonic() - self._looked_at)
                if self._observer is None:
                    return
                if left <= 0:
                    observer, self._observer = self._observer, None
                    break
            if self._closing.wait(left):
                return
        observer.__exit__()
