"""Sends log lines to systemd's journal by its native protocol: one datagram for each, with fields.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

import logging
import os
import re
import socket
from collections.abc import Mapping
from typing import Any

__all__ = ["JournalHandler", "is_stream"]

ADDRESS = "/run/systemd/journal/socket"
SEND_SECONDS = 1.0
"""Longest wait for the journal to take an event, so that a journal that hangs does not stop the worker."""
LONGEST_BYTES = 40_000
"""Longest value. An event must fit into one datagram, about 200,000 bytes by Linux's default."""
FIELD_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
DEBUG_PRIORITY = 7


def is_stream(descriptor: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether systemd has connected this file to the journal. JOURNAL_STREAM names its device and inode."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournalHandler(logging.Handler):
    """Sends each record to the journal, or to stderr if there is no journal.

    If the journal hangs, one event waits for it. Later ones are dropped and counted until it takes events
    again: stderr leads to the same journal, so writing there would stop the worker.
    """

    def __init__(self, formatter: Any, fallback: logging.Handler, address: str = ADDRESS) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._fields_of, self._fallback, self._address = formatter.fields, fallback, address
        self._socket: socket.socket | None = None
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record to the journal; on its error to the fallback. A full socket drops the record."""
        try:
            if self._dropped:
                text = f"The journal took no events for a while; dropped: {self._dropped}"
                self._send(logging.LogRecord(__name__, logging.WARNING, "", 0, text, None, None))
                self._dropped = 0
            self._send(record)
        except (TimeoutError, BlockingIOError):
            self._dropped += 1
        except OSError:
            self._fallback.emit(record)
        except Exception:  # noqa: BLE001 (as handlers of logging do)
            self.handleError(record)

    def _send(self, record: logging.LogRecord) -> None:
        datagram = _datagram(self._fields_of(record), record.levelno)
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(0 if self._dropped else SEND_SECONDS)
        # Not connected: after a restart of journald the address leads to the new socket.
        self._socket.sendto(datagram, self._address)


def _datagram(fields: Mapping[str, Any], level: int) -> bytes:
    priority = next((number for least, number in PRIORITIES if level >= least), DEBUG_PRIORITY)
    sent = {name.upper(): value for name, value in fields.items()}
    del sent["TIME"], sent["LEVEL"]  # the journal has its own
    # Last, so that no field of the event replaces them.
    sent.update(SYSLOG_IDENTIFIER="content-worker", PRIORITY=priority)
    if "TRACEBACK" in sent:  # journalctl shows only the message
        sent["MESSAGE"] = f"{sent['MESSAGE']}\n{sent['TRACEBACK']}"
    return b"".join(_entry(name, value) for name, value in sent.items() if FIELD_NAME.fullmatch(name))


def _entry(name: str, value: Any) -> bytes:
    data = str(value).encode("utf-8", "backslashreplace")[:LONGEST_BYTES]
    if b"\n" in data:
        return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return name.encode() + b"=" + data + b"\n"
