"""sd_notify(3): how a service tells systemd what it does."""

import logging
import os
import socket
from collections.abc import Mapping

__all__ = ["VARIABLES", "Notifier"]

logger = logging.getLogger(__name__)

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""Variables that systemd sets for the main process of a service, and for no process that it starts."""

SEND_SECONDS = 1.0
"""Longest wait for systemd to take a message: a worker must not hang because systemd does."""


class Notifier:
    """Sends messages to the systemd that these variables name; without them it sends nothing."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        address = variables.get("NOTIFY_SOCKET", "")
        if address and address[0] not in "/@":
            logger.warning("NOTIFY_SOCKET: must be a path or start with @, not %r", address)
            address = ""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_seconds = _watchdog_seconds(variables) if address else None
        """`WatchdogSec=` of the unit; None if there is none, or if another process has to answer it."""

    def tell(self, *assignments: str) -> None:
        """Send `READY=1`, `STATUS=…` and the like, in one message."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_SECONDS)
                sender.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            logger.warning("Cannot send %s to systemd: %s", assignments[0], error)


def _watchdog_seconds(variables: Mapping[str, str]) -> float | None:
    if variables.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = variables.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None
