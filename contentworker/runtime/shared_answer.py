"""One answer for all who ask at about the same time."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

__all__ = ["SharedAnswer"]

Answer = TypeVar("Answer")


class SharedAnswer(Generic[Answer]):
    """Asks when asked, one at a time, and not again while the answer, or its failure, is young."""

    def __init__(self, ask: Callable[[], Answer], keep_seconds: float) -> None:
        self._ask = ask
        self._keep_seconds = keep_seconds
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="shared-answer")
        self._lock = threading.Lock()
        self._running: Future[Answer] | None = None
        self._ended = 0.0

    def get(self, patience_seconds: float) -> Answer:
        """The answer that is being fetched, or was lately.

        Raises:
            TimeoutError: it has not come; whoever asks next waits for the same.
            Exception: whatever asking raised.
        """
        with self._lock:
            is_old = time.monotonic() - self._ended > self._keep_seconds
            if self._running is None or (self._running.done() and is_old):
                self._running = self._executor.submit(self._run)
            running = self._running
        return running.result(patience_seconds)

    def _run(self) -> Answer:
        try:
            return self._ask()
        finally:
            self._ended = time.monotonic()
