"""The HTTP server behind `health-server` and `metrics`: a few pages that no client can block for others.

- A client has a fixed time to send its request and to read the answer. A socket's own timeout would start
  again with each byte.
- A fixed number of clients is served at once, each by a thread. If one more comes, the server closes the
  connection that has been open longest without a request, so idle connections keep no client out.
"""

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Generic, NamedTuple, TypeVar

__all__ = ["MOST_CONNECTIONS", "Page", "Reply", "Server", "SharedAnswer", "serve"]

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)

MOST_CONNECTIONS = 64
"""Clients served at once: a few probes and scrapers ask every few seconds, each for milliseconds."""
REQUEST_SECONDS = 5.0
"""Time for a client to send its request, of some hundred bytes."""
CLIENT_SECONDS = 30.0
"""Time for a whole connection: an answer takes at most 15 s, and the client has to read it."""
LOOK_SECONDS = 0.25
"""Time between two looks for clients whose time is over."""
ROOM_SECONDS = 1.0
"""Longest wait for a closed connection to end; after that the new client gets `BUSY`."""
BUSY = b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Reply(NamedTuple):
    """Answer to a request."""

    status: int
    content_type: str
    body: bytes
    more: tuple[tuple[str, str], ...] = ()
    """Further headers."""


Page = Callable[[str, Any], Reply]
"""Replies to the path, without its query, and the headers of a GET or a HEAD; called by many threads."""


class _Connection:
    """An open connection to a client."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.since = time.monotonic()
        self.has_asked = self.is_closed = False

    def close(self) -> None:
        """Wake the thread that serves it: its reads end, and its writes fail."""
        self.is_closed = True
        with suppress(OSError):  # the client has closed it already
            self.socket.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: "Server"
    server_version, sys_version = "content-worker", ""

    def do_GET(self) -> None:
        self.server.asked(self.request)
        reply = self.server.page(self.path.partition("?")[0], self.headers)
        self.send_response(reply.status)
        for name, value in (("Content-Type", reply.content_type), *reply.more):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_HEAD = do_GET  # noqa: N815 -- the name is http.server's

    def log_message(self, *_: Any) -> None:
        """Log nothing: probes and scrapes come every few seconds."""


class Server(ThreadingHTTPServer):
    """Listens as soon as it exists; `serve_forever` answers."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        page: Page,
        *,
        request_seconds: float = REQUEST_SECONDS,
        client_seconds: float = CLIENT_SECONDS,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.page = page
        self._request_seconds, self._client_seconds = request_seconds, client_seconds
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._lock = threading.Lock()
        self._open: dict[Any, _Connection] = {}  # the oldest first
        super().__init__(address, _Handler)

    def asked(self, request: Any) -> None:
        """Note that the whole request has arrived: the connection is not idle."""
        with self._lock:
            if request in self._open:
                self._open[request].has_asked = True

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve it in a thread; if all are in use, close an idle connection, or answer `BUSY`."""
        if not self._room.acquire(blocking=False):
            self._close_oldest()
            if not self._room.acquire(timeout=ROOM_SECONDS):
                with suppress(OSError):
                    request.settimeout(0)
                    request.sendall(BUSY)
                self.shutdown_request(request)
                return
        with self._lock:
            self._open[request] = _Connection(request)
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._leave(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve it, and make room for the next one."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave(request)

    def service_actions(self) -> None:
        """Close connections whose time is over; the server calls this between two looks for new clients."""
        now = time.monotonic()
        with self._lock:
            for each in self._open.values():
                longest = self._client_seconds if each.has_asked else self._request_seconds
                if now - each.since > longest:
                    each.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error, unless the client closed the connection or was cut off."""
        if not isinstance(sys.exc_info()[1], OSError):
            logger.exception("A request was not answered")  # noqa: LOG004 (socketserver calls this where it handles the error)

    def _leave(self, request: Any) -> None:
        with self._lock:
            was_open = self._open.pop(request, None)
        if was_open:  # else its thread has left already: Ctrl-C came while it was being started
            self._room.release()

    def _close_oldest(self) -> None:
        with self._lock:
            for each in self._open.values():
                if not (each.has_asked or each.is_closed):
                    each.close()
                    return


class SharedAnswer(Generic[Answer]):
    """Asks one at a time, for all clients, and not again while the answer, or its failure, is young.

    Logs a failure as a warning that begins with `failure`, once until the failure is another one.
    """

    def __init__(
        self, ask: Callable[[], Answer], failure: str, *, keep_seconds: float, patience_seconds: float
    ) -> None:
        self._ask, self._failure = ask, failure
        self._keep_seconds, self._patience_seconds = keep_seconds, patience_seconds
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="shared-answer")
        self._lock = threading.Lock()
        self._running: Future[Answer] | None = None
        self._ended = 0.0
        self._reason = ""

    def get(self) -> Answer:
        """The answer that is being fetched, or the last one.

        Raises:
            TimeoutError: the answer has not come; the next client waits for the same one.
            Exception: whatever asking raised.
        """
        with self._lock:
            is_old = time.monotonic() - self._ended > self._keep_seconds
            if self._running is None or (self._running.done() and is_old):
                self._running = self._executor.submit(self._run)
            running = self._running
        return running.result(self._patience_seconds)

    def _run(self) -> Answer:
        reason = ""
        try:
            return self._ask()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            if reason != self._reason:
                logger.warning("%s: %s", self._failure, reason)
            raise
        finally:
            self._reason, self._ended = reason, time.monotonic()


def serve(address: tuple[str, int], page: Page) -> None:
    """Answer until the process ends.

    Raises:
        OSError: the server cannot listen on the address.
    """
    with Server(address, page) as server:
        server.serve_forever(LOOK_SECONDS)
