"""The protocol of sd_notify(3): how a service tells systemd what it is doing."""

import logging
import os
import socket
from collections.abc import Mapping

__all__ = ["VARIABLES", "Notifier"]

logger = logging.getLogger(__name__)

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What systemd puts into the environment of a service's main process, meant for that one alone."""

SEND_SECONDS = 1.0
"""Longest wait for systemd to take a message: it must not become a hang of its own."""


class Notifier:
    """Speaks to systemd where these variables say that it listens; to nobody where they do not."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        address = variables.get("NOTIFY_SOCKET", "")
        if address and address[0] not in "/@":
            logger.warning("NOTIFY_SOCKET: must be a path or start with @, not %r", address)
            address = ""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_seconds = _watchdog_seconds(variables) if address else None
        """What the unit has as `WatchdogSec=`, if that is this process's to answer."""

    def tell(self, *assignments: str) -> None:
        """Send `READY=1`, `STATUS=…` and the like, in one message."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_SECONDS)
                sender.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            logger.warning("systemd could not be told %s: %s", assignments[0], error)


def _watchdog_seconds(variables: Mapping[str, str]) -> float | None:
    if variables.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = variables.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None
