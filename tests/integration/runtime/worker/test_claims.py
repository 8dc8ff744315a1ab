"""CriticalTask: whatever happens it is not run twice, and never silently lost."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
import redis
from celery import Celery
from celery.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry

from contentworker.runtime.transport.keys import DELAYED, LEASES, held_key
from contentworker.runtime.transport.messages import Delivery
from contentworker.runtime.worker import claims
from contentworker.runtime.worker.claims import InterruptedTaskError
from tasks.base import CriticalTask
from tests.support import (
    PATIENCE,
    PROBE_APP,
    RedisProcess,
    StartWorker,
    as_bytes,
    client_of,
    executions,
    held_records,
    take_from_the_dead,
    unsettled,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("clean")

ONE_AT_A_TIME = ("--queues=celery", "--concurrency=1", "--prefetch-multiplier=2")


def send(client: Celery, folder: Path, task: str = "probe.critical.hold", **kwargs: Any) -> Any:
    """Send a probe task with a folder of its own."""
    folder.mkdir(exist_ok=True)
    return client.send_task(task, kwargs={"folder": str(folder), **kwargs})


@pytest.fixture(scope="module")
def task(client: Celery) -> Any:
    """A CriticalTask that this process has under two deliveries, by a lease that stands."""

    def body(**_: Any) -> None:
        """Do nothing."""

    return client.task(base=CriticalTask, name="probe.claims.unit", shared=False)(body)


class Run:
    """A delivery of a task, in the pool process that is to run it."""

    KEY = "contentworker:claim:the-id:0:0"

    def __init__(self, task: Any, redis_client: redis.Redis, tag: str, holder: str = "holder") -> None:
        self.task, self.client, self.delivery = task, redis_client, Delivery(holder, 0, tag, "celery")
        redis_client.hset(held_key(holder), tag, "a message")
        redis_client.hset(LEASES, holder, 1)

    def start(self, **kwargs: Any) -> None:
        """Claim, as before the body of the task."""
        with self._in_task(kwargs):
            self.task.before_start("the-id", [], kwargs)
            self.request = self.task.request_stack.top

    def postpone(self, seconds: float, **kwargs: Any) -> None:
        """What the body of the task does that cannot run yet."""
        with self._in_task(kwargs):
            self.task.postpone(seconds)

    @contextmanager
    def _in_task(self, kwargs: dict[str, Any]) -> Iterator[None]:
        held = ["no lease of this process", 0, self.delivery.holder, self.delivery.tag]
        self.task.push_request(id="the-id", retries=0, args=[], kwargs=kwargs, properties={"held": held})
        try:
            yield
        finally:
            self.task.pop_request()

    def end(self) -> None:
        """What the worker's main process does before it acknowledges."""
        holder = SimpleNamespace(client=self.client, do=lambda step, *arguments: step(*arguments))
        self.task.end_claim(holder, self.delivery, self.request)

    def die(self) -> None:
        """The worker of this run ends."""
        self.client.delete(held_key(self.delivery.holder))
        self.client.hdel(LEASES, self.delivery.holder)


@pytest.mark.parametrize("days", [7, 1])
def test_claim_and_its_lifetime(
    task: Any, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """A claim expires after a week, or as long as you say, while the task runs and after it."""
    settings = task.app.runtime_settings
    if days != 7:
        kept = settings.retention.model_copy(update={"claims_seconds": days * 86_400})
        monkeypatch.setattr(task.app, "runtime_settings", settings.model_copy(update={"retention": kept}))

    def expires_then() -> bool:
        return days * 86_400 - 60 <= redis_client.ttl(Run.KEY) <= days * 86_400

    run = Run(task, redis_client, "1")
    run.start()
    assert as_bytes(redis_client.get(Run.KEY)).startswith(b"1\nholder\n1\n")
    assert expires_then()
    redis_client.expire(Run.KEY, 10)
    run.end()
    assert as_bytes(redis_client.get(Run.KEY)).startswith(b"1\ndone\n\n")
    assert expires_then()


def test_what_another_delivery_finds(task: Any, redis_client: redis.Redis) -> None:
    """Running or done: it is dropped. Its own claim: it runs. Cut off: it fails for all to see, each time."""
    first, second = Run(task, redis_client, "1"), Run(task, redis_client, "2", "other")
    first.start()
    first.start()
    with pytest.raises(Ignore):
        second.start()
    first.die()
    for _ in range(2):
        with pytest.raises(InterruptedTaskError):
            second.start()
    redis_client.delete(Run.KEY)
    second.start()
    second.end()
    with pytest.raises(Ignore):
        Run(task, redis_client, "3").start()


def test_message_that_is_not_held_is_not_run(task: Any, redis_client: redis.Redis) -> None:
    """Its lease has ended between the check of this process and the claim.

    Or this process has another server than the worker's main process, whose acknowledgement would lose it.
    """
    run = Run(task, redis_client, "1")
    run.die()
    with pytest.raises(Reject) as raised:
        run.start()
    assert raised.value.requeue
    assert not redis_client.exists(Run.KEY)


def test_other_arguments_under_the_same_id(task: Any, redis_client: redis.Redis) -> None:
    """Another task, which runs beside the first, and once."""
    first, second = Run(task, redis_client, "1"), Run(task, redis_client, "2")
    first.start(number=1)
    second.start(number=2)
    (other,) = set(redis_client.scan_iter(match="contentworker:claim:*")) - {Run.KEY.encode()}
    assert redis_client.ttl(other) > 0
    with pytest.raises(Ignore):
        Run(task, redis_client, "3").start(number=2)


def test_a_postponed_run_gives_up_its_claim(task: Any, redis_client: redis.Redis) -> None:
    """It is no try: it comes later with the same id and the same number of retries, and is claimed then."""
    first, later = Run(task, redis_client, "1"), Run(task, redis_client, "2", "other")
    first.start(number=1)
    with pytest.raises(Retry) as raised:
        first.postpone(60, number=1)
    assert raised.value.when == 60
    assert not redis_client.exists(Run.KEY)
    (record,) = cast("list[bytes]", redis_client.zrange(DELAYED, 0, -1))
    headers = json.loads(record.split(b"\n", 3)[3])["headers"]
    assert (headers["id"], headers["retries"]) == ("the-id", 0)
    later.start(number=1)
    assert as_bytes(redis_client.get(Run.KEY)).startswith(b"1\nother\n2\n")


def test_a_run_that_cannot_be_postponed_goes_back(
    task: Any, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is away, and the task has done nothing yet: it does not fail."""
    first = Run(task, redis_client, "1")
    first.start()
    away = redis.exceptions.ConnectionError("away")
    monkeypatch.setattr(task.app.backend.client, "eval", Mock(side_effect=away))
    with pytest.raises(Reject) as raised:
        first.postpone(60)
    assert raised.value.requeue


def test_without_a_lease_there_is_no_claim_to_give_up(task: Any, redis_client: redis.Redis) -> None:
    """The plain transport has none; the message comes later all the same."""
    task.push_request(id="the-id", retries=1, args=[], kwargs={}, properties={})
    with pytest.raises(Retry):
        task.postpone(60)
    task.pop_request()
    assert redis_client.zcard(DELAYED) == 1


def test_each_retry_and_each_replay_is_a_run_of_its_own() -> None:
    """Each has a key for its claim, and one for these arguments."""
    requests = (SimpleNamespace(id="a", retries=None), SimpleNamespace(id="a", retries=2, replays=3))
    assert [claims._keys(each, "digest") for each in requests] == [
        ("contentworker:claim:a:0:0", "contentworker:claim:a:0:0:digest"),
        ("contentworker:claim:a:2:3", "contentworker:claim:a:2:3:digest"),
    ]


def test_success_of_an_interrupted_run_counts(
    task: Any, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker died after it had stored this task's success: nothing is interrupted."""
    first, second = Run(task, redis_client, "1"), Run(task, redis_client, "2", "other")
    first.start()
    first.die()
    meta = {"status": "SUCCESS", "claimed": first.request.claimed}
    monkeypatch.setattr(task.backend, "get_task_meta", lambda _: meta)
    with pytest.raises(Ignore):
        second.start()
    for other in ({"status": "SUCCESS", "claimed": "another"}, {"status": "FAILURE"}, {"status": "STARTED"}):
        meta.clear()
        meta.update(other)
        with pytest.raises(InterruptedTaskError):
            second.start()


def test_death_of_its_worker(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """What it ran is a visible failure and is not run again; what it had only fetched is run, once."""
    killed = worker(*ONE_AT_A_TIME, app=PROBE_APP)
    running, fetched = tmp_path / "running", tmp_path / "fetched"
    first, second = send(client, running), send(client, fetched)
    wait_until(lambda: executions(running), "the task to start")
    wait_until(lambda: len(held_records(redis_client)) == 2, "the prefetch")
    killed.kill(signal.SIGKILL, group=True)
    killed.wait()
    take_from_the_dead(redis_client)
    (fetched / "release").touch()
    worker(*ONE_AT_A_TIME, app=PROBE_APP)
    with pytest.raises(InterruptedTaskError):
        first.get(timeout=PATIENCE)
    assert second.get(timeout=PATIENCE) == "released"
    assert [len(executions(running)), len(executions(fetched))] == [1, 1]
    wait_until(lambda: not unsettled(redis_client), "the acknowledgements")


def test_second_delivery(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The same message published twice runs once: a second is dropped while the first runs, and after it."""
    sent = send(client, tmp_path)
    raw = as_bytes(redis_client.lindex("celery", 0))
    serving = worker("--queues=celery", "--concurrency=2", app=PROBE_APP)
    wait_until(lambda: executions(tmp_path), "the task to start")
    redis_client.lpush("celery", raw)
    wait_until(lambda: "is delivered once more, and not run: running" in serving.log(), "the second to go")
    wait_until(lambda: len(held_records(redis_client)) == 1, "its acknowledgement")
    (tmp_path / "release").touch()
    assert sent.get(timeout=PATIENCE) == "released"
    wait_until(lambda: not unsettled(redis_client), "the acknowledgement")
    redis_client.lpush("celery", raw)
    wait_until(lambda: "is delivered once more, and not run: done" in serving.log(), "the third to go")
    wait_until(lambda: not unsettled(redis_client), "its acknowledgement")
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
    wait_until(lambda: not unsettled(redis_client), "the acknowledgements")


def test_redis_is_away_when_it_would_claim(worker: StartWorker, server: RedisProcess, tmp_path: Path) -> None:
    """Not claimed, so not run: the message goes back, and is run when Redis is there again."""
    serving = worker("--queues=celery", "--concurrency=1", redis_url=server.url, app=PROBE_APP)
    (tmp_path / "release").touch()
    with client_of(server.url) as client, server.client() as plain:
        child = client.send_task("probe.pid").get(timeout=PATIENCE)
        wait_until(lambda: not unsettled(plain), "the acknowledgement")
        os.kill(child, signal.SIGSTOP)
        sent = send(client, tmp_path).id
        wait_until(lambda: len(held_records(plain)) == 1, "the worker to have it")
        serving.wait_for_log(f"[{sent}] received")
        assert client.control.ping(timeout=PATIENCE, limit=1)  # a turn of its loop later the child has it
    server.crash()
    os.kill(child, signal.SIGCONT)
    serving.wait_for_log("not claimed, so not run")
    assert not executions(tmp_path)
    server.start()
    server.ready()
    with client_of(server.url) as client, server.client() as plain:
        result = client.AsyncResult(sent)
        wait_until(lambda: result.state == "SUCCESS", "the result")
        assert len(executions(tmp_path)) == 1
        wait_until(lambda: not unsettled(plain), "the acknowledgement")
