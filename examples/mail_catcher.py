"""A mail server on this machine that keeps its messages, so that the demo can show a notification."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

__all__ = ["MailCatcher", "catch_mail"]


class MailCatcher(NamedTuple):
    """The server's address, as Apprise writes it, and the messages so far."""

    url: str
    messages: list[EmailMessage]


@contextmanager
def catch_mail() -> Iterator[MailCatcher]:
    """Accept mail on a free port of the loopback address within the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    people = "from=worker@localhost.localdomain&to=editor@localhost.localdomain"
    catcher = MailCatcher(f"mailto://127.0.0.1:{port}/?mode=insecure&{people}", [])
    controller = Controller(_Keeper(catcher.messages), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield catcher
    finally:
        controller.stop()


class _Keeper:
    """aiosmtpd's handler of what arrives."""

    def __init__(self, messages: list[EmailMessage]) -> None:
        self._messages = messages

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self._messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"
