"""Lets only one host serve a queue whose data is in a file of that host (SQLite)."""

import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contentworker.errors import ConfigError
from contentworker.printable import decoded
from contentworker.runtime.transport.scripts import load

__all__ = ["LEASE_SECONDS", "Keeper", "holder", "host_id", "register"]

logger = logging.getLogger(__name__)

LEASE_SECONDS = 60
REGISTER = load(__file__, "register")


def host_id() -> str:
    """Name of this host and, if it has one, its machine id, because two containers may share a name."""
    try:
        machine = Path("/etc/machine-id").read_text("ascii").strip()[:12]
    except (OSError, ValueError):
        machine = ""
    return f"{socket.gethostname()} {machine}".strip()


def holder(client: Any, queue: str, host: str) -> str | None:
    """Name of another host that has the queue, or None if this host could take it. Changes nothing."""
    now, _ = client.time()
    for name, expires in client.hgetall(f"contentworker:only-host:{queue}").items():
        other = decoded(name)
        if other != host and int(expires) > now:
            return other.split()[0]
    return None


def register(client: Any, queue: str, host: str, lease_seconds: int) -> None:
    """Take or keep the queue for this host, for this number of seconds.

    Raises:
        ConfigError: another host has it.
    """
    other = client.eval(REGISTER, 1, f"contentworker:only-host:{queue}", host, lease_seconds)
    if other:
        name = decoded(other)
        raise ConfigError(
            f"The host {name.split()[0]} serves the queue {queue} with an SQLite file, which other hosts "
            "cannot share: set DATABASE_URL to a PostgreSQL on all of them. "
            f"(If that host is gone: start again in {lease_seconds} s.)"
        )


class Keeper:
    """Keeps a queue for this host, in a thread of its own, so that a busy event loop does not lose it.

    `keep` takes or renews the queue. If it raises a ConfigError, `lost` gets the error and the keeper ends;
    after any other error it tries again.
    """

    def __init__(
        self, keep: Callable[[], None], lost: Callable[[ConfigError], None], lease_seconds: int
    ) -> None:
        self._keep, self._lost = keep, lost
        self._interval_seconds = lease_seconds / 4
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="only-host", daemon=True)

    def start(self) -> None:
        """Start renewing."""
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing. The lease expires later, because another worker of this host may need it."""
        self._stopped.set()
        self._thread.join(1)  # not longer: the thread may wait for a Redis that is unreachable

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_seconds):
            try:
                self._keep()
            except ConfigError as error:
                self._lost(error)
                return
            except Exception as error:  # noqa: BLE001 (whatever it is, the next attempt may succeed)
                logger.warning(
                    "This host's lease of the queue cannot be renewed, and is tried again: %s", error
                )
