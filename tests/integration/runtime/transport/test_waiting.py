"""An idle worker sends nothing, and takes a message as soon as Redis tells of it."""

import fcntl
import logging
import os
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import redis
from kombu import Connection, Consumer, Queue
from kombu.asynchronous import Hub
from kombu.utils import eventio

from contentworker.runtime import transport
from contentworker.runtime.transport import waiting
from tests.support import wait_until

QUEUES = [Queue("one"), Queue("two")]
USER = "may-not-be-told"
ANSWER_BYTES = 200
"""An answer with a message is longer, word of a change is shorter."""


class Program:
    """A program with an event loop that consumes two queues."""

    def __init__(self, url: str) -> None:
        # Without kombu's watch over its connections, which would end a wait in half a minute.
        options = {"socket_timeout": 10, "health_check_interval": 0}
        self.connection = Connection(url, transport_options=options)
        self.channel = self.connection.channel()
        self.channel.connection.cycle.is_in_loop = True
        self.taken: list[int] = []
        self.unacknowledged: list[object] = []
        self.is_slow = False
        consumer = Consumer(self.channel, QUEUES, on_message=self.take)
        consumer.qos(prefetch_count=10)
        consumer.consume()

    def take(self, message: object) -> None:
        self.taken.append(message.payload)  # type: ignore[attr-defined]
        self.unacknowledged.append(message)
        if not self.is_slow:
            self.acknowledge()

    def acknowledge(self) -> None:
        self.unacknowledged.pop().ack()  # type: ignore[attr-defined]

    def turn(self) -> None:
        """One of its event loop."""
        with suppress(TimeoutError):
            self.connection.drain_events(timeout=0.01)

    def is_waiting(self) -> bool:
        self.turn()
        return bool(self.channel._waiting.step == "wait")

    def has_taken(self, *numbers: int) -> bool:
        self.turn()
        return self.taken == [*numbers]


@pytest.fixture
def start(clean: None, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Program]]:
    """Starts programs whose wait ends only if they are told of a message."""
    transport.register("leased")
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 3600.0)
    programs: list[Program] = []

    def start(user: str = "") -> Program:
        programs.append(Program(redis_url.replace("//", f"//{user}:x@") if user else redis_url))
        return programs[-1]

    yield start
    for each in programs:
        each.connection.release()


def send(url: str, number: int, queue: str = "one", priority: int = 0) -> None:
    """As any client does."""
    with Connection(url) as connection:
        connection.Producer().publish(number, routing_key=queue, declare=QUEUES, priority=priority)


def looks(client: redis.Redis) -> int:
    """How many looks and pauses there have been."""
    found = client.info("commandstats")
    return sum(found.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("exists", "brpop"))


def unread_bytes(program: Program) -> int:
    """How much Redis has sent that the program has not read."""
    answer = fcntl.ioctl(program.channel.client.connection._sock, termios.FIONREAD, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


@pytest.mark.parametrize(("queue", "priority"), [("one", 0), ("two", 0), ("two", 9)])
def test_it_sends_nothing_until_it_is_told(
    start: Callable[..., Program], redis_url: str, redis_client: redis.Redis, queue: str, priority: int
) -> None:
    """Of a message in any of its lists."""
    program = start()
    wait_until(program.is_waiting, "the wait")
    before = looks(redis_client)
    for _ in range(10):
        program.turn()
    assert looks(redis_client) == before
    send(redis_url, 1, queue, priority)
    wait_until(lambda: program.has_taken(1), "the message")
    wait_until(program.is_waiting, "the next wait")


def test_a_message_right_after_the_look(
    start: Callable[..., Program], redis_url: str, redis_client: redis.Redis
) -> None:
    """Redis's word of it is read with the answer, so that the socket never becomes readable."""
    program = start()
    wait_until(program.is_waiting, "the wait")
    before = looks(redis_client)
    program.channel._in_poll = None
    program.channel.connection.cycle.on_poll_start()
    wait_until(lambda: looks(redis_client) > before, "the look")
    send(redis_url, 1)
    wait_until(lambda: program.has_taken(1), "the message")


@pytest.mark.parametrize("before", [b"", b">3\r\n+MIGRATING\r\n:1\r\n:10\r\n"])
def test_word_of_a_change_right_before_an_answer(
    start: Callable[..., Program], redis_url: str, before: bytes
) -> None:
    """All is read from the socket at once, which then never becomes readable for the answer.

    A managed server also says that it moves: that is written into the parser here, and is no answer.
    """
    program = start()
    wait_until(program.is_waiting, "the wait")
    program.channel._waiting.step, program.channel._in_poll = "fetch", None
    send(redis_url, 1)
    program.channel.connection.cycle.on_poll_start()
    wait_until(lambda: unread_bytes(program) > ANSWER_BYTES, "the answer")
    buffer = program.channel.client.connection._parser._buffer._buffer
    buffer.write(before)
    buffer.seek(0)
    wait_until(lambda: program.has_taken(1), "the message")


def test_others_are_faster(start: Callable[..., Program], redis_url: str, redis_client: redis.Redis) -> None:
    """Told again and again in vain it rests, and is there for the next message."""
    program = start()
    wait_until(program.is_waiting, "the wait")
    before = looks(redis_client)
    for _ in range(5):
        with redis_client.pipeline() as both:
            both.lpush("one", "x")
            both.rpop("one")
            both.execute()
        program.turn()
    wait_until(lambda: program.turn() or looks(redis_client) > before, "a look")
    wait_until(program.is_waiting, "the next wait")
    send(redis_url, 1)
    wait_until(lambda: program.has_taken(1), "the message")


def test_told_while_it_may_take_no_more(start: Callable[..., Program], redis_url: str) -> None:
    """The connection stays, and the message is taken when there is room."""
    program = start()
    wait_until(program.is_waiting, "the wait")
    program.channel.basic_qos(0, 1, False)
    program.is_slow = True
    send(redis_url, 1)
    wait_until(lambda: program.has_taken(1), "the first message")
    socket = program.channel.client.connection._sock
    send(redis_url, 2, "two")
    wait_until(lambda: unread_bytes(program), "the word of it")
    wait_until(lambda: program.turn() or not unread_bytes(program), "the word to be read")
    assert program.channel.client.connection._sock is socket
    program.acknowledge()
    wait_until(lambda: program.has_taken(1, 2), "the second message")
    program.acknowledge()


def test_a_closed_connection_that_another_process_has_too(
    start: Callable[..., Program], redis_url: str
) -> None:
    """As a pool process has that was started later. The next connection has the same number."""
    program = start()
    wait_until(program.is_waiting, "the wait")
    connection = program.channel.client.connection
    number = connection._sock.fileno()
    copies = [os.dup(number)]
    while copies[-1] < number:  # or the next connection would get a lower one that is free
        copies.append(os.dup(number))
    try:
        connection.disconnect()
        wait_until(program.is_waiting, "the wait on a new connection")
        assert connection._sock.fileno() == number
        assert not program.channel.connection.cycle.poller.poll(0)
        send(redis_url, 1)
        wait_until(lambda: program.has_taken(1), "the message")
    finally:
        for each in copies:
            os.close(each)


def test_a_closed_connection_leaves_the_event_loop(start: Callable[..., Program]) -> None:
    """Otherwise each turn of the loop would call every connection that there was."""
    hub, connection = Hub(), start().connection
    connection.transport.register_with_event_loop(connection.connection, hub)
    assert len(hub.on_tick) == 1
    connection.close()
    assert not hub.on_tick
    hub.close()


def test_a_server_that_does_not_tell(
    start: Callable[..., Program],
    redis_url: str,
    redis_client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is asked again and again, and that is logged once."""
    caplog.set_level(logging.WARNING)
    redis_client.execute_command("ACL", "SETUSER", USER, "on", ">x", "~*", "&*", "+@all", "-client")
    try:
        program = start(USER)
        for number in range(3):
            send(redis_url, number)
            wait_until(lambda: len(program.taken) > number or program.turn(), "the message")  # noqa: B023 (called here)
        before = looks(redis_client)
        wait_until(lambda: program.turn() or looks(redis_client) > before + 2, "the next looks")
        assert not program.is_waiting()
        assert caplog.text.count("so this worker polls") == 1
    finally:
        redis_client.acl_deluser(USER)


def test_a_wait_ends_before_kombu_takes_the_connection_for_dead(start: Callable[..., Program]) -> None:
    program = start()
    program.channel.health_check_interval = 10
    wait_until(program.is_waiting, "the wait")
    assert program.channel._waiting._ends - time.monotonic() < 10


def test_a_connection_that_poll_does_not_watch_is_closed(start: Callable[..., Program]) -> None:
    """On macOS: a poll object, unlike an epoll one of Linux, raises `KeyError`."""
    channel = start().channel
    channel.connection.cycle.poller = eventio._poll()
    connection = channel.async_pool.get_connection()
    connection.disconnect()
    assert connection._sock is None


@pytest.mark.parametrize("during", ["look", "wait"])
def test_a_queue_that_is_added_to_a_wait(start: Callable[..., Program], redis_url: str, during: str) -> None:
    """The worker looks into it as well."""
    program = start()
    wait_until(program.is_waiting, "the wait")
    if during == "look":
        program.channel._in_poll = None
        program.channel.connection.cycle.on_poll_start()
    assert program.channel._waiting.step == during
    consumer = Consumer(program.channel, [Queue("three")], on_message=program.take)
    consumer.consume()
    send(redis_url, 1, "three")
    wait_until(lambda: program.has_taken(1), "the message")
