"""A Redis that is hard to reach, busy, or full of what dead workers left: tasks go on, and none is lost."""

import json
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from contentworker.runtime.settings import BrokerSettings
from contentworker.runtime.transport.keys import LEASES, PREFIX, RENEWED, held_key
from contentworker.runtime.transport.stored import VERSION, record
from tests.flow import Flow
from tests.support import (
    PATIENCE,
    PROBE_APP,
    ROOT,
    RedisProcess,
    StartWorker,
    as_bytes,
    client_of,
    redis_seconds,
    run_cli,
    wait_until,
    waiting_messages,
)

STALE = 10_000
LONGER_THAN_A_LEASE_SECONDS = 14
CUT_SECONDS = 2.0
"""After which the proxy of these tests cuts a connection that says nothing."""
USUAL_CUT_SECONDS = 30

BUSY = """
import sys, redis
client = redis.Redis.from_url(sys.argv[1], socket_timeout=None)
while True:
    client.eval("local sum = 0 for i = 1, 300000 do sum = sum + i end return sum", 0)
"""
BUSY_CLIENTS = 3
"""One script is always waiting while another runs."""


class Proxy(threading.Thread):
    """Passes bytes on between clients and Redis, and closes a connection that had none for a while."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cuts = 0
        self._to, self._stopping = port, threading.Event()
        self._other: dict[socket.socket, socket.socket] = {}
        self._used: dict[socket.socket, float] = {}
        self.start()

    def run(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._stopping.is_set():
                for key, _ in selector.select(0.05):
                    if key.fileobj is self._listener:
                        self._join(selector)
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._other:
                        self._pass_on(selector, key.fileobj)
                before = time.monotonic() - CUT_SECONDS
                for each in [each for each, used in self._used.items() if used < before]:
                    if each in self._other:
                        self.cuts += 1
                        self._close(selector, each)
            while self._other:
                self._close(selector, next(iter(self._other)))

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def _join(self, selector: selectors.BaseSelector) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._to))
        for one, other in ((client, server), (server, client)):
            self._other[one], self._used[one] = other, time.monotonic()
            selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, selector: selectors.BaseSelector, source: socket.socket) -> None:
        target = self._other[source]
        self._used[source] = self._used[target] = time.monotonic()
        with suppress(OSError):
            if data := source.recv(65536):
                target.sendall(data)
                return
        self._close(selector, source)

    def _close(self, selector: selectors.BaseSelector, one: socket.socket) -> None:
        for each in (one, self._other[one]):
            selector.unregister(each)
            del self._other[each], self._used[each]
            each.close()


@pytest.fixture
def proxy(server: RedisProcess) -> Iterator[Proxy]:
    """In front of the test's own Redis."""
    cutting = Proxy(server.port)
    yield cutting
    cutting.stop()


def test_a_proxy_that_cuts_idle_connections(proxy: Proxy, worker: StartWorker) -> None:
    """Each is opened again when it is needed: tasks run, and broadcasts and `health` get their answers."""
    url = f"redis://127.0.0.1:{proxy.port}/0"
    serving = worker("--queues=celery", redis_url=url)
    with client_of(url) as client:
        for _ in range(2):
            before = proxy.cuts
            sent = client.send_task("tasks.health_check")
            assert sent.get(timeout=PATIENCE)["status"] == "ok"
            # Those of the pool process, of this client, and the one on which the worker hears broadcasts.
            wait_until(lambda: proxy.cuts > before + 2, "idle connections to be cut")  # noqa: B023 (called here)
        wait_until(lambda: client.control.ping(timeout=1), "an answer to a broadcast")
    asked = ("health", "--json", "--queue", "celery", "--timeout", str(PATIENCE))
    found = json.loads(run_cli(*asked, redis_url=url).stdout)
    assert [each["status"] for each in found] == ["ok"]
    assert serving.is_alive


def test_connections_are_used_before_a_usual_proxy_cuts_them() -> None:
    """By default, and then none is cut."""
    assert BrokerSettings().health_check_interval_seconds < USUAL_CUT_SECONDS


def calls_of_eval(client: redis.Redis) -> int:
    statistics: Any = client.info("commandstats")
    return int(statistics.get("cmdstat_eval", {}).get("calls", 0))


def test_a_redis_that_is_always_busy(server: RedisProcess, worker: StartWorker, tmp_path: Path) -> None:
    """Every command waits behind a long script: tasks are late, and no lease is lost, no task run twice."""
    serving = [
        worker("--queues=celery", f"--hostname={name}@test", redis_url=server.url, app=PROBE_APP)
        for name in ("one", "two")
    ]
    load = [subprocess.Popen([sys.executable, "-c", BUSY, server.url], cwd=ROOT) for _ in range(BUSY_CLIENTS)]
    try:
        with client_of(server.url) as client, server.client() as plain:
            wait_until(lambda: calls_of_eval(plain) > 5, "the load")
            holders = plain.hkeys(LEASES)
            began, before = redis_seconds(plain), calls_of_eval(plain)
            flow = Flow(client, tmp_path / "flow")
            wait_until(
                lambda: redis_seconds(plain) > began + LONGER_THAN_A_LEASE_SECONDS and len(flow.runs()) > 20,
                "tasks, for longer than a lease",
            )
            flow.stop()
            assert calls_of_eval(plain) > before, "the load went on"
            wait_until(lambda: not flow.missing and not waiting_messages(plain), "every task to be over")
            assert set(flow.runs().values()) == {1}
            assert not flow.refused
            assert sorted(plain.hkeys(LEASES)) == sorted(holders)
    finally:
        for process in load:
            process.kill()
            process.wait()
    for each in serving:
        assert each.is_alive
        assert not any(text in each.log() for text in ("Lease lost", "Overlap"))


def test_ten_thousand_stale_leases(redis_url: str, redis_client: redis.Redis, worker: StartWorker) -> None:
    """A worker that starts alone puts back once what they held, and serves its own queue meanwhile."""
    redis_client.flushall()
    messages = [f'{{"id":{number}}}' for number in range(STALE)]
    with redis_client.pipeline(transaction=False) as pipe:
        pipe.set(PREFIX, VERSION)
        for number, message in enumerate(messages):
            holder = f"elsewhere:boot:{number}:{number:012x}"
            pipe.hset(LEASES, holder, 1)
            pipe.zadd(RENEWED, {holder: 1})
            pipe.hset(held_key(holder), "1-1", record("evaluation", "elsewhere", message))
        pipe.execute()
    serving = worker("--queues=celery")
    wait_until(lambda: own_leases(redis_client), "its own lease")
    (own,) = own_leases(redis_client)
    with client_of(redis_url) as client:
        for back in range(0, STALE + 1, STALE // 5):
            wait_until(lambda: redis_client.llen("evaluation") >= back, f"{back} messages")  # noqa: B023 (called here)
            assert client.send_task("tasks.health_check").get(timeout=PATIENCE)["status"] == "ok"
    wait_until(
        lambda: redis_client.hkeys(LEASES) == [own], "its own lease, which stood all the time, to be left"
    )
    wait_until(lambda: redis_client.zrange(RENEWED, 0, -1) == [own], "no trace of the others")
    assert sorted(as_bytes(each).decode() for each in redis_client.lrange("evaluation", 0, -1)) == sorted(
        messages
    )
    assert not list(redis_client.scan_iter(match=held_key("elsewhere:*")))
    assert "Lease lost" not in serving.log()


def own_leases(client: redis.Redis) -> list[bytes]:
    return [as_bytes(name) for name in client.hkeys(LEASES) if not as_bytes(name).startswith(b"elsewhere:")]
