"""Unique tasks: one of a key at a time, whoever sends it, and whatever becomes of the workers."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, chain
from celery.exceptions import TaskRevokedError

from contentworker.runtime.records import dead_letters
from contentworker.runtime.transport.keys import DELAYED, PREFIX
from tests.support import PATIENCE, StartWorker, Worker, executions, held_records, wait_until

APP = "unique_worker.celery_app"
QUEUED = {"key": ["name"]}
RUNNING = {"key": ["name"], "while": "running"}
NEWEST = {"key": ["name"], "replace": True}


@pytest.fixture(autouse=True)
def clean(redis_client: redis.Redis) -> None:
    redis_client.flushall()


@pytest.fixture
def foreign(redis_url: str) -> Iterator[Celery]:
    """A client that knows nothing of unique tasks."""
    with Celery(broker=redis_url, set_as_current=False) as app:
        yield app


def send(client: Celery, name: str, folder: Path, unique: Any = None, **options: Any) -> Any:
    """Send `probe.unique.NAME` about `a`."""
    kwargs = {"folder": str(folder), "name": "a", **options.pop("more", {})}
    return client.send_task(f"probe.unique.{name}", kwargs=kwargs, queue="celery", unique=unique, **options)


def send_foreign(foreign: Celery, name: str, folder: Path, **options: Any) -> Any:
    kwargs = {"folder": str(folder), "name": "a"}
    return foreign.send_task(f"probe.unique.{name}", kwargs=kwargs, queue="celery", **options)


def locks(client: redis.Redis) -> list[bytes]:
    return list(client.scan_iter(match=f"{PREFIX}:unique:*"))


def release(folder: Path) -> None:
    (folder / "release").touch()


def test_queued_until_a_worker_starts_it(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The second send gives the first one's id; once it has started the next one is sent."""
    first = send(client, "queued", tmp_path, QUEUED)
    assert send(client, "queued", tmp_path, QUEUED).id == first.id
    assert send(client, "queued", tmp_path, QUEUED, countdown=60).id == first.id
    other = client.send_task(
        "probe.unique.queued", kwargs={"folder": str(tmp_path), "name": "b"}, queue="celery", unique=QUEUED
    )
    assert other.id != first.id
    assert redis_client.llen("celery") == 2
    worker("--queues=celery", app=APP)
    wait_until(lambda: len(executions(tmp_path)) == 2, "both to start")
    assert not locks(redis_client)
    third = send(client, "queued", tmp_path, QUEUED)
    assert third.id != first.id
    release(tmp_path)
    third.get(timeout=PATIENCE)
    assert [each["name"] for each in executions(tmp_path)].count("a") == 2


def test_running_until_its_end(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, foreign: Celery, tmp_path: Path
) -> None:
    """A call meanwhile is a duplicate; that of a foreign client says of which in its result."""
    worker("--queues=celery", "--concurrency=3", app=APP)
    first = send(client, "running", tmp_path, RUNNING)
    wait_until(lambda: executions(tmp_path), "its start")
    assert send(client, "running", tmp_path, RUNNING).id == first.id
    errback = foreign.signature("probe.unique.told", kwargs={"folder": str(tmp_path)}, queue="celery")
    theirs = send_foreign(foreign, "running", tmp_path, link_error=errback)
    with pytest.raises(TaskRevokedError, match=f"duplicate of {first.id}"):
        client.AsyncResult(theirs.id).get(timeout=PATIENCE)
    wait_until(lambda: executions(tmp_path)[-1].get("failed_id") == theirs.id, "their errback")
    release(tmp_path)
    first.get(timeout=PATIENCE)
    wait_until(lambda: not locks(redis_client), "the lock to go")
    assert sum("name" in each for each in executions(tmp_path)) == 1
    again = send_foreign(foreign, "running", tmp_path)
    client.AsyncResult(again.id).get(timeout=PATIENCE)
    wait_until(lambda: not locks(redis_client), "the lock to go")


def test_the_newest_arguments_win(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Debounce: each call takes the place of the one that waits, its moment too, and keeps the id."""
    first = send(client, "newest", tmp_path, NEWEST, countdown=1000, more={"number": 1})
    for number in (2, 3):
        later = send(client, "newest", tmp_path, NEWEST, countdown=2000, more={"number": number})
        assert later.id == first.id
    delayed: Any = redis_client.zrange(DELAYED, 0, -1, withscores=True)
    ((_, due),) = delayed
    assert due > (time.time() + 1500) * 1000
    assert send(client, "newest", tmp_path, NEWEST, more={"number": 4}).id == first.id
    assert redis_client.zcard(DELAYED) == 0
    # This one is no longer delayed, so it stays in the queue, and is dropped there.
    assert send(client, "newest", tmp_path, NEWEST, more={"number": 5}).id == first.id
    assert redis_client.llen("celery") == 2
    worker("--queues=celery", "--concurrency=1", app=APP)
    assert first.get(timeout=PATIENCE) == 5
    assert [each["number"] for each in executions(tmp_path)] == [5]
    wait_until(lambda: not locks(redis_client) and not held_records(redis_client), "the end")


def test_once_in_a_while(worker: StartWorker, client: Celery, foreign: Celery, tmp_path: Path) -> None:
    """Throttle: within the time the call is a duplicate, though the first has ended."""
    worker("--queues=celery", app=APP)
    unique = {"key": ["name"], "while": "ttl", "seconds": 3600}
    first = send(client, "throttled", tmp_path, unique)
    first.get(timeout=PATIENCE)
    assert send(client, "throttled", tmp_path, unique).id == first.id
    with pytest.raises(TaskRevokedError, match=f"duplicate of {first.id}"):
        client.AsyncResult(send_foreign(foreign, "throttled", tmp_path).id).get(timeout=PATIENCE)
    short = {"key": ["name"], "while": "ttl", "seconds": 0.001}
    sent = client.send_task("probe.pid", queue="celery", unique={**short, "key": []})
    sent.get(timeout=PATIENCE)
    assert client.send_task("probe.pid", queue="celery", unique={**short, "key": []}).id != sent.id
    assert len(executions(tmp_path)) == 1


def test_an_expired_one_does_not_throttle(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """It never ran, so the next call within its time is no duplicate."""
    unique = {"key": ["name"], "while": "ttl", "seconds": 3600}
    expired = send(client, "throttled", tmp_path, unique, expires=datetime(2020, 1, 1, tzinfo=UTC))
    worker("--queues=celery", app=APP)
    with pytest.raises(TaskRevokedError, match="expired"):
        expired.get(timeout=PATIENCE)
    wait_until(lambda: not held_records(redis_client), "its end")
    again = send(client, "throttled", tmp_path, unique)
    assert again.id != expired.id
    again.get(timeout=PATIENCE)


def test_a_dead_letter_throttles(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Until the time is over, whether it ran before or not."""
    unique = {"key": ["name"], "while": "ttl", "seconds": 3600}
    sent = send(client, "no_such_task", tmp_path, unique)
    worker("--queues=celery", app=APP)
    wait_until(lambda: dead_letters.ids_of_task(redis_client, sent.id, 2), "its dead letter")
    wait_until(lambda: not held_records(redis_client), "its end")
    assert send(client, "no_such_task", tmp_path, unique).id == sent.id


def test_the_same_id_twice(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, foreign: Celery, tmp_path: Path
) -> None:
    """A foreign client that repeats a send does not make the task run beside itself; protocol 1 neither."""
    worker("--queues=celery", "--concurrency=3", app=APP)
    first = send_foreign(foreign, "running", tmp_path)
    wait_until(lambda: executions(tmp_path), "its start")
    send_foreign(foreign, "running", tmp_path, task_id=first.id)
    with Celery(broker=foreign.conf.broker_url, set_as_current=False, task_protocol=1) as old:
        theirs = client.AsyncResult(send_foreign(old, "running", tmp_path).id)
    with pytest.raises(TaskRevokedError, match=f"duplicate of {first.id}"):
        theirs.get(timeout=PATIENCE)
    wait_until(lambda: len(held_records(redis_client)) == 1, "the others to end")
    assert len(executions(tmp_path)) == 1
    result = client.AsyncResult(first.id)
    assert result.state != "REVOKED"  # it still runs
    release(tmp_path)
    result.get(timeout=PATIENCE)
    wait_until(lambda: not locks(redis_client) and not held_records(redis_client), "the end")


@pytest.mark.parametrize(("kept", "locks_left"), [("running", 0), ("ttl", 1)])
def test_it_may_replace_itself(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path, kept: str, locks_left: int
) -> None:
    """The replacement has its id, and takes over its lock: it is no duplicate, which would be lost."""
    worker("--queues=celery", app=APP)
    unique = {"key": ["name"], "while": kept, "seconds": 3600}
    sent = send(client, f"pages_{kept}", tmp_path, unique, more={"left": 2})
    assert sent.get(timeout=PATIENCE) == "all"
    assert [each["left"] for each in executions(tmp_path)] == [2, 1, 0]
    wait_until(lambda: not held_records(redis_client), "the end")
    assert len(locks(redis_client)) == locks_left


def test_a_time_limit_ends_it_with_its_process(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The lock is free only when the process is killed: the next one does not run beside it."""
    for _ in range(2):
        worker("--queues=celery", "--concurrency=1", app=APP)
    folders = [tmp_path / name for name in ("first", "second")]

    def send_to(folder: Path) -> str:
        options = {"queue": "celery", "unique": {"key": [], "while": "running"}}
        return str(client.send_task("probe.unique.too_long", kwargs={"folder": str(folder)}, **options).id)

    for folder in folders:
        folder.mkdir()
    first, second = folders
    first_id = send_to(first)
    wait_until(lambda: executions(first), "the first to start")
    wait_until(lambda: send_to(second) != first_id, "the lock to be free")
    wait_until(lambda: executions(second), "the second to start")
    pid = executions(first)[0]["pid"]
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the first one's process to end")
    assert executions(first)[-1]["time"] < executions(second)[0]["time"]


def test_a_dead_letter_ends_it(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The next call is sent; a replay is one more call."""
    worker("--queues=celery", app=APP)
    kwargs = {"folder": str(tmp_path)}
    unique = {"key": [], "while": "running"}
    for number in (1, 2):
        sent = client.send_task("probe.unique.fails", kwargs=kwargs, queue="celery", unique=unique)
        (letter_id,) = wait_until(
            lambda sent=sent: dead_letters.ids_of_task(redis_client, sent.id, 2),  # type: ignore[misc]
            "its dead letter",
        )
        wait_until(lambda: not locks(redis_client), "the lock to go")
        assert len(executions(tmp_path)) == number
    assert dead_letters.replay(redis_client, letter_id)
    wait_until(lambda: len(executions(tmp_path)) == 3, "the replay")
    wait_until(lambda: not locks(redis_client), "the lock to go")


def test_a_revoked_one_holds_up_no_other(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """It will not run, so the next call is sent, and runs."""
    first = send(client, "queued", tmp_path, QUEUED)
    first.revoke()
    second = send(client, "queued", tmp_path, QUEUED)
    assert second.id != first.id
    release(tmp_path)
    worker("--queues=celery", app=APP)
    second.get(timeout=PATIENCE)
    wait_until(lambda: first.state == "REVOKED", "the first to be dropped")
    wait_until(lambda: not locks(redis_client), "the lock to go")
    assert len(executions(tmp_path)) == 1


def test_a_duplicate_in_a_chain_ends_it(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """Only the first one's links run, and whoever waits for the others is told."""
    first = send(client, "queued", tmp_path, QUEUED)
    signature = client.signature(
        "probe.unique.queued",
        kwargs={"folder": str(tmp_path), "name": "a"},
        queue="celery",
        unique=QUEUED,
        immutable=True,
    )
    last = client.signature("probe.pid", queue="celery", immutable=True)
    waiting = chain(signature, last, app=client).apply_async()
    with pytest.raises(TaskRevokedError, match=f"duplicate of {first.id}"):
        waiting.get(timeout=PATIENCE)


def test_what_is_wrong_with_a_key_is_said(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, foreign: Celery, tmp_path: Path
) -> None:
    """To the sender, and in the dead letter of a message that a worker takes."""
    for unique, said in (
        ({"key": ["nom"]}, "no argument 'nom'"),
        ({"key": ["folders"]}, "'folders' must be text, a number, true, false or null, not list"),
        ({"key": ["text"]}, "at most 1024 bytes, not 20"),
        ({"key": ["name"], "while": "for ever"}, "unique.while: "),
        ({"key": ["name"], "seconds": 0}, "unique.seconds: "),
        ({"key": ["name"], "while": "ttl"}, "unique.seconds: must be given"),
        ({"key": ["name"], "while": "running", "replace": True}, "unique.replace: works where"),
    ):
        with pytest.raises(ValueError, match=said):
            send(client, "queued", tmp_path, unique, more={"folders": [], "text": "x" * 2000})
    worker("--queues=celery", app=APP)
    bad = foreign.send_task("probe.unique.queued", kwargs={"name": ["a"]}, queue="celery")
    forged = send_foreign(foreign, "queued", tmp_path, headers={"unique": {"lock": "../../leases"}})
    for sent, said in ((bad, "must be text"), (forged, "header unique: must be as")):
        (letter_id,) = wait_until(
            lambda sent=sent: dead_letters.ids_of_task(redis_client, sent.id, 2),  # type: ignore[misc]
            "its dead letter",
        )
        letter = dead_letters.find(redis_client, letter_id)
        assert isinstance(letter, dead_letters.DeadLetter)
        assert letter.reason == "invalid"
        assert said in letter.error


def test_never_two_at_once_though_workers_are_killed(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, foreign: Celery, tmp_path: Path
) -> None:
    """Retries and two kinds of clients, 5 keys, workers killed: no overlap, and no lock is left."""
    choose = random.Random(21)
    workers: list[Worker] = []
    ids: set[str] = set()

    def send_some() -> None:
        for _ in range(40):
            kwargs = {
                "folder": str(tmp_path),
                "name": choose.choice("abcde"),
                "seconds": 0.1,
                "fails": choose.random() < 0.3,
            }
            sender, options = choose.choice([(client, {"unique": RUNNING}), (foreign, {})])
            delay = choose.choice([None, None, 0.3])
            sent = sender.send_task(
                "probe.unique.alone", kwargs=kwargs, queue="celery", countdown=delay, **options
            )
            ids.add(sent.id)

    for _ in range(5):
        while len(workers) < 2:
            workers.append(worker("--queues=celery", app=APP))
        seen = len(executions(tmp_path))
        send_some()
        wait_until(lambda seen=seen: len(executions(tmp_path)) >= seen + 4, "some to run")  # type: ignore[misc]
        workers.pop(0).kill(signal.SIGKILL, group=True)
    workers.append(worker("--queues=celery", app=APP))
    send_some()
    # Not when nothing waits and nothing is held: a message that moves meanwhile would be in neither.
    wait_until(lambda: all(client.AsyncResult(each).ready() for each in ids), "all to end")
    wait_until(lambda: not locks(redis_client) and not held_records(redis_client), "the locks to go")
    assert overlaps(executions(tmp_path)) == []
    assert len(Counter(each["name"] for each in executions(tmp_path))) == 5


def overlaps(lines: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Runs of a name, and those that began meanwhile. One that was killed ended with its process."""
    running: dict[str, dict[str, Any]] = {}
    found = []
    for line in lines:
        other = running.pop(line["name"], None)
        if line["edge"] == "begins":
            if other is not None and is_alive(other):
                found.append((other, line))
            running[line["name"]] = line
    return found


def is_alive(line: dict[str, Any]) -> bool:
    """Whether the process that wrote this line still runs: not as a zombie, nor another one of its number."""
    try:
        fields = Path(f"/proc/{line['pid']}/stat").read_text("utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    up_seconds = float(Path("/proc/uptime").read_text("utf-8").split()[0])
    age_seconds = up_seconds - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return fields[0] not in "ZX" and age_seconds > time.time() - line["time"]


def test_a_discarded_task_lets_go(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Its limit was reached, so it does not run; the next call of its key is no duplicate."""
    limit = {"QUEUES": '["celery"]', "CONCURRENCY": "1", "ON_CONFLICT": "discard"}
    worker("--queues=celery", app=APP, **{f"WORKER__LIMITS__ONE__{key}": limit[key] for key in limit})
    first = send(client, "queued", tmp_path, QUEUED)
    wait_until(lambda: executions(tmp_path), "its start")
    discarded = send(client, "queued", tmp_path, QUEUED)
    assert discarded.id != first.id
    with pytest.raises(TaskRevokedError, match=r"limits\.one"):
        discarded.get(timeout=PATIENCE)
    wait_until(lambda: not locks(redis_client), "the lock to go")
    release(tmp_path)
    first.get(timeout=PATIENCE)
