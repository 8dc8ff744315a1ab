"""Only one host may serve a queue whose data is in a file of that host."""

import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contentworker.errors import ConfigError

__all__ = ["LEASE_SECONDS", "Keeper", "host_id", "register"]

logger = logging.getLogger(__name__)

LEASE_SECONDS = 60
REGISTER = """
local now = tonumber(redis.call('TIME')[1])
for _, other in ipairs(redis.call('HKEYS', KEYS[1])) do
    local expires = tonumber(redis.call('HGET', KEYS[1], other)) or 0
    if expires <= now then redis.call('HDEL', KEYS[1], other)
    elseif other ~= ARGV[1] then return other end
end
redis.call('HSET', KEYS[1], ARGV[1], now + tonumber(ARGV[2]))
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[2]) * 2)
return false
"""


def host_id() -> str:
    """Name of this host and, where it has one, the machine's id: two containers may share a name."""
    try:
        machine = Path("/etc/machine-id").read_text("ascii").strip()[:12]
    except (OSError, ValueError):
        machine = ""
    return f"{socket.gethostname()} {machine}".strip()


def register(client: Any, queue: str, host: str, lease_seconds: int) -> None:
    """Take, or keep, the queue for this host, for so long.

    Raises:
        ConfigError: another host has it.
    """
    other = client.eval(REGISTER, 1, f"contentworker:only-host:{queue}", host, lease_seconds)
    if other:
        name = other.decode("utf-8", "replace") if isinstance(other, bytes) else str(other)
        raise ConfigError(
            f"The host {name.split()[0]} serves the queue {queue} with an SQLite file, which other hosts "
            "cannot share: set DATABASE_URL to a PostgreSQL on all of them. "
            f"(If that host is gone: start again in {lease_seconds} s.)"
        )


class Keeper:
    """Keeps a queue for this host, in a thread: no heartbeat that is off and no busy loop loses it.

    `keep` takes or renews it. It may raise whatever the connection raises, which is tried again; of a
    ConfigError `lost` is told, and the keeper ends.
    """

    def __init__(
        self, keep: Callable[[], None], lost: Callable[[ConfigError], None], lease_seconds: int
    ) -> None:
        self._keep, self._lost = keep, lost
        self._interval_seconds = lease_seconds / 4
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="only-host", daemon=True)

    def start(self) -> None:
        """Renew from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more; the lease runs out by itself, as another worker of this host may need it."""
        self._stopped.set()
        self._thread.join(1)  # no longer: it may wait for a Redis that is away

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_seconds):
            try:
                self._keep()
            except ConfigError as error:
                self._lost(error)
                return
            except Exception as error:
                logger.warning("The queue is not kept for this host, so far: %s", error)
