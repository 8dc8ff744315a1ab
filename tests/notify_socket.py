"""The other end of NOTIFY_SOCKET: the tests are the systemd."""

import socket

from tests.support import wait_until

__all__ = ["Systemd"]


class Systemd:
    """The other end of NOTIFY_SOCKET. `sent` has each message in turn, as a list of its lines."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.sent: list[list[str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.setblocking(False)

    @property
    def variables(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": "600000"}

    def receive(self) -> list[list[str]]:
        """Return what has come since it was last asked."""
        before = len(self.sent)
        while True:
            try:
                self.sent.append(self._socket.recv(4096).decode().splitlines())
            except BlockingIOError:
                return self.sent[before:]

    def wait_for(self, *lines: str) -> None:
        """Wait for a message with these lines, after those that were waited for before."""

        def come() -> bool:
            found = (number for number, message in enumerate(self._new()) if {*lines} <= {*message})
            number = next(found, None)
            if number is not None:
                self._seen += number + 1
            return number is not None

        wait_until(come, f"{lines} from the worker")

    def _new(self) -> list[list[str]]:
        self.receive()
        return self.sent[self._seen :]

    _seen = 0

    def close(self) -> None:
        self._socket.close()
