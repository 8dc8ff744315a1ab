"""Limits of many tasks together, on real workers: `[limits.NAME]` in worker.toml."""

import json
import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import redis
from celery import Celery
from celery.exceptions import TaskRevokedError

from contentworker.runtime.health import HEALTH_TASK
from contentworker.runtime.records import dead_letters
from contentworker.runtime.settings import TaskLimit
from contentworker.runtime.transport import limits as transport_limits
from contentworker.runtime.transport.keys import LIMITS, PARKED
from contentworker.runtime.transport.protocol import Protocol
from contentworker.runtime.worker.limits import TaskLimiter, key_header
from tests.support import PATIENCE, PROBE_APP, StartWorker, executions, wait_until

pytestmark = [pytest.mark.every_python, pytest.mark.usefixtures("clean")]

QUEUE = "evaluation"
OPTIONS = (f"--queues={QUEUE}", "--concurrency=2")


def limit(**settings: Any) -> dict[str, str]:
    """The limit `one` of the queue, by variables."""
    given = {"queues": [QUEUE], **settings}
    return {f"WORKER__LIMITS__ONE__{key.upper()}": json.dumps(value) for key, value in given.items()}


ONE_AT_A_TIME = limit(key="content", concurrency=1)


def send(client: Celery, folder: Path, key: Any, **more: Any) -> Any:
    return client.send_task(
        "probe.limited", kwargs={"content": key, "folder": str(folder), **more}, queue=QUEUE
    )


def begun(folder: Path) -> list[dict[str, Any]]:
    return [each for each in executions(folder) if each["what"] == "begins"]


def assert_at_most(folder: Path, most: int) -> None:
    """Never did more tasks of one key run at the same time."""
    running: dict[str, set[str]] = {}
    for each in executions(folder):
        of_key = running.setdefault(each["key"], set())
        of_key.add(each["id"]) if each["what"] == "begins" else of_key.discard(each["id"])
        assert len(of_key) <= most, each


def waiting(client: redis.Redis) -> int:
    return int(client.hget(LIMITS, "waiting:one") or 0)


def test_one_at_a_time_for_each_key(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Two workers never run two tasks of a key at once, keep their order, and leave nothing behind."""
    sent = [send(client, tmp_path, key) for _ in range(10) for key in "abc"]
    for _ in range(2):
        worker(*OPTIONS, app=PROBE_APP, **ONE_AT_A_TIME)
    for result in sent:
        result.get(timeout=PATIENCE)
    assert_at_most(tmp_path, 1)
    order = [each["id"] for each in begun(tmp_path)]
    for number in range(3):
        of_key = [result.id for result in sent[number::3]]
        assert [each for each in order if each in of_key] == of_key
    wait_until(lambda: not redis_client.exists(LIMITS), "all places to be free")
    assert not redis_client.keys("contentworker:transport:p*")
    assert not redis_client.exists(PARKED)


def test_one_customer_does_not_starve_another(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """The only task of one key has its turn, although a hundred of another were sent before."""
    for _ in range(100):
        send(client, tmp_path, "many")
    send(client, tmp_path, "single").forget()
    worker(*OPTIONS, app=PROBE_APP, **ONE_AT_A_TIME)
    place = wait_until(
        lambda: next((i for i, each in enumerate(begun(tmp_path)) if each["key"] == "single"), -1) + 1,
        "the single one",
    )
    assert place <= 10
    wait_until(lambda: len(executions(tmp_path)) == 202, "all to run")
    assert_at_most(tmp_path, 1)


@pytest.mark.parametrize("how", ["killed", "frozen", "stopped"])
def test_the_places_of_a_dead_worker_are_free(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path, how: str
) -> None:
    """Its task comes first again, and those that waited behind it follow."""
    first = worker(*OPTIONS, app=PROBE_APP, **ONE_AT_A_TIME)
    sent = [send(client, tmp_path, "a", waits=True) for _ in range(4)]
    wait_until(lambda: waiting(redis_client) == 3, "three to wait")
    assert redis_client.hget(LIMITS, "taken:one") == b"1"
    worker(*OPTIONS, app=PROBE_APP, **ONE_AT_A_TIME)
    signals = {"killed": signal.SIGKILL, "frozen": signal.SIGSTOP, "stopped": signal.SIGQUIT}
    first.kill(signals[how], group=how != "stopped")
    (tmp_path / "release").touch()
    for result in sent:
        result.get(timeout=PATIENCE)
    if how != "stopped":  # a cold shutdown cancels the task, which the pool process may have finished
        assert list(dict.fromkeys(each["id"] for each in begun(tmp_path))) == [result.id for result in sent]
    wait_until(lambda: not redis_client.exists(LIMITS), "all places to be free")


def test_connections_that_are_cut_lose_nothing(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Whatever was under way: a fetch, an admission, an acknowledgement."""
    for _ in range(2):
        worker(*OPTIONS, app=PROBE_APP, **ONE_AT_A_TIME)
    sent = []
    for _ in range(20):
        sent += [send(client, tmp_path, key) for key in "abcd"]
        redis_client.client_kill_filter(_type="normal", skipme=True)
    ids = {result.id for result in sent}
    wait_until(lambda: {each["id"] for each in executions(tmp_path)} == ids, "all to run")
    wait_until(lambda: not redis_client.exists(LIMITS), "all places to be free")
    assert_at_most(tmp_path, 1)


def test_a_rate_holds_for_all_workers_and_strands_nothing_without_it(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Of seven tasks three start today. When the limit is gone from the settings, the others do."""
    workers = [worker(*OPTIONS, app=PROBE_APP, **limit(rate="3/d")) for _ in range(2)]
    sent = [send(client, tmp_path, "a") for _ in range(7)]
    wait_until(lambda: waiting(redis_client) == 4, "four to wait")
    wait_until(lambda: sum(result.ready() for result in sent) == 3, "three to run")
    assert len(begun(tmp_path)) == 3
    for each in workers:
        each.kill()
        assert each.wait() == 0
    worker(*OPTIONS, app=PROBE_APP)
    for result in sent:
        result.get(timeout=PATIENCE)
    assert Counter(each["id"] for each in begun(tmp_path)) == Counter(result.id for result in sent)
    wait_until(lambda: not redis_client.exists(LIMITS), "all places to be free")


def test_a_discarded_task_is_revoked(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """Whoever waits for its result learns why."""
    worker(*OPTIONS, app=PROBE_APP, **limit(key="content", concurrency=1, on_conflict="discard"))
    first, second = (send(client, tmp_path, "a", waits=True) for _ in range(2))
    with pytest.raises(TaskRevokedError, match=r"limits\.one is reached for 'a'"):
        second.get(timeout=PATIENCE)
    assert second.state == "REVOKED"
    (tmp_path / "release").touch()
    first.get(timeout=PATIENCE)
    assert [each["id"] for each in begun(tmp_path)] == [first.id]


def test_conflicts_and_bad_keys_are_dead_letters(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Each says why, and the queue goes on."""
    worker(*OPTIONS, app=PROBE_APP, **limit(key="content", concurrency=1, on_conflict="dead_letter"))
    running = send(client, tmp_path, "a", waits=True)
    wait_until(lambda: begun(tmp_path), "the first to begin")
    for key in ("a", ["a"], {"a": 1}, None, "x" * 1025, "\ud800"):
        send(client, tmp_path, key)
    client.send_task("probe.limited", kwargs={"folder": str(tmp_path)}, queue=QUEUE)
    (tmp_path / "release").touch()
    running.get(timeout=PATIENCE)
    send(client, tmp_path, "b").get(timeout=PATIENCE)
    wait_until(lambda: redis_client.xlen(dead_letters.STREAM) == 7, "seven letters")
    letters = dead_letters.read(redis_client)
    said = {
        (letter.reason, letter.error)
        for _, _, letter in letters
        if isinstance(letter, dead_letters.DeadLetter)
    }
    key = "content: {}, as it is the key of limits.one"
    assert {error for reason, error in said if reason == "invalid"} == {
        key.format("is missing"),
        key.format("must be text or a number, not list"),
        key.format("must be text or a number, not dict"),
        key.format("must be at most 1024 bytes"),
        key.format("must be valid Unicode, not half of a surrogate pair"),
    }
    (conflict,) = (error for reason, error in said if reason == "limit")
    assert conflict == "limits.one is reached for 'a'"


def test_a_foreign_client_is_limited(worker: StartWorker, redis_client: redis.Redis, tmp_path: Path) -> None:
    """One that pushes messages by hand, and gives the key's argument by its position."""
    worker(*OPTIONS, app=PROBE_APP, **ONE_AT_A_TIME)
    for number in range(10):
        message = {
            "body": json.dumps([["a", str(tmp_path)], {}, {}]),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"task": "probe.limited", "id": f"id-{number}", "lang": "py"},
            "properties": {
                "delivery_tag": str(number),
                "delivery_info": {"exchange": "", "routing_key": QUEUE},
            },
        }
        redis_client.lpush(QUEUE, json.dumps(message))
    wait_until(lambda: len(executions(tmp_path)) == 20, "all to run")
    assert_at_most(tmp_path, 1)
    assert [each["id"] for each in begun(tmp_path)] == [f"id-{number}" for number in range(10)]


@pytest.mark.parametrize(
    ("settings", "call", "expected"),
    [
        ({}, {"kwargs": {"content": "a"}}, "one:"),
        ({"header": "tenant"}, {"headers": {"tenant": "a b"}}, "one:a b"),
        ({"header": "tenant"}, {"headers": {"tenant": 17}}, "one:17"),
        ({"key": "content"}, {"args": ["a'"]}, "one:a'"),
        ({"key": "content"}, {"kwargs": {"folder": "f", "content": "a"}}, "one:a"),
        ({"key": "content"}, {"kwargs": {"content": 17}}, "one:17"),
        # What a fetch cannot tell, the worker does.
        ({"header": "tenant"}, {"headers": {"tenant": "ä"}}, ""),
        ({"header": "tenant"}, {"headers": {"tenant": "a" * 1025}}, ""),
        ({"header": "tenant"}, {}, ""),
        ({}, {"name": HEALTH_TASK}, ""),
    ],
)
def test_a_fetch_gives_a_place_by_itself(
    client: Celery, redis_client: redis.Redis, settings: Any, call: Any, expected: str
) -> None:
    """Where the message is as Celery writes it; it agrees with what the worker finds in the whole message."""
    given = {"queues": [QUEUE], "concurrency": 1, **settings}
    limits = SimpleNamespace(named={"one": TaskLimit.model_validate(given)})
    tasks = {"probe.limited": SimpleNamespace(run=lambda content, folder: None), HEALTH_TASK: None}
    app = Mock(tasks=tasks, _tasks=tasks)
    app.runtime_settings = SimpleNamespace(limits=limits, queues={}, default_queue="celery")
    limiter = TaskLimiter(app)
    call = {"name": "probe.limited", "args": [], "kwargs": {}, "headers": {}, **call}
    key = key_header(app, call["name"], call["args"], call["kwargs"], QUEUE)
    client.send_task(**call | {"queue": QUEUE, "headers": call["headers"] | key})
    protocol = Protocol(redis_client)
    protocol.register("holder")
    of_queues = transport_limits.of_queues(limiter, "")
    answer = protocol.fetch(
        "holder", 1, 1, [QUEUE], limits=transport_limits.in_json(limiter.limits), of_queues=of_queues
    )
    _, (taken,) = protocol.fetched(answer)
    assert taken.partition == expected
    if expected:
        with client.connection_for_read() as connection:
            channel = connection.default_channel
            message = channel.Message(json.loads(taken.raw), channel=channel)
            assert limiter.partition_of(message, QUEUE) == expected


def test_a_header_can_be_the_key(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """As an application sets it with `headers=`."""
    worker(*OPTIONS, app=PROBE_APP, **limit(header="tenant", concurrency=1))
    for number in range(20):
        arguments = {"content": "ab"[number % 2], "folder": str(tmp_path)}
        client.send_task(
            "probe.limited", kwargs=arguments, queue=QUEUE, headers={"tenant": arguments["content"]}
        )
    wait_until(lambda: len(executions(tmp_path)) == 40, "all to run")
    assert_at_most(tmp_path, 1)
