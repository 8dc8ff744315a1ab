"""A failover in which the old master answers for some seconds more: this worker is connected to both servers.

The main process has two connections, each pool process its own. What only the old master has is lost, so
nothing that it says may cost the new one a message.
"""

import pickle
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import Retry
from celery.worker.request import ExceptionInfo, create_request_cls

from contentworker.runtime.transport import holder as holders
from contentworker.runtime.transport.protocol import DELAYED, LEASES, held_key
from tasks.base import BaseTask
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

    def __init__(self, client: Celery) -> None:
        self.task = client.task(base=BaseTask, name="probe.masters", shared=False)(body)
        self.client = client
        self.channel: Any = client.connection_for_read().channel()
        self.holder = self.channel.holder

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

    def look_for_unknown(self) -> None:
        """What the lease's thread does every 15 seconds."""
        self.holder.flush()
        for _ in range(2):
            self.holder.reconcile()


def replicate(source: redis.Redis, target: redis.Redis, holder: str) -> None:
    """Give the other server what this one has of a holder."""
    for key in (LEASES, held_key(holder)):
        if fields := source.hgetall(key):
            target.hset(key, mapping=fields)  # type: ignore[arg-type]


@pytest.fixture
def main(client: Celery) -> Main:
    return Main(client)


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
def test_a_retry_that_only_the_old_master_has(
    main: Main, old_url: str, old: redis.Redis, redis_client: redis.Redis, is_known: bool
) -> None:
    """The pool process is still connected to that. Its message comes back on the new one, and is tried again.

    The old one may know the message, or not, as it was taken from the new one.
    """
    main.client.send_task(main.task.name)
    request = main.take()
    if is_known:
        replicate(redis_client, old, main.holder.lease.name)
    with client_of(old_url) as there:
        task: Any = there.task(base=BaseTask, name=main.task.name, shared=False)(body)
        task.push_request(**{**request.request_dict, "args": [], "kwargs": {}, "called_directly": False})
        with pytest.raises(Retry) as raised:
            task.retry(countdown=60)
    assert old.zcard(DELAYED) == is_known
    sent = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 (as from the pool process)
    try:
        raise sent
    except Retry:
        request.on_success((True, ExceptionInfo(), 0.1))
    main.look_for_unknown()
    assert redis_client.llen("celery") == 1
