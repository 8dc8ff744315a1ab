"""A revoked task does not start, whoever revoked it, and whatever becomes of the workers."""

import signal
import uuid
from pathlib import Path

import redis
from celery import Celery

from contentworker.runtime.records import dead_letters, revocations
from contentworker.runtime.transport.keys import REVOKED
from tests.support import PATIENCE, PROBE_APP, StartWorker, executions, held_records, unsettled, wait_until

COUNTED = "probe.counted"


def test_none_of_the_revoked_runs_though_workers_are_killed(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """200 of 400 waiting and delayed tasks, revoked while no worker ran: the others run, these never."""
    kwargs = {"folder": str(tmp_path), "seconds": 0.02}
    sent = [client.send_task(COUNTED, kwargs=kwargs, countdown=5 * (n % 2)) for n in range(400)]
    ids = [each.id for each in sent]
    revoked, others = {*ids[::4], *ids[1::4]}, {*ids[2::4], *ids[3::4]}
    client.AsyncResult(ids[0]).revoke()
    client.control.revoke(list(revoked - {ids[0]}))

    workers = [worker("--queues=celery", app=PROBE_APP) for _ in range(2)]
    for number in (20, 60, 100):
        wait_until(lambda number=number: len(executions(tmp_path)) >= number, "some to run")  # type: ignore[misc]
        workers.pop(0).kill(signal.SIGKILL)
        workers.append(worker("--queues=celery", app=PROBE_APP))

    wait_until(lambda: {each["id"] for each in executions(tmp_path)} >= others, "all others to run")
    states = wait_until(
        lambda: {state for each in revoked if (state := client.AsyncResult(each).state)} == {"REVOKED"},
        "the revoked to be told",
    )
    assert states
    wait_until(lambda: not unsettled(redis_client), "the end")
    assert not revoked & {each["id"] for each in executions(tmp_path)}


def test_the_worker_that_is_told_writes_it(
    worker: StartWorker, client: Celery, redis_url: str, tmp_path: Path
) -> None:
    """Another Celery client tells a worker, which is killed; the next one knows. A bad id gets an error."""
    first = worker("--queues=celery", app=PROBE_APP)
    wait_until(lambda: client.control.ping(limit=1, timeout=1), "the worker to listen")
    with Celery(broker=redis_url, set_as_current=False) as foreign:
        foreign.conf.accept_content = ["json"]
        task_id = str(uuid.uuid4())
        assert foreign.control.revoke(task_id, reply=True, limit=1, timeout=PATIENCE)
        for ids, said in (
            ([7, task_id], "must be text"),
            ([task_id] * 1001, "must be at most 1000 ids in one"),
        ):
            ((answer,),) = (
                each.values() for each in foreign.control.revoke(ids, reply=True, limit=1, timeout=PATIENCE)
            )
            assert f"task_id: {said}" in answer["error"]
        first.kill(signal.SIGKILL)
        foreign.send_task(COUNTED, kwargs={"folder": str(tmp_path)}, queue="celery", task_id=task_id)
    worker("--queues=celery", app=PROBE_APP)
    wait_until(lambda: client.AsyncResult(task_id).state == "REVOKED", "it to be dropped")
    assert not executions(tmp_path)


def test_a_worker_that_was_not_told_looks_when_it_is_back(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The task waits in the worker already, and the command does not reach it."""
    options = ("--queues=celery", "--concurrency=1", "--prefetch-multiplier=2")
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    first, second = (
        client.send_task("probe.base.hold", kwargs={"folder": str(folder)}, queue="celery")
        for folder in folders
    )
    ours = {each["id"] for each in redis_client.client_list()}
    busy = worker(*options, app=PROBE_APP)
    wait_until(lambda: len(held_records(redis_client)) == 2, "the worker to take both")
    busy.wait_for_log(f"Task probe.base.hold[{second.id}] received")
    revocations.revoke(redis_client, [second.id], 1000)
    for each in redis_client.client_list():
        if each["id"] not in ours:
            redis_client.client_kill_filter(_id=each["id"])
    wait_until(lambda: busy.log().count("Connected to redis://") > 1, "it to connect again")
    wait_until(lambda: client.control.ping(limit=1, timeout=1), "the worker to listen")
    (folders[0] / "release").touch()
    first.get(timeout=PATIENCE)
    wait_until(lambda: second.state == "REVOKED", "the second to be dropped")
    assert not executions(folders[1])


def test_a_replay_is_the_later_decision(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """A dead letter whose task was revoked runs when it is replayed, also in a worker that remembers."""
    worker("--queues=celery", "--concurrency=1", app=PROBE_APP)
    sent = client.send_task(
        "probe.base.raise_permanent", kwargs={"folder": str(tmp_path), "kind": "PermanentError"}
    )
    (letter_id,) = wait_until(
        lambda: dead_letters.ids_of_task(redis_client, sent.id, 2), "the dead letter of the task"
    )
    wait_until(
        lambda: client.control.revoke(sent.id, reply=True, limit=1, timeout=1), "the worker to be told"
    )
    assert dead_letters.replay(redis_client, letter_id)
    wait_until(lambda: len(executions(tmp_path)) == 2, "the replayed task")
    assert redis_client.zscore(REVOKED, sent.id) is None


def test_a_revocation_expires(client: Celery, redis_client: redis.Redis) -> None:
    """After its time it is gone, the oldest go first, and an id is written anew only after a while."""
    redis_client.delete(REVOKED)
    one, two = str(uuid.uuid4()), str(uuid.uuid4())
    revocations.revoke(redis_client, [one], 1000)
    before = redis_client.zscore(REVOKED, one)
    revocations.revoke(redis_client, [one, two], 1000)
    assert redis_client.zscore(REVOKED, one) == before
    assert [each for each, _ in revocations.since(redis_client, 0)] == [one, two]
    assert [each for each, _ in revocations.since(redis_client, float(before or 0))] == [two]
    assert revocations.is_revoked(redis_client, one, 1000)
    assert not revocations.is_revoked(redis_client, one, 0)
    revocations.revoke(redis_client, ["three"], 0)
    assert [each for each, _ in revocations.since(redis_client, 0)] == ["three"]
