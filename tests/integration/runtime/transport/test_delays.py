"""Messages with an ETA or a countdown, and retries: they wait in Redis, and in no worker's memory."""

import json
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from contentworker.runtime.transport.keys import DELAYED
from tests.support import (
    PATIENCE,
    PROBE_APP,
    RedisProcess,
    StartWorker,
    client_of,
    environment,
    executions,
    held_records,
    wait_until,
    waiting_messages,
)

pytestmark = pytest.mark.usefixtures("clean")

# Only Celery, and kombu's own transport: our registration of another holds for the whole process.
PLAIN_CLIENT = """
import json, os, sys
from celery import Celery
app = Celery(broker=os.environ["REDIS_URL"])
for task, kwargs, options in json.load(sys.stdin):
    print(app.send_task(task, kwargs=kwargs, **options).id)
"""


def send_plainly(redis_url: str, *calls: tuple[str, dict[str, Any], dict[str, Any]]) -> list[str]:
    """Send tasks from a program that has none of this code; return their ids."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PLAIN_CLIENT],
        input=json.dumps(calls),
        env=environment(REDIS_URL=redis_url, PYTHONPATH=""),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=True,
    )
    return done.stdout.split()


def quick(folder: Path, name: str) -> tuple[str, dict[str, Any]]:
    """Name and arguments of a task that only notes its execution, in a folder of its own."""
    (folder / name).mkdir()
    return "probe.base.fail_until", {"folder": str(folder / name), "times": 0}


def test_delayed_messages_cost_no_prefetch(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    """A hundred of them, from a plain client, and a worker that may hold two goes on with the others."""
    later: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("probe.queue", {}, {"countdown": 1000, "priority": number % 10}) for number in range(100)
    ]
    (now,) = send_plainly(redis_url, *later, (*quick(tmp_path, "now"), {"priority": 9}))[-1:]
    serving = worker("--queues=celery", "--concurrency=1", "--prefetch-multiplier=2", app=PROBE_APP)
    assert client.AsyncResult(now).get(timeout=PATIENCE) == 1
    wait_until(lambda: redis_client.zcard(DELAYED) == 100, "the others to wait in Redis")
    wait_until(lambda: not held_records(redis_client), "the acknowledgement")
    inspect = client.control.inspect(limit=1, timeout=PATIENCE)
    assert [*inspect.scheduled().values(), *inspect.reserved().values()] == [[], []]
    assert serving.log().count(" received") == 1


def test_each_runs_at_its_time(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    """Not before, and in the order of their times, from any sender; one that is past runs at once."""
    worker("--queues=celery", "--concurrency=1", app=PROBE_APP)
    etas = {f"in{index}": index / 4 for index in range(6)}
    calls = {name: quick(tmp_path, name) for name in (*etas, "past")}
    began = datetime.now(UTC)
    send_plainly(redis_url, (*calls["past"], {"eta": (began - timedelta(hours=1)).isoformat()}))
    # After all are sent: that takes as long as the first one, which on a busy machine is seconds.
    start = datetime.now(UTC) + 3 * (datetime.now(UTC) - began) + timedelta(seconds=5)
    options = {
        name: {"eta": (start + timedelta(seconds=seconds)).isoformat()} for name, seconds in etas.items()
    }
    for name in ("in5", "in1", "in3"):
        task, kwargs = calls[name]
        client.send_task(task, kwargs=kwargs, **options[name])
    send_plainly(redis_url, *((*calls[name], options[name]) for name in ("in4", "in0", "in2")))
    wait_until(lambda: all(executions(tmp_path / name) for name in (*etas, "past")), "all of them")
    times = {name: executions(tmp_path / name)[0]["time"] for name in etas}
    assert all(times[name] >= start.timestamp() + seconds for name, seconds in etas.items())
    assert sorted(times, key=times.__getitem__) == sorted(etas)
    assert executions(tmp_path / "past")[0]["time"] < times["in0"]
    assert [len(executions(tmp_path / name)) for name in etas] == [1] * 6
    wait_until(lambda: not held_records(redis_client), "the acknowledgements")
    assert redis_client.zcard(DELAYED) == 0


def test_retry_waits_in_redis(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Once it is sent no worker has anything to do with it until it is due."""
    worker("--queues=celery", "--concurrency=1", app=PROBE_APP)
    sent = client.send_task("probe.base.retry", kwargs={"folder": str(tmp_path), "countdown": 1000})
    wait_until(lambda: redis_client.zcard(DELAYED) == 1, "the retry")
    wait_until(lambda: not held_records(redis_client), "the acknowledgement of the first try")
    delayed: Any = redis_client.zrange(DELAYED, 0, -1, withscores=True)
    ((_, due),) = delayed
    (message,) = waiting_messages(redis_client)
    assert (message["headers"]["id"], message["headers"]["retries"]) == (sent.id, 1)
    assert due == int(datetime.fromisoformat(message["headers"]["eta"]).timestamp() * 1000)
    assert redis_client.llen("celery") == 0
    (scheduled,) = client.control.inspect(limit=1, timeout=PATIENCE).scheduled().values()
    assert scheduled == []


def test_revoked_task_does_not_run_when_it_is_due(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The workers remember its id, though none of them has it."""
    worker("--queues=celery", "--concurrency=1", app=PROBE_APP)
    task, kwargs = quick(tmp_path, "revoked")
    task_id = str(uuid.uuid4())
    # A worker says that it is ready shortly before it listens to control.
    wait_until(lambda: client.control.ping(limit=1, timeout=1), "the worker to listen")
    client.control.revoke(task_id, reply=True, limit=1, timeout=PATIENCE)
    sent = client.send_task(task, kwargs=kwargs, countdown=1, task_id=task_id)
    wait_until(lambda: sent.state == "REVOKED", "its time")
    wait_until(lambda: not held_records(redis_client), "the acknowledgement")
    assert not executions(tmp_path / "revoked")


def test_they_survive_restarts(worker: StartWorker, server: RedisProcess, tmp_path: Path) -> None:
    """The worker stopped, Redis killed and started again with its append-only file: they are still there."""
    serving = worker("--queues=celery", redis_url=server.url, app=PROBE_APP)
    with client_of(server.url) as client, server.client() as plain:
        client.send_task("probe.queue", countdown=1000)
        send_plainly(server.url, ("probe.queue", {}, {"countdown": 1000}))
        client.send_task("probe.base.retry", kwargs={"folder": str(tmp_path)})
        wait_until(lambda: plain.zcard(DELAYED) == 3, "all to be delayed")
        wait_until(lambda: not held_records(plain), "the acknowledgement of the first try")
        serving.kill()
        assert serving.wait() == 0
        task, kwargs = quick(tmp_path, "soon")
        soon = client.send_task(task, kwargs=kwargs, countdown=3).id
        before = plain.zrange(DELAYED, 0, -1, withscores=True)
    server.crash()
    server.start()
    server.ready()
    with client_of(server.url) as client, server.client() as plain:
        assert len(before) == 4
        assert plain.zrange(DELAYED, 0, -1, withscores=True) == before
        worker("--queues=celery", redis_url=server.url, app=PROBE_APP)
        assert client.AsyncResult(soon).get(timeout=PATIENCE) == 1
        assert plain.zrange(DELAYED, 0, -1, withscores=True) == before[1:]
