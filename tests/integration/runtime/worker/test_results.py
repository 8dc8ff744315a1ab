"""Results are stored in one step, as any Celery client reads them."""

import json
import uuid
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import redis
from celery import Celery
from celery.app.task import Context
from celery.exceptions import BackendStoreError, SoftTimeLimitExceeded, TaskRevokedError

from contentworker.runtime.records.dead_letters import STREAM
from contentworker.runtime.worker import results
from tests.support import PATIENCE, PROBE_APP, StartWorker, as_bytes, executions, wait_until


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


def test_it_is_stored_on_a_server_that_has_forgotten_the_script_or_closed_the_connection(
    client: Celery, redis_client: redis.Redis, task_id: str
) -> None:
    """As after a restart of Redis."""
    redis_client.script_flush()
    client.backend.store_result(task_id, 1, "STARTED")
    assert client.AsyncResult(task_id).result == 1
    redis_client.client_kill_filter(_type="normal", skipme=True)
    client.backend.store_result(task_id, 2, "STARTED")
    assert client.AsyncResult(task_id).result == 2


def test_an_interrupted_one_leaves_no_answer_to_the_next_command(
    client: Celery, task_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A soft time limit may come while a pool process waits for Redis."""
    pool = client.backend.client.connection_pool
    pool.release(connection := pool.get_connection())
    with monkeypatch.context() as patches:
        patches.setattr(connection, "read_response", Mock(side_effect=SoftTimeLimitExceeded))
        with pytest.raises(SoftTimeLimitExceeded):
            client.backend.store_result(task_id, 1, "STARTED")
    assert client.backend.client.echo("mine") in (b"mine", "mine")
    client.backend.store_result(task_id, 2, "SUCCESS")
    assert client.AsyncResult(task_id).result == 2


def test_who_waits_is_told(client: Celery, redis_client: redis.Redis, task_id: str) -> None:
    """The result is published where Celery's clients listen, and expires."""
    key = client.backend.get_key_for_task(task_id).decode()
    with redis_client.pubsub() as listener:
        listener.subscribe(key)
        assert wait_until(lambda: listener.get_message(timeout=1), "the subscription")["type"] == "subscribe"
        client.backend.store_result(task_id, {"score": 1}, "SUCCESS")
        told = wait_until(lambda: listener.get_message(timeout=1), "the result")
    assert json.loads(told["data"])["result"] == {"score": 1}
    assert as_bytes(redis_client.get(key)) == told["data"]
    assert client.conf.result_expires - 60 <= redis_client.ttl(key) <= client.conf.result_expires
    assert client.AsyncResult(task_id).get(timeout=PATIENCE) == {"score": 1}


def test_who_waits_is_told_what_came_while_it_connected_again(
    client: Celery, redis_client: redis.Redis, task_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a result that is published between Celery's look for it and the new subscription."""
    backend, client_of_backend = client.backend, client.backend.client
    look = client_of_backend.mget

    def look_too_early(keys: set[bytes]) -> Any:
        monkeypatch.undo()
        found = look(keys)
        backend.store_result(task_id, 3, "SUCCESS")
        return found

    waited_for = client.AsyncResult(task_id)
    backend.add_pending_result(waited_for)
    redis_client.client_kill_filter(_type="pubsub")
    monkeypatch.setattr(client_of_backend, "mget", look_too_early)
    wait_until(
        lambda: backend.result_consumer.drain_events(timeout=0.1) or waited_for._cache, "the missed result"
    )
    assert waited_for.get(timeout=PATIENCE) == 3


def test_who_waits_is_told_what_was_lost_with_the_connection(
    client: Celery, redis_client: redis.Redis, task_id: str
) -> None:
    """redis-py reconnects by itself when a managed server moves, and drops messages that it has not read."""
    consumer, waited_for = client.backend.result_consumer, client.AsyncResult(task_id)
    client.backend.add_pending_result(waited_for)
    wait_until(lambda: consumer.drain_events(timeout=0.1) or consumer._looked_on, "the subscription")
    client.backend.store_result(task_id, 3, "SUCCESS")
    consumer._pubsub.connection.mark_for_reconnect()
    wait_until(lambda: consumer.drain_events(timeout=0.1) or waited_for._cache, "the result")
    assert waited_for.get(timeout=PATIENCE) == 3


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
    """As much as Redis can hold is stored; a byte more is an error that says so, and nothing is sent."""
    key = client.backend.get_key_for_task(task_id)
    monkeypatch.setattr(client.backend, "_get_result_meta", lambda result, **_: {"result": result})
    client.backend.store_result(task_id, "x" * 100, "SUCCESS")
    size = redis_client.strlen(key)
    redis_client.delete(key)
    monkeypatch.setattr(client.backend, "_MAX_STR_VALUE_SIZE", size)
    with pytest.raises(BackendStoreError, match="too large"):
        client.backend.store_result(task_id, "x" * 101, "SUCCESS")
    assert not redis_client.exists(key)
    client.backend.store_result(task_id, "x" * 100, "SUCCESS")
    assert redis_client.strlen(key) == size


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [
        pytest.param(redis.exceptions.OutOfMemoryError("x"), True, id="full"),
        pytest.param(redis.exceptions.ReadOnlyError("x"), True, id="replica"),
        pytest.param(redis.exceptions.ResponseError("MISCONF disk"), True, id="disk-full"),
        pytest.param(redis.exceptions.ConnectionError("x"), True, id="away"),
        pytest.param(redis.exceptions.ResponseError("WRONGTYPE"), False, id="wrong-type"),
        pytest.param(BackendStoreError("too large"), False, id="too-large"),
        pytest.param(ValueError("MISCONF"), False, id="other"),
    ],
)
def test_what_a_result_waits_for(client: Celery, error: Exception, is_retried: bool) -> None:
    """For a server that comes back, or gets room; not for what will fail each time."""
    assert client.backend.exception_safe_to_retry(error) is is_retried


def test_only_a_claimed_task_has_a_digest(client: Celery, redis_client: redis.Redis, task_id: str) -> None:
    """A header of the same name, which anybody may send, is not one."""
    key = client.backend.get_key_for_task(task_id)
    for claimed, digest in (("forged", None), (results.Digest("true"), "true")):
        request = Context(claimed=claimed)
        client.backend.store_result(task_id, 1, "STARTED", request=request)
        assert json.loads(as_bytes(redis_client.get(key))).get("claimed") == digest


def test_revoked_task_calls_its_errbacks(
    client: Celery, task_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline that waits for the task would wait for ever."""
    called = []
    monkeypatch.setattr(client.backend, "_call_task_errbacks", lambda *arguments: called.append(arguments))
    client.backend.mark_as_revoked(task_id, "expired", request=Context(id=task_id, errbacks=None))
    assert called == []
    request = Context(id=task_id, errbacks=["signature"])
    client.backend.mark_as_revoked(task_id, "expired", request=request)
    ((asked, error, _),) = called
    assert (asked, type(error)) == (request, TaskRevokedError)


def test_a_server_that_is_full(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """A task that ends well meanwhile stays a success: its result waits for room."""
    serving = worker("--queues=celery", app=PROBE_APP)
    sent = client.send_task("probe.base.hold", kwargs={"folder": str(tmp_path)})
    wait_until(lambda: executions(tmp_path), "the task to start")
    redis_client.config_set("maxmemory", 1)
    try:
        (tmp_path / "release").touch()
        serving.wait_for_log("Failed operation _store_result")
    finally:
        redis_client.config_set("maxmemory", 0)
    assert sent.get(timeout=PATIENCE) == "released"
    assert len(executions(tmp_path)) == 1
    assert not redis_client.exists(STREAM)
