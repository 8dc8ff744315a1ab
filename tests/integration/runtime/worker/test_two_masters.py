"""A failover in which the old master answers for some seconds more: this worker is connected to both servers.

The main process has two connections, and each pool process has its own. What only the old master has is lost.
So the worker loses no message of the new one because of what the old one says.
"""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import Reject, Retry
from celery.worker import state
from celery.worker.request import ExceptionInfo, create_request_cls
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from contentworker.errors import PermanentError
from contentworker.runtime.records import dead_letters, revocations
from contentworker.runtime.transport import holder as holders
from contentworker.runtime.transport.keys import DELAYED, LEASES, REVOKED, held_key
from contentworker.runtime.transport.protocol import Protocol
from contentworker.runtime.transport.uniqueness import lock_key, take
from contentworker.runtime.worker.revoking import Revocations
from contentworker.runtime.worker.unique import HEADER, claim_in
from tasks.base import BaseTask, CriticalTask
from tests.support import client_of, throwaway_redis

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def old_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the old master; `redis_url` is that of the new one."""
    with throwaway_redis(tmp_path_factory.mktemp("old")) as address:
        yield address


@pytest.fixture(scope="module")
def old(old_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(old_url) as client:
        yield client


@pytest.fixture
def clean(old: redis.Redis, redis_client: redis.Redis) -> Iterator[None]:
    for each in (old, redis_client):
        each.flushall()
    yield
    holders.stop_all()


def body(**_: Any) -> None:
    """Do nothing."""


class Main:
    """A worker's main process, as far as a message needs one: its consumer is connected to the new master."""

    def __init__(self, client: Celery, base: type[BaseTask] = BaseTask) -> None:
        name = f"probe.masters.{base.__name__}"
        self.task: Any = client.task(base=base, name=name, shared=False)(body)
        self.client, self.channel = client, client.connection_for_read().channel()
        self.holder: Any = self.channel.holder

    def take(self) -> Any:
        """Take the next message, and make it a request."""
        message = self.channel.basic_get("celery")
        assert message
        pool = SimpleNamespace(apply_async=None)
        made: Any = create_request_cls(BaseTask.Request, self.task, pool, "w", None, app=self.client)
        message.accept = {"application/json"}
        return made(
            message,
            on_ack=message.ack_log_error,
            on_reject=message.reject_log_error,
            app=self.client,
            task=self.task,
            hostname="w@h",
        )

    @contextmanager
    def holder_on(self, server: redis.Redis) -> Iterator[None]:
        """Connect the holder to another server in this block. At its end, the consumer fetches again."""
        before = self.holder.client, self.holder.protocol
        self.holder.client, self.holder.protocol = server, Protocol(server)
        try:
            yield
        finally:
            self.holder.client, self.holder.protocol = before
        if tags := self.holder.next_fetch().acknowledged:
            self.holder.protocol.acknowledge(self.holder.lease.name, *tags)

    def look_for_unknown(self) -> None:
        """What the lease's thread does every 15 seconds."""
        self.holder.flush()
        for _ in range(2):
            self.holder.reconcile()


def push(task: Any, request: Any) -> None:
    """Let the task run with this request, as in a pool process."""
    task.push_request(**{**request.request_dict, "args": [], "kwargs": {}, "called_directly": False})


def info_of(error: Exception) -> ExceptionInfo:
    try:
        raise error
    except Exception:  # noqa: BLE001 (any that is given)
        return ExceptionInfo()


def replicate(source: redis.Redis, target: redis.Redis, *keys: str) -> None:
    """Give the other server these hashes of this one."""
    for key in keys:
        if fields := source.hgetall(key):
            target.hset(key, mapping=fields)  # type: ignore[arg-type]


@pytest.fixture
def main(client: Celery) -> Main:
    return Main(client)


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
def test_a_retry_that_only_the_old_master_has(
    main: Main, old_url: str, old: redis.Redis, redis_client: redis.Redis, is_known: bool
) -> None:
    """The pool process is still connected to it. The message comes back on the new one, and is tried again.

    The message was taken from the new master; the old one may know it or not.
    """
    main.client.send_task(main.task.name)
    request = main.take()
    if is_known:
        replicate(redis_client, old, LEASES, held_key(main.holder.lease.name))
    with client_of(old_url) as there:
        task: Any = there.task(base=BaseTask, name=main.task.name, shared=False)(body)
        push(task, request)
        with pytest.raises(Retry) as raised:
            task.retry(countdown=60)
    assert old.zcard(DELAYED) == is_known
    sent = pickle.loads(pickle.dumps(raised.value))
    request.on_success((True, info_of(sent), 0.1))
    main.look_for_unknown()
    assert redis_client.llen("celery") == 1


def test_a_dead_letter_that_only_the_old_master_has(
    main: Main, old: redis.Redis, redis_client: redis.Redis
) -> None:
    """The message is not acknowledged on the new one."""
    main.client.send_task(main.task.name)
    request = main.take()
    with main.holder_on(old):
        request.on_success((True, info_of(PermanentError("final")), 0.1))
    assert [old.xlen(dead_letters.STREAM), redis_client.xlen(dead_letters.STREAM)] == [1, 0]
    main.look_for_unknown()
    assert redis_client.llen("celery") == 1


def test_a_lock_that_is_released_on_the_old_master_alone(
    main: Main, old: redis.Redis, redis_client: redis.Redis
) -> None:
    """It would block others for a day, so its task runs again, and releases it then."""
    main.client.send_task(main.task.name, unique={"key": [], "while": "running"})
    request = main.take()
    claim = request.message.claim = claim_in(request.message.headers[HEADER], request.id)
    lock = lock_key(claim.lock)
    replicate(redis_client, old, lock)
    with main.holder_on(old):
        request.on_success((False, None, 0.1))
    assert [old.exists(lock), redis_client.exists(lock)] == [0, 1]
    main.look_for_unknown()
    assert redis_client.llen("celery") == 1


def test_a_lock_that_a_failover_brings_back(main: Main, redis_client: redis.Redis) -> None:
    """It was released on the old master when the task began. It is released once more when the task ends."""
    main.client.send_task(main.task.name, unique={"key": []})
    request = main.take()
    claim = request.message.claim = claim_in(request.message.headers[HEADER], request.id)
    lock = redis_client.hgetall(lock_key(claim.lock))
    request.start()
    assert not redis_client.exists(lock_key(claim.lock))
    redis_client.hset(lock_key(claim.lock), mapping=lock)  # type: ignore[arg-type]
    request.on_success((False, None, 0.1))
    assert not redis_client.exists(lock_key(claim.lock))


@pytest.mark.parametrize("said", ["duplicate", "superseded"])
def test_the_old_master_says_that_it_is_a_duplicate(
    main: Main, old: redis.Redis, redis_client: redis.Redis, said: str
) -> None:
    """The old master does not know the message, nor that the other one has ended: so it is no duplicate."""
    main.client.send_task(main.task.name, unique={"key": []})
    request = main.take()
    claim, delivery = claim_in(request.message.headers[HEADER], request.id), request.message.delivery
    if said == "duplicate":
        old.hset(lock_key(claim.lock), mapping={"id": "another", "turn": "its"})
    else:
        old.set(claim.keys[1], "")
    with pytest.raises(RedisError, match="does not know this message"):
        take(old, claim, delivery.holder, delivery.tag, is_again=False)
    assert take(redis_client, claim, delivery.holder, delivery.tag, is_again=False) == ("own", "")


@pytest.mark.parametrize("is_told", [False, True])
def test_a_revocation_that_the_old_master_does_not_have(
    client: Celery,
    old: redis.Redis,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    is_told: bool,
) -> None:
    """The message comes from the new master. As soon as the holder is connected to it, the task is revoked.

    If the worker was told of the revocation, it does not forget that: the message goes back.
    """
    monkeypatch.setattr(state, "revoked", set())
    ids = ["on both", "on the new one"]
    known = Revocations(client)
    for number, servers in ((1, [old, redis_client]), (2, [redis_client])):
        for server in servers:
            revocations.revoke(server, ids[:number], 1000)
    state.revoked |= {ids[1]} if is_told else set()
    newest = redis_client.zrange(REVOKED, -1, -1, withscores=True)[0][1]
    for server in (old, redis_client):
        channel = SimpleNamespace(holder=SimpleNamespace(client=server), newest_revocation=newest)
        message = SimpleNamespace(delivery="a delivery", channel=channel)
        with pytest.raises(RedisError) if is_told and server is old else nullcontext():
            known.look_up(message, ids[1])
    assert ids[1] in state.revoked


def test_a_claim_whose_answer_was_lost(client: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection was cut after Redis had claimed the run. The task goes back to its queue, and runs."""
    main = Main(client, CriticalTask)
    client.send_task(main.task.name)
    request, evaluate = main.take(), client.backend.client.eval

    def cut(*arguments: Any) -> None:
        evaluate(*arguments)
        raise RedisConnectionError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(client.backend.client, "eval", cut)
        push(main.task, request)
        with pytest.raises(Reject) as raised:
            main.task.before_start(request.id, [], {})
        main.task.pop_request()
    request.on_success((True, info_of(pickle.loads(pickle.dumps(raised.value))), 0.1))
    again = main.take()
    assert again.id == request.id
    push(main.task, again)
    main.task.before_start(again.id, [], {})
    main.task.pop_request()
