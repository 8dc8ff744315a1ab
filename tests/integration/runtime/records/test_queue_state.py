"""What is read of the queues: waiting, delayed, held and dead, on a real Redis."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import redis
from celery import Celery

from contentworker.runtime.records import dead_letters, queue_state
from contentworker.runtime.transport.keys import DELAYED
from contentworker.runtime.transport.protocol import Protocol
from tests.support import everything

pytestmark = pytest.mark.usefixtures("clean")

QUEUES = ("evaluation", "celery")
HEALTH = "tasks.health_check"


def state_of(client: redis.Redis, queue: str) -> queue_state.QueueState:
    """One queue's state."""
    (found,) = queue_state.read(client, [queue]).queues
    return found


def message(**headers: object) -> bytes:
    """A message as other clients may write it: without blanks."""
    return json.dumps({"body": "W10=", "headers": headers}, separators=(",", ":")).encode()


def test_nothing_there(redis_client: redis.Redis) -> None:
    """An empty Redis: zeros, no age, and nothing is written."""
    found = queue_state.read(redis_client, QUEUES)
    assert found.queues == tuple(queue_state.QueueState(name, 0, 0, 0, None, False) for name in QUEUES)
    assert (found.leases, found.dead_letters, found.delayed_uncounted) == (0, 0, 0)
    assert everything(redis_client) == ""


def test_every_priority_counts(redis_client: redis.Redis, client: Celery) -> None:
    """What was sent with a priority lies in a list of its own, and is ready as the rest is."""
    for priority in (0, 3, 6, 9):
        client.send_task(HEALTH, queue="evaluation", priority=priority)
    assert state_of(redis_client, "evaluation").ready == 4
    assert state_of(redis_client, "celery").ready == 0


def test_oldest_message(redis_client: redis.Redis) -> None:
    """The oldest of the lists' next messages counts, in whichever list; a delayed one since it was due."""
    hours = [datetime.now(UTC) - timedelta(hours=number) for number in range(4)]
    redis_client.lpush("celery", message(sent_at=hours[1].isoformat()))
    redis_client.lpush("celery\x06\x166", message(sent_at=hours[2].isoformat()))
    redis_client.lpush(
        "celery\x06\x169",
        message(sent_at=hours[3].isoformat(), eta=hours[1].replace(tzinfo=None).isoformat()),
    )
    age = state_of(redis_client, "celery").oldest_message_seconds
    assert age is not None
    assert 2 * 3600 <= age < 2.5 * 3600


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"junk", id="no JSON"),
        pytest.param(message(task="a"), id="not stamped"),
        pytest.param(message(sent_at="yesterday"), id="no time"),
        pytest.param(message(quoted='{"sent_at": "2020-01-01T00:00:00"}'), id="within a text"),
    ],
)
def test_message_without_an_age(redis_client: redis.Redis, raw: bytes) -> None:
    """Other clients' messages and junk are counted, and have no age."""
    redis_client.lpush("celery", raw)
    found = state_of(redis_client, "celery")
    assert (found.ready, found.oldest_message_seconds) == (1, None)


def test_delayed_of_each_queue(redis_client: redis.Redis, client: Celery) -> None:
    """Delayed messages are counted with the queue that they return to."""
    client.send_task(HEALTH, queue="evaluation", countdown=3600)
    client.send_task(HEALTH, queue="evaluation", countdown=3600, priority=6)
    client.send_task(HEALTH, queue="celery", countdown=3600)
    redis_client.zadd(DELAYED, {"2\nof another\nversion": 1})
    found = queue_state.read(redis_client, QUEUES)
    assert [queue.delayed for queue in found.queues] == [2, 1]
    assert [queue.ready for queue in found.queues] == [0, 0]


def test_no_more_delayed_are_looked_at_than_said(redis_client: redis.Redis, client: Celery) -> None:
    """With a bound the soonest are counted, and it is said how many were not."""
    for hours in range(1, 6):
        client.send_task(HEALTH, queue="celery", countdown=hours * 3600)
    found = queue_state.read(redis_client, ["celery"], most_records=3)
    assert (found.queues[0].delayed, found.delayed_uncounted) == (3, 2)


def test_more_delayed_than_one_script_looks_at(redis_client: redis.Redis, client: Celery) -> None:
    """Many messages, and large ones, take several scripts; the count includes all of them."""
    with client.producer_pool.acquire(block=True) as producer:
        for number in range(queue_state.RECORDS_AT_A_TIME + 1):
            client.send_task(HEALTH, countdown=3600 + number, producer=producer)
        for _ in range(3):
            text = "a" * (queue_state.BYTES_AT_A_TIME // 2)
            client.send_task(HEALTH, [text], queue="evaluation", countdown=60, producer=producer)
    found = queue_state.read(redis_client, QUEUES)
    assert [queue.delayed for queue in found.queues] == [3, queue_state.RECORDS_AT_A_TIME + 1]
    assert found.delayed_uncounted == 0


def test_held_of_each_queue(redis_client: redis.Redis, client: Celery) -> None:
    """What holders have taken is theirs by queue; what lies beside it in their hashes is no message."""
    protocol = Protocol(redis_client)
    for _ in range(3):
        client.send_task(HEALTH, queue="celery")
    client.send_task(HEALTH, queue="evaluation")
    for holder, lists in (("one", ["celery"]), ("two", ["celery", "evaluation"])):
        protocol.register(holder)
        protocol.fetch(holder, 1, 2, lists)
    protocol.start("one", "1-0")
    protocol.cancel_fetch("one", 7)
    found = queue_state.read(redis_client, QUEUES)
    assert [queue.held for queue in found.queues] == [1, 3]
    assert [queue.ready for queue in found.queues] == [0, 0]
    assert found.leases == 2
    assert queue_state.read(redis_client, ["celery"], most_records=1).queues[0].held == 1


def test_paused_and_dead(redis_client: redis.Redis) -> None:
    """A pause is the queue's own, dead letters are counted for all."""
    Protocol(redis_client).pause("evaluation")
    redis_client.xadd(dead_letters.STREAM, {"letter": "{}"})
    found = queue_state.read(redis_client, QUEUES)
    assert [queue.is_paused for queue in found.queues] == [True, False]
    assert found.dead_letters == 1


def test_client_that_decodes(redis_url: str, redis_client: redis.Redis, client: Celery) -> None:
    """A client with `decode_responses` reads the same."""
    client.send_task(HEALTH, queue="celery")
    client.send_task(HEALTH, queue="celery", countdown=3600)
    Protocol(redis_client).pause("celery")
    with redis.Redis.from_url(redis_url, decode_responses=True) as decoding:
        found = state_of(decoding, "celery")
    assert (found.ready, found.delayed, found.is_paused) == (1, 1, True)
