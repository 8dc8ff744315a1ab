"""Redis and the workers, as the desk's pages see them."""

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Machinery"]


class Machinery:
    """One client of Redis. `connect` makes a client that waits briefly."""

    def __init__(self, app: Any, connect: Callable[[], Any], settings: Any) -> None:
        self.app = app
        self.settings = settings
        self._connect = connect
        self._client: Any = None
        self._lock = threading.Lock()

    def client(self) -> Any:
        """The redis-py client, which several threads may use."""
        with self._lock:
            self._client = self._client or self._connect()
            return self._client

    def close(self) -> None:
        """Let go of Redis."""
        with self._lock:
            client, self._client = self._client, None
        if client:
            client.close()
            client.connection_pool.disconnect()
