"""The journal's own protocol (systemd's JOURNAL_NATIVE_PROTOCOL): one datagram an event, with fields."""

import logging
import os
import re
import socket
from collections.abc import Mapping
from typing import Any

__all__ = ["JournalHandler", "is_stream"]

ADDRESS = "/run/systemd/journal/socket"
SEND_SECONDS = 1.0
"""Longest wait for the journal to take an event: it must not become a hang of ours."""
LONGEST_BYTES = 40_000
"""Of a value; an event must fit into one datagram, some 200,000 bytes as Linux is set up."""
FIELD_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
DEBUG_PRIORITY = 7


def is_stream(descriptor: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this file is what systemd has connected to the journal, as JOURNAL_STREAM tells."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class JournalHandler(logging.Handler):
    """Sends each record as one event; where the journal does not take it, it is a line of stderr."""

    def __init__(self, formatter: Any, fallback: logging.Handler, address: str = ADDRESS) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._fields_of, self._fallback, self._address = formatter.fields, fallback, address
        self._socket: socket.socket | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(_datagram(self._fields_of(record), record.levelno))
        except OSError:
            self._fallback.emit(record)
        except Exception:
            self.handleError(record)

    def _send(self, datagram: bytes) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(SEND_SECONDS)
        # To the address each time, and not connected: journald may be started again.
        self._socket.sendto(datagram, self._address)


def _datagram(fields: Mapping[str, Any], level: int) -> bytes:
    priority = next((number for least, number in PRIORITIES if level >= least), DEBUG_PRIORITY)
    sent = {"SYSLOG_IDENTIFIER": "content-worker", "PRIORITY": priority}
    for name, value in fields.items():
        sent[name.upper()] = value
    del sent["TIME"], sent["LEVEL"]  # the journal has its own
    if "TRACEBACK" in sent:  # journalctl shows the message alone
        sent["MESSAGE"] = f"{sent['MESSAGE']}\n{sent['TRACEBACK']}"
    return b"".join(_entry(name, value) for name, value in sent.items() if FIELD_NAME.fullmatch(name))


def _entry(name: str, value: Any) -> bytes:
    data = str(value).encode("utf-8", "backslashreplace")[:LONGEST_BYTES]
    if b"\n" in data:
        return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return name.encode() + b"=" + data + b"\n"
