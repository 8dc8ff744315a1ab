"""The small HTTP server, with real sockets: idle, slow and many clients."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from contentworker.runtime.answering import MOST_CONNECTIONS, Reply, Server, SharedAnswer
from tests.support import PATIENCE, wait_until

QUESTION = b"GET /page?a=1 HTTP/1.1\r\nHost: x\r\n\r\n"
MANY = 200
LONG = 600.0


@contextmanager
def serving(answer: Callable[[], bytes], **seconds: float) -> Iterator[Server]:
    """A server whose one page is this."""

    def page(path: str, headers: Any) -> Reply:
        assert (path, headers["Host"]) == ("/page", "x")
        return Reply(200, "text/plain", answer())

    before = threading.active_count()
    with Server(("127.0.0.1", 0), page, **seconds) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
    wait_until(lambda: threading.active_count() <= before, "every thread of the server to end")


def connected(server: Server) -> socket.socket:
    host, port = server.server_address[:2]
    return socket.create_connection((str(host), port), timeout=PATIENCE)


def read(client: socket.socket) -> bytes:
    """All that comes until the end; a reset is an end, too."""
    parts = []
    try:
        while part := client.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def threads() -> int:
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def test_idle_connections_keep_nobody_out() -> None:
    """Two hundred that are opened and left alone: few threads, and who asks is answered every time."""
    with ExitStack() as stack, serving(lambda: b"well", request_seconds=LONG) as server:
        stack.callback(lambda: [client.close() for client in idle])
        idle = []
        most = 0
        for _ in range(MANY):
            idle.append(connected(server))
            with connected(server) as client:
                client.sendall(QUESTION)
                assert read(client).endswith(b"\r\n\r\nwell")
            most = max(most, threads())
        assert most <= MOST_CONNECTIONS
        assert read(idle[0]) == b""  # the first of them made room
        for client in idle:
            client.close()


def test_ctrl_c_while_a_thread_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the server, even if the thread has answered and ended by then."""
    start = threading.Thread.start

    def start_interrupted(thread: threading.Thread) -> None:
        start(thread)
        thread.join()
        raise KeyboardInterrupt

    with Server(("127.0.0.1", 0), lambda *_: Reply(200, "text/plain", b"")) as server:
        connected(server).close()
        monkeypatch.setattr(threading.Thread, "start", start_interrupted)
        with pytest.raises(KeyboardInterrupt):
            server.handle_request()


def test_a_client_that_drips_is_cut_off() -> None:
    """One byte after another, for ever: its time is for the whole request, not for each byte."""
    with serving(lambda: b"well", request_seconds=0.3) as server, connected(server) as client:
        client.sendall(b"GET /page HTTP/1.1\r\nHost: ")

        def is_cut_off() -> bool:
            try:
                client.sendall(b"x")
            except OSError:
                return True
            return False

        wait_until(is_cut_off, "the server to close it")


@pytest.mark.parametrize("has_asked", [False, True], ids=["request", "whole-connection"])
def test_a_client_has_all_of_its_time(has_asked: bool) -> None:
    """A minute before it is over nothing happens; a second after it the connection is closed."""
    seconds = {"request_seconds": LONG / 2, "client_seconds": LONG}
    with serving(lambda: b"well", **seconds) as server, connected(server) as client:
        wait_until(lambda: server._open, "the connection")
        (connection,) = server._open.values()
        connection.has_asked = has_asked
        connection.since -= (LONG if has_asked else LONG / 2) - 60
        server.service_actions()
        assert not connection.is_closed
        connection.since -= 61
        assert read(client) == b""
        assert connection.is_closed


def test_a_client_that_does_not_take_its_answer_is_cut_off() -> None:
    """It asks, and reads nothing of what is too long for any buffer."""
    served = threading.Event()

    def answer() -> bytes:
        served.set()
        return b"x" * 50_000_000

    with serving(answer, client_seconds=LONG) as server, connected(server) as client:
        client.sendall(QUESTION)
        assert served.wait(PATIENCE)
        (connection,) = server._open.values()
        connection.since -= LONG + 1
        wait_until(lambda: threads() == 0, "it to be given up")
        assert len(read(client)) < 50_000_000


def test_more_than_can_be_answered_are_told_so() -> None:
    """Where every connection waits for its answer, one more gets 503 at once and not a thread."""
    go_on, waiting = threading.Event(), threading.Semaphore(0)

    def answer() -> bytes:
        waiting.release()
        go_on.wait(PATIENCE)
        return b"well"

    with ExitStack() as stack, serving(answer) as server:
        stack.callback(go_on.set)
        clients = [stack.enter_context(connected(server)) for _ in range(MOST_CONNECTIONS)]
        for client in clients:
            client.sendall(QUESTION)
        assert all(waiting.acquire(timeout=PATIENCE) for _ in clients)
        with connected(server) as late:
            assert read(late).startswith(b"HTTP/1.0 503 ")
        assert threads() == MOST_CONNECTIONS
        go_on.set()
        assert all(read(client).endswith(b"well") for client in clients)
        with connected(server) as client:
            client.sendall(QUESTION)
            assert read(client).endswith(b"well")


class Asked:
    """Gives numbers, or raises what it is told to."""

    def __init__(self) -> None:
        self.times = 0
        self.error: Exception | None = None

    def __call__(self) -> int:
        self.times += 1
        if self.error:
            raise self.error
        return self.times


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test moves."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_an_answer_is_kept(clock: list[float]) -> None:
    """For two seconds all are given the same; after that it is asked again."""
    asked = Asked()
    shared = SharedAnswer(asked, "failed", keep_seconds=2, patience_seconds=30)
    assert [shared.get(), shared.get()] == [1, 1]
    clock[0] += 2
    assert shared.get() == 1
    clock[0] += 0.1
    assert shared.get() == 2


def test_a_failure_is_kept_and_logged_once(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    """All are given the same failure; one that lasts is logged once, and again after it was over."""
    asked = Asked()
    shared = SharedAnswer(asked, "It failed", keep_seconds=2, patience_seconds=30)
    for error in (OSError("one"), OSError("one"), OSError("two"), None, OSError("two")):
        asked.error = error
        if error:
            for _ in range(2):
                with pytest.raises(OSError, match=str(error)):
                    shared.get()
        else:
            shared.get()
        clock[0] += 2.1
    assert asked.times == 5
    assert caplog.messages == [f"It failed: OSError: {reason}" for reason in ("one", "two", "two")]


def test_patience_ends() -> None:
    """A client waits only so long; the next one waits for the same answer."""
    go_on = threading.Event()
    shared = SharedAnswer(lambda: go_on.wait(PATIENCE), "failed", keep_seconds=0, patience_seconds=0.01)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            shared.get()
    go_on.set()
    wait_until(lambda: shared._running and shared._running.done(), "the answer")
