"""Tasks sent all the while something goes wrong: which were confirmed, and which have run."""

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from celery import Celery

from tests.support import executions

TASK = "probe.counted"
PAUSE_SECONDS = 0.02


class Flow(threading.Thread):
    """Sends tasks until it is stopped. Each notes its run in a file that no fault of Redis touches."""

    def __init__(self, client: Celery, folder: Path, **kwargs: Any) -> None:
        super().__init__(daemon=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.confirmed: dict[str, float] = {}
        """When each was, by the clock of the day."""
        self.last_at = 0.0
        self.refused: list[Exception] = []
        self._client, self._kwargs = client, {"folder": str(folder), **kwargs}
        self._stopping = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stopping.wait(PAUSE_SECONDS):
            try:
                sent = self._client.send_task(TASK, kwargs=self._kwargs, ignore_result=True, retry=False)
            except Exception as error:  # noqa: BLE001 (whatever a server that is away, or full, makes of it)
                self.refused.append(error)
            else:
                self.last_at = self.confirmed[sent.id] = time.time()

    def stop(self) -> None:
        """Send no more."""
        self._stopping.set()
        self.join()

    def runs(self) -> Counter[str]:
        """How often each task has run."""
        return Counter(each["id"] for each in executions(self.folder))

    @property
    def missing(self) -> set[str]:
        """Confirmed, and not run so far."""
        return self.confirmed.keys() - self.runs().keys()
