"""What kombu's own Redis transport does for Celery and for kombu's programs, the leased one does as well.

Most of it in this process: stock Celery, which has nothing of this project but the transport.
"""

import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
import redis
from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Reject
from celery.worker import state
from kombu import Connection, Consumer, Exchange, Queue

from contentworker import config
from contentworker.errors import ConfigError
from contentworker.runtime import transport
from contentworker.runtime.transport import lease
from contentworker.runtime.transport.keys import DELAYED, PREFIX, RETURNED, held_key
from contentworker.runtime.transport.protocol import Protocol
from contentworker.runtime.worker import application, command_line, pool_children
from tests.support import (
    PATIENCE,
    PROBE_APP,
    ROOT,
    StartWorker,
    as_bytes,
    environment,
    executions,
    wait_until,
)

pytestmark = [
    # Celery's and redis-py's matter, in this process.
    pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning"),
]

EVERYONE = Queue("everyone", Exchange("everyone", type="fanout"), routing_key="everyone")


@pytest.fixture(autouse=True)
def leased(clean: None) -> Iterator[None]:
    """An empty Redis, and our transport by its usual names; workers in this process change its logging."""
    transport.register("leased")
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


def held(client: redis.Redis, prefix: str = "") -> int:
    """How many messages are in anyone's hands."""
    keys = client.scan_iter(match=prefix + held_key("*"))
    return sum(tag[:1].isdigit() for key in keys for tag in client.hkeys(key))


class Stock:
    """An application of stock Celery, with what its tasks saw."""

    def __init__(self, redis_url: str) -> None:
        self.seen = seen = list[Any]()
        self.may_end = may_end = threading.Event()
        # What a worker holds, Celery counts for the whole process: with one that an earlier test left there,
        # a worker that may hold one takes nothing.
        state.reset_state()
        self.app = Celery("stock", broker=redis_url, backend=redis_url, set_as_current=False)
        self.app.conf.update(task_acks_late=True, worker_deduplicate_successful_tasks=True)
        task = partial(self.app.task, bind=True, shared=False)

        @task(name="look")
        def look(self: Any) -> Any:
            seen.append(self.request.id)
            info = self.request.delivery_info
            return [info["redelivered"], self.request.get("redelivered"), self.request.eta]

        @task(name="look_again")
        def look_again(self: Any) -> Any:
            if not self.request.delivery_info["redelivered"]:
                seen.append(self.request.id)
                raise Reject("not before the second time", requeue=True)
            seen.append(self.request.id)
            return [True, self.request.get("redelivered"), self.request.eta]

        @task(name="reject_always")
        def reject_always(self: Any) -> None:
            seen.append(self.request.id)
            raise Reject("never", requeue=True)

        @task(name="wait")
        def wait(self: Any) -> None:
            seen.append(self.request.id)
            may_end.wait(PATIENCE)

    def worker(self, **options: Any) -> Any:
        """Start a worker in this process; a context manager."""
        options = {"pool": "solo", "perform_ping_check": False, "loglevel": "error", **options}
        return start_worker(self.app, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.app.backend.result_consumer.stop()
        self.app.backend.client.connection_pool.disconnect()
        self.app.close()


@pytest.fixture
def stock(redis_url: str) -> Iterator[Stock]:
    """Stock Celery."""
    with Stock(redis_url) as stock:
        yield stock


def test_task_sees_what_celery_shows(stock: Stock, redis_client: redis.Redis) -> None:
    """A rejected task is redelivered, a successful one not repeated, an ETA is the sender's."""
    eta = datetime.now(UTC) + timedelta(seconds=0.5)
    # Its worker stored the result, and died before the acknowledgement.
    succeeded = stock.app.send_task("look", queue="later")
    stock.app.backend.store_result(succeeded.id, None, "SUCCESS")
    protocol = Protocol(redis_client)
    protocol.register("died")
    protocol.fetch("died", 1, 1, ["later"])
    assert protocol.reclaim("died", 0) == (1, 0)
    with stock.worker(queues=["celery", "later"]):
        again = stock.app.send_task("look_again")
        assert again.get(timeout=PATIENCE) == [True, True, None]
        assert stock.app.send_task("look").get(timeout=PATIENCE) == [False, None, None]
        redelivered, _, seen = stock.app.send_task("look", eta=eta).get(timeout=PATIENCE)
        assert datetime.fromisoformat(seen) == eta
        assert not redelivered
        wait_until(lambda: held(redis_client) == 0, "the acknowledgements")
    assert stock.seen.count(again.id) == 2
    assert succeeded.id not in stock.seen
    assert redis_client.llen("later") == 0
    assert not redis_client.keys(f"{RETURNED}*")


def test_broadcast_queue(stock: Stock, redis_client: redis.Redis) -> None:
    """Its messages came by no lease: they can be acknowledged, rejected and be junk, and the worker lives."""
    with stock.worker():
        # A worker that is not ready yet, or busy, answers nothing within the second that Celery waits.
        wait_until(
            lambda: stock.app.control.add_consumer("everyone", exchange_type="fanout", reply=True),
            "the worker to consume",
        )
        wait_until(lambda: redis_client.pubsub_numpat() == 2, "the subscription, beside that of control")
        for task in ("look", "reject_always"):
            stock.app.send_task(task, queue=EVERYONE)
        for junk in (b"5", b"{}", b'{"body": 3, "properties": []}', b"\xff"):
            redis_client.publish("/0.everyone/everyone", junk)
        wait_until(lambda: len(stock.seen) == 2, "both")
        assert stock.app.send_task("look").get(timeout=PATIENCE) == [False, None, None]
    assert len(stock.seen) == 3
    assert redis_client.llen("everyone") == 0


def test_late_answers_to_inspect(stock: Stock) -> None:
    """They are nothing to the next question, which the same connection asks."""
    with stock.worker():
        for _ in range(5):
            stock.app.control.inspect(timeout=0.0001).ping()
        answers = wait_until(lambda: stock.app.control.inspect(timeout=1).ping(), "an answer")
        assert [*answers.values()] == [{"ok": "pong"}]


def test_disabled_prefetch(stock: Stock, redis_client: redis.Redis) -> None:
    """`--disable-prefetch` takes one message for each free slot, however large the prefetch may be."""
    stock.app.conf.update(worker_disable_prefetch=True, worker_prefetch_multiplier=8)
    for _ in range(10):
        stock.app.send_task("wait", ignore_result=True)
    with stock.worker(pool="threads", concurrency=1):
        wait_until(lambda: stock.seen, "the first task")
        assert redis_client.llen("celery") == 9
        stock.may_end.set()
        wait_until(lambda: len(stock.seen) == 10 and not held(redis_client), "all of them")


def sockets() -> int:
    gc.collect()
    fds = [Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd")]
    return sum(path.is_symlink() and str(path.readlink()).startswith("socket:") for path in fds)


@pytest.mark.skipif(sys.platform != "linux", reason="counts the entries of /proc")
def test_workers_in_one_process_leave_no_socket(redis_url: str) -> None:
    """Nothing is frozen in a process that is not the worker's own."""
    frozen, counts = gc.get_freeze_count(), []
    for _ in range(4):
        with Stock(redis_url) as stock, stock.worker():
            pass
        del stock
        counts.append(sockets())
    assert gc.get_freeze_count() == frozen
    assert counts[-1] <= counts[0]


@pytest.fixture
def connection(redis_url: str) -> Iterator[Connection]:
    """A connection by the leased transport."""
    with Connection(redis_url) as connection:
        yield connection


def put(connection: Connection, queue: str, *numbers: int | str, **options: Any) -> None:
    """Send numbers to a queue."""
    producer = connection.Producer()
    for number in numbers:
        producer.publish(number, routing_key=queue, declare=[Queue(queue)], **options)


def test_closed_channel_marks_what_it_had(redis_url: str, connection: Connection) -> None:
    """In both places where kombu says so; what was not taken is not marked."""
    put(connection, "simple", 0, 1)
    connection.SimpleQueue("simple").get(timeout=PATIENCE)
    connection.release()
    with Connection(redis_url) as another, another.SimpleQueue("simple") as queue:
        for number, marked in enumerate([True, None]):
            message = queue.get(timeout=PATIENCE)
            assert message.payload == number
            assert message.delivery_info.get("redelivered") is marked
            assert message.headers.get("redelivered") is marked
            message.ack()


def test_simple_queue_takes_one(connection: Connection, redis_client: redis.Redis) -> None:
    """Others can have the rest, also while this program holds one."""
    put(connection, "simple", *range(5))
    queue = connection.SimpleQueue("simple")
    queue.get(timeout=PATIENCE)
    assert (redis_client.llen("simple"), held(redis_client)) == (4, 1)


def drain(connection: Connection, times: int = 1) -> None:
    for _ in range(times):
        connection.drain_events(timeout=PATIENCE)


def wait_in_vain(connection: Connection) -> None:
    """Have a channel send its wait, and leave it under way."""
    with pytest.raises(socket.timeout):
        connection.drain_events(timeout=0.01)


def test_cancelled_consumer_without_acknowledgement_loses_nothing(
    connection: Connection, redis_client: redis.Redis
) -> None:
    """What its last wait brings is back in its queue, marked."""
    channel = connection.channel()
    consumer = Consumer(channel, Queue("unheld"), no_ack=True, callbacks=[lambda *_: None])
    consumer.consume()
    wait_in_vain(connection)
    consumer.cancel()
    put(connection, "unheld", 1)
    wait_until(lambda: not redis_client.llen("unheld"), "the wait to take it")
    seen: list[Any] = []
    Consumer(channel, Queue("other"), callbacks=[lambda body, _: seen.append(body)]).consume()
    put(connection, "other", 2)
    wait_until(lambda: drain(connection) or seen, "the other message")
    (raw,) = redis_client.lrange("unheld", 0, -1)
    assert json.loads(raw)["headers"]["redelivered"] is True


@pytest.mark.parametrize("order", ["together", "one after the other"])
def test_consumers_with_and_without_acknowledgement_on_one_channel(
    connection: Connection, redis_client: redis.Redis, order: str
) -> None:
    """Each message arrives; only those that need an acknowledgement stay held until it comes."""
    channel = connection.channel()
    bodies: list[Any] = []
    callbacks = [lambda body, _: bodies.append(body)]
    Consumer(channel, Queue("unheld"), no_ack=True, callbacks=callbacks).consume()
    if order == "one after the other":
        wait_in_vain(connection)
    Consumer(channel, Queue("held"), callbacks=callbacks).consume()
    put(connection, "unheld", 1, 2)
    put(connection, "held", 3)
    wait_until(lambda: drain(connection) or len(bodies) == 3, "all messages")
    channel.holder.flush()
    assert sorted(bodies) == [1, 2, 3]
    assert held(redis_client) == 1


@pytest.mark.parametrize("name", ["leased", "plain"])
def test_key_prefix(redis_url: str, redis_client: redis.Redis, name: transport.TransportName) -> None:
    """Two programs share a database: neither sees the other's messages, leases and delays."""
    transport.register(name)
    later = {"eta": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    with ExitStack() as stack:
        queues = {}
        for prefix in ("one.", "two."):
            options = {"global_keyprefix": prefix}
            connection = stack.enter_context(Connection(redis_url, transport_options=options))
            put(connection, "shared", *prefix)
            put(connection, "shared", "low", priority=9)
            put(connection, "shared", "delayed", headers=later)
            queues[prefix] = connection.SimpleQueue("shared")
        for prefix, queue in queues.items():
            first = queue.get(timeout=PATIENCE)
            assert first.payload == prefix[0]
            first.requeue()
            found = [queue.get(timeout=PATIENCE) for _ in range(2)]
            assert [each.payload for each in found] == [*prefix[1:3]]
            if name == "leased":
                assert held(redis_client, prefix) == 2
                assert redis_client.zcard(prefix + DELAYED) == 1
                assert len(Protocol(redis_client, prefix).beat("", silent_seconds=-1).silent) == 1
                assert redis_client.hvals(f"{prefix}{RETURNED}{prefix}shared") == [b"0"]
    for prefix in queues:
        with Connection(redis_url, transport_options={"global_keyprefix": prefix}) as connection:
            assert connection.channel().queue_purge("shared") == len(prefix) + 2
    left = [as_bytes(key) for key in redis_client.keys("*")]
    assert all(key.startswith((b"one.", b"two.")) for key in left)
    assert not [key for key in left if b"_kombu" not in key and not key.endswith(PREFIX.encode())]


def test_name_with_a_line_break_is_refused(connection: Connection, redis_client: redis.Redis) -> None:
    """A record has the list and its maker as lines: the message would come back to another list."""
    later = {"eta": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    with pytest.raises(ValueError, match="must be one line"):
        put(connection, "shared\nforged", 1, headers=later)
    with pytest.raises(ValueError, match="must be one line"):
        connection.SimpleQueue("shared\nforged").get(timeout=1)
    with pytest.raises(ValueError, match="must be one line"):
        connection.channel().basic_get("shared\nforged")
    assert not redis_client.exists(DELAYED)


def test_pause_has_the_prefix(redis_client: redis.Redis) -> None:
    """A queue of that name in another program goes on."""
    one, two = Protocol(redis_client, "one."), Protocol(redis_client, "two.")
    redis_client.lpush("one.celery", b"1")
    redis_client.lpush("two.celery", b"2")
    one.pause("celery")
    assert (one.paused(), two.paused()) == ({"celery"}, set())
    for protocol, number in ((one, 0), (two, 1)):
        protocol.register("holder")
        _, found = protocol.fetched(protocol.fetch("holder", 1, 9, [f"{protocol.prefix}celery"]))
        assert len(found) == number


@pytest.mark.parametrize("as_command", [False, True])
def test_application_refuses_a_key_prefix(monkeypatch: pytest.MonkeyPatch, as_command: bool) -> None:
    """Its dead letters, claims and results would not have it: each connection says so, in a line."""
    app = application.build(config.load(environ={}), "redis://127.0.0.1:1/0")
    app.conf.broker_transport_options = {"global_keyprefix": "one."}
    monkeypatch.setattr(command_line, "is_celery_command", lambda: as_command)
    for connect in (app.connection_for_read, app.connection_for_write, app.connection):
        with pytest.raises(SystemExit if as_command else ConfigError, match="database of its own"):
            connect()


GREEN = {
    "__init__.py": "",
    "monkey.py": "def patch_all(): pass",
    "signal.py": "",
}
"""What Celery loads of gevent before it knows the application."""


def test_green_pool_is_refused(redis_url: str, tmp_path: Path) -> None:
    """In one line, with what to use instead, before anything is connected."""
    (tmp_path / "gevent").mkdir()
    for name, text in GREEN.items():
        (tmp_path / "gevent" / name).write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", "worker", "--pool=gevent"],
        cwd=ROOT,
        env=environment(REDIS_URL=redis_url, PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == os.EX_CONFIG
    line = done.stderr.splitlines()[-1]
    assert line.startswith("gevent: ")
    assert "--pool=prefork" in line
    assert "Traceback" not in done.stderr


def test_eventlet_is_refused_where_leases_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Also as a setting; with the plain transport it may be used."""
    for name in ("plain", "leased"):
        settings = SimpleNamespace(broker=SimpleNamespace(transport=name))
        sender = SimpleNamespace(
            pool_cls="celery.concurrency.eventlet:TaskPool", app=SimpleNamespace(runtime_settings=settings)
        )
        with pytest.raises(SystemExit) if name == "leased" else nullcontext() as caught:
            pool_children._refuse_greenlets(sender=sender)
    assert caught.value.code == os.EX_CONFIG
    assert capsys.readouterr().err.startswith("eventlet: ")


def test_greenlets_get_no_lease(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any program: the thread that renews it would be one of them."""
    monkeypatch.setattr(lease, "detect_environment", lambda: "gevent")
    with pytest.raises(RuntimeError, match="leases need threads"):
        connection.SimpleQueue("simple").get(timeout=1)


def test_cold_shutdown_marks_what_it_had(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """SIGQUIT ends what runs; it comes back as redelivered, and that is no death."""
    ending = worker("--queues=celery", "--concurrency=1", app=PROBE_APP)
    client.send_task("probe.base.hold", kwargs={"folder": str(tmp_path)})
    wait_until(lambda: executions(tmp_path), "the task to start")
    ending.kill(signal.SIGQUIT)
    ending.wait()
    assert redis_client.llen("celery") == 1
    assert redis_client.hvals(f"{RETURNED}celery") == [b"0"]
