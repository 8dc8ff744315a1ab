"""CriticalTask: whatever happens it is not run twice, and never silently lost."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import MaxRetriesExceededError

from contentworker.runtime.claims import InterruptedTaskError
from contentworker.runtime.transport.protocol import DELAYED, Protocol, held_key
from tests.support import (
    PATIENCE,
    PROBE_APP,
    RedisProcess,
    StartWorker,
    client_of,
    executions,
    wait_until,
)

ONE_AT_A_TIME = ("--queues=celery", "--concurrency=1", "--prefetch-multiplier=2")


@pytest.fixture(autouse=True)
def clean(redis_client: redis.Redis) -> None:
    """Every test finds an empty Redis."""
    redis_client.flushall()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis that keeps what it is told through a crash."""
    process = RedisProcess(tmp_path / "redis", durable=True)
    yield process.ready()
    process.stop()


def take_from_the_dead(client: redis.Redis) -> None:
    """What another worker does with holders that are dead, without its wait of a lease."""
    protocol = Protocol(client)
    for name, renewals in protocol.beat("").leases.items():
        protocol.reclaim(name, renewals)


def send(client: Celery, folder: Path, task: str = "probe.critical.hold", **kwargs: Any) -> Any:
    """Send a probe task with a folder of its own."""
    folder.mkdir(exist_ok=True)
    return client.send_task(task, kwargs={"folder": str(folder), **kwargs})


def held(client: redis.Redis) -> int:
    """How many messages are in the hands of workers."""
    keys = client.scan_iter(match=held_key("*"))
    return sum(tag[:1].isdigit() for key in keys for tag in client.hkeys(key))


def is_done(client: redis.Redis) -> bool:
    """Whether no message is anywhere."""
    return not (held(client) or client.zcard(DELAYED) or client.llen("celery"))


def test_death_of_its_worker(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """What it ran is a visible failure and is not run again; what it had only fetched is run, once."""
    killed = worker(*ONE_AT_A_TIME, app=PROBE_APP)
    running, fetched = tmp_path / "running", tmp_path / "fetched"
    first, second = send(client, running), send(client, fetched)
    wait_until(lambda: executions(running), "the task to start")
    wait_until(lambda: held(redis_client) == 2, "the prefetch")
    killed.kill(signal.SIGKILL, group=True)
    killed.wait()
    take_from_the_dead(redis_client)
    (fetched / "release").touch()
    worker(*ONE_AT_A_TIME, app=PROBE_APP)
    with pytest.raises(InterruptedTaskError):
        first.get(timeout=PATIENCE)
    assert second.get(timeout=PATIENCE) == "released"
    assert [len(executions(running)), len(executions(fetched))] == [1, 1]
    wait_until(lambda: is_done(redis_client), "the acknowledgements")


def test_second_delivery(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The same message published twice runs once: a second is dropped while the first runs, and after it."""
    sent = send(client, tmp_path)
    raw = redis_client.lindex("celery", 0)
    serving = worker("--queues=celery", "--concurrency=2", app=PROBE_APP)
    wait_until(lambda: executions(tmp_path), "the task to start")
    redis_client.lpush("celery", raw)
    wait_until(lambda: "is delivered once more, and not run: running" in serving.log(), "the second to go")
    wait_until(lambda: held(redis_client) == 1, "its acknowledgement")
    (tmp_path / "release").touch()
    assert sent.get(timeout=PATIENCE) == "released"
    wait_until(lambda: is_done(redis_client), "the acknowledgement")
    redis_client.lpush("celery", raw)
    wait_until(lambda: "is delivered once more, and not run: done" in serving.log(), "the third to go")
    wait_until(lambda: is_done(redis_client), "its acknowledgement")
    assert len(executions(tmp_path)) == 1
    assert client.AsyncResult(sent.id).get(timeout=PATIENCE) == "released"


def test_explicit_retry(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """`self.retry()` is a run of its own, as often as `critical_max_retries` allows."""
    worker("--queues=celery", app=PROBE_APP, WORKER__RETRIES__CRITICAL_MAX_RETRIES="1")
    sent = send(client, tmp_path, "probe.critical.retry", countdown=0.1)
    with pytest.raises(MaxRetriesExceededError):
        sent.get(timeout=PATIENCE)
    assert [line["retries"] for line in executions(tmp_path)] == [0, 1]
    wait_until(lambda: is_done(redis_client), "the acknowledgements")


def test_redis_is_away_when_it_would_claim(worker: StartWorker, server: RedisProcess, tmp_path: Path) -> None:
    """Not claimed, so not run: the message goes back, and is run when Redis is there again."""
    serving = worker("--queues=celery", "--concurrency=1", redis_url=server.url, app=PROBE_APP)
    (tmp_path / "release").touch()
    with client_of(server.url) as client, redis.Redis.from_url(server.url) as plain:
        child = client.send_task("probe.pid").get(timeout=PATIENCE)
        wait_until(lambda: is_done(plain), "the acknowledgement")
        os.kill(child, signal.SIGSTOP)
        sent = send(client, tmp_path).id
        wait_until(lambda: held(plain) == 1, "the worker to have it")
        serving.wait_for_log(f"[{sent}] received")
        assert client.control.ping(timeout=PATIENCE, limit=1)  # a turn of its loop later the child has it
    server.crash()
    os.kill(child, signal.SIGCONT)
    serving.wait_for_log("not claimed, so not run")
    assert not executions(tmp_path)
    server.start()
    server.ready()
    with client_of(server.url) as client, redis.Redis.from_url(server.url) as plain:
        result = client.AsyncResult(sent)
        wait_until(lambda: result.state == "SUCCESS", "the result")
        assert len(executions(tmp_path)) == 1
        wait_until(lambda: is_done(plain), "the acknowledgement")
