"""Servers on loopback that take mails and webhooks, or misbehave."""

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.controller import Controller

from tests.support import PATIENCE, free_port

PATIENT = f"?rto={PATIENCE}&cto={PATIENCE}"
"""Options of Apprise for a slow machine: after four seconds, it would not know what became of a message."""


class Mailbox:
    """An SMTP server that refuses as often as it is told to."""

    def __init__(self, refusals: float = 0, refusal: str = "451 later") -> None:
        self.refusals, self.refusal = refusals, refusal
        self.mails: list[str] = []
        self.asked = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.asked += 1
        if self.asked <= self.refusals:
            return self.refusal
        self.mails.append(envelope.content.decode())
        return "250 OK"


@contextmanager
def smtp(mailbox: Mailbox) -> Iterator[str]:
    port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, ready_timeout=PATIENCE)
    controller.start()
    try:
        yield f"mailto://127.0.0.1:{port}{PATIENT}&from=worker@site.test&to=ana@site.test&mode=insecure"
    finally:
        controller.stop()


@contextmanager
def receiver(*statuses: int) -> Iterator[tuple[str, list[Any]]]:
    """A web server that answers these in turn, the last for ever; and what it got."""
    got: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = statuses[min(len(got), len(statuses) - 1)]
            got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            if status == 302:
                self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", got
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]
