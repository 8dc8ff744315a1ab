"""Results are stored in one step, as any Celery client reads them."""

import json
import uuid

import pytest
import redis
from celery import Celery
from celery.exceptions import BackendStoreError

from contentworker.runtime import results
from tests.support import PATIENCE, wait_until

pytestmark = pytest.mark.once


@pytest.fixture
def task_id() -> str:
    """One that no other test knows."""
    return str(uuid.uuid4())


def test_it_is_ours_by_every_scheme(client: Celery) -> None:
    """Redis, with TLS and by way of Sentinels."""
    assert type(client.backend) is results.RedisBackend
    assert set(client.loader.override_backends) == {"redis", "rediss", "sentinel"}


@pytest.mark.parametrize(
    ("states", "left"),
    [
        (["SUCCESS", "FAILURE"], "SUCCESS"),
        (["SUCCESS", "RETRY", "SUCCESS"], "SUCCESS"),
        (["FAILURE", "SUCCESS"], "SUCCESS"),
        (["RETRY", "FAILURE"], "FAILURE"),
        (["STARTED", "RETRY"], "RETRY"),
    ],
    ids="-".join,
)
def test_a_success_stands(client: Celery, task_id: str, states: list[str], left: str) -> None:
    """Whatever comes after it; anything else gives way."""
    for number, state in enumerate(states):
        result = RuntimeError(number) if state in ("RETRY", "FAILURE") else number
        client.backend.store_result(task_id, result, state)
    found = client.AsyncResult(task_id)
    assert found.state == left
    assert left != "SUCCESS" or found.result == states.index("SUCCESS")


def test_who_waits_is_told(client: Celery, redis_client: redis.Redis, task_id: str) -> None:
    """The result is published where Celery's clients listen, and expires."""
    key = client.backend.get_key_for_task(task_id).decode()
    with redis_client.pubsub() as listener:
        listener.subscribe(key)
        assert wait_until(lambda: listener.get_message(timeout=1), "the subscription")["type"] == "subscribe"
        client.backend.store_result(task_id, {"score": 1}, "SUCCESS")
        told = wait_until(lambda: listener.get_message(timeout=1), "the result")
    assert json.loads(told["data"])["result"] == {"score": 1}
    assert redis_client.get(key) == told["data"]
    assert 0 < redis_client.ttl(key) <= client.conf.result_expires
    assert client.AsyncResult(task_id).get(timeout=PATIENCE) == {"score": 1}


def test_no_expiry(
    client: Celery, redis_client: redis.Redis, task_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one the result stays."""
    monkeypatch.setattr(client.backend, "expires", None)
    client.backend.store_result(task_id, 1, "SUCCESS")
    assert redis_client.ttl(client.backend.get_key_for_task(task_id)) == -1


def test_too_large(
    client: Celery, redis_client: redis.Redis, task_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than Redis can hold is an error that says so, and nothing is sent."""
    monkeypatch.setattr(client.backend, "_MAX_STR_VALUE_SIZE", 100)
    with pytest.raises(BackendStoreError, match="too large"):
        client.backend.store_result(task_id, "x" * 100, "SUCCESS")
    assert not redis_client.exists(client.backend.get_key_for_task(task_id))
