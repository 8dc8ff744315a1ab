"""What workers measure, as it lies in Redis: on real workers, with real faults."""

import re
import signal
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from contentworker.runtime.metrics.definitions import (
    DEAD_LETTERS,
    DROPPED,
    PROMOTED,
    RECLAIMED,
    TASK_SECONDS,
    TASKS,
    WAITING_SECONDS,
    Metric,
)
from contentworker.runtime.metrics.recording import MILLION, PREFIX, SEPARATOR, SLOTS, WORKERS
from contentworker.runtime.transport.keys import DELAYED
from tests.support import (
    PROBE_APP,
    SOON,
    RedisProcess,
    StartWorker,
    as_bytes,
    client_of,
    executions,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("clean")

PROBED = Metric("probe_total", "counter", "", "What failed?", {"kind": ("known",)})
PROBED_LEVEL = Metric("probe_level", "gauge", "", "What failed?")


def kept(client: redis.Redis, metric: Metric) -> dict[tuple[str, ...], float]:
    """The numbers of a metric by the values of its labels."""
    found = client.hgetall(f"{PREFIX}:{metric.name}")
    return {tuple(field.decode().split(SEPARATOR)): int(value) / MILLION for field, value in found.items()}


def states(client: redis.Redis, task: str, queue: str = "celery") -> dict[str, float]:
    """How often a task ended how."""
    return {
        state: number
        for (name, where, state), number in kept(client, TASKS).items()
        if (name, where) == (task, queue)
    }


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_tasks_are_counted(worker: StartWorker, client: Celery, redis_client: redis.Redis, pool: str) -> None:
    """By name, queue and end, with how long they took and had waited; whatever the pool."""
    worker("--queues=celery", f"--pool={pool}", app=PROBE_APP)
    for _ in range(3):
        client.send_task("probe.pid")
    client.send_task("probe.typed", ["a", "no number"])
    wait_until(lambda: kept(redis_client, DEAD_LETTERS), "the counts to be told")
    wait_until(lambda: states(redis_client, "probe.pid") == {"success": 3}, "three successes")
    wait_until(lambda: states(redis_client, "probe.typed") == {"failure": 1}, "the failure")
    assert kept(redis_client, DEAD_LETTERS) == {("celery", "failed"): 1}

    def number(metric: Metric, task: str = "") -> float:
        return sum(
            count
            for (name, bound), count in kept(redis_client, metric).items()
            if bound != "sum" and name.startswith(task)
        )

    # What is counted together may be told in two turns.
    wait_until(lambda: number(TASK_SECONDS, "probe.pid") == 3, "how long they took")
    wait_until(lambda: number(WAITING_SECONDS) == 4, "how long they waited")
    assert kept(redis_client, WAITING_SECONDS)["celery", "sum"] > 0


def test_ends_other_than_success(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Retries, a process that dies, a hard time limit, a revoked and an expired task each count once."""
    # Long enough for a busy machine to end the other tasks.
    limits = {"WORKER__LIMITS__SOFT_TIME_LIMIT_SECONDS": "5", "WORKER__LIMITS__HARD_TIME_LIMIT_SECONDS": "7"}
    folders = {name: tmp_path / name for name in ("fail", "die", "once", "ignore")}
    for folder in folders.values():
        folder.mkdir()
    expired = client.send_task("probe.report", ["2020-01-01"], expires=0.001)
    serving = worker("--queues=celery", app=PROBE_APP, **SOON, **limits)
    client.send_task("probe.base.fail_until", [str(folders["fail"]), 2])
    client.send_task("probe.base.die", [str(folders["die"])])
    client.send_task("probe.critical.die", [str(folders["once"])])
    client.send_task("probe.ignore_soft_limit", [str(folders["ignore"])])
    expected = {
        "probe.base.fail_until": {"retry": 2, "success": 1},
        "probe.base.die": {"retry": 3, "failure": 1},
        "probe.critical.die": {"failure": 1},
        "probe.ignore_soft_limit": {"failure": 1},
        "probe.report": {"revoked": 1},
    }
    wait_until(lambda: sum(kept(redis_client, DEAD_LETTERS).values()) == 3, f"{serving.log()}")
    wait_until(
        lambda: {task: states(redis_client, task) for task in expected} == expected, f"the ends; {expired.id}"
    )
    assert kept(redis_client, DEAD_LETTERS) == {
        ("celery", "lost process"): 1,
        ("celery", "interrupted"): 1,
        ("celery", "time limit"): 1,
    }
    ran = ("probe.ignore_soft_limit", "sum")
    wait_until(lambda: kept(redis_client, TASK_SECONDS).get(ran, 0) > 1, "how long it ran")


def test_a_delay_is_no_waiting(worker: StartWorker, client: Celery, redis_client: redis.Redis) -> None:
    """A task for later has waited since it was due; that it went into its queue is counted as well."""
    client.send_task("probe.pid", countdown=1)
    delayed: Any = redis_client.zrange(DELAYED, 0, -1, withscores=True)
    ((record, due),) = delayed
    redis_client.zrem(DELAYED, record)
    redis_client.zadd(DELAYED, {re.sub(rb'("sent_at": ")\d{4}', rb"\g<1>2020", record): due})
    worker("--queues=celery", app=PROBE_APP)
    wait_until(lambda: states(redis_client, "probe.pid") == {"success": 1}, "the task to be counted")
    assert kept(redis_client, WAITING_SECONDS)["celery", "sum"] < 86_400
    wait_until(lambda: kept(redis_client, PROMOTED) == {("",): 1}, "its promotion to be counted")


def test_what_a_dead_worker_held_is_counted(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Reclaimed by another worker; what the dead one had counted before is there."""
    dying = worker("--queues=celery", "--hostname=dying@%h", app=PROBE_APP)
    client.send_task("probe.pid")
    wait_until(lambda: states(redis_client, "probe.pid") == {"success": 1}, "the first to be counted")
    client.send_task("probe.base.hold", [str(tmp_path)])
    wait_until(lambda: executions(tmp_path), "the task to start")
    dying.kill(signal.SIGKILL, group=True)
    worker("--queues=celery", "--hostname=other@%h", app=PROBE_APP)
    (tmp_path / "release").touch()
    wait_until(lambda: kept(redis_client, RECLAIMED), "the message to be reclaimed")
    wait_until(lambda: states(redis_client, "probe.base.hold") == {"success": 1}, "its second run to end")


def test_signs_of_life(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """A worker says who it is, what it serves and how busy it is, and takes that back at its end."""
    options = ("--queues=celery,rewrite", "--hostname=both@here", "--concurrency=3")
    serving = worker(*options, app=PROBE_APP)
    (sign,) = wait_until(lambda: [as_bytes(each) for each in redis_client.zrange(WORKERS, 0, -1)], "a sign")
    assert sign.decode().split(SEPARATOR) in (
        ["both@here", "celery", "rewrite"],
        ["both@here", "rewrite", "celery"],
    )
    client.send_task("probe.base.hold", [str(tmp_path)])
    expected = {b"both@here": f"3{SEPARATOR}1".encode()}
    wait_until(lambda: redis_client.hgetall(SLOTS) == expected, "one of three slots to be busy")
    (tmp_path / "release").touch()
    serving.kill()
    assert serving.wait() == 0
    assert redis_client.zcard(WORKERS) == 0
    assert not redis_client.exists(SLOTS)


def test_a_worker_that_served_other_queues_before_is_gone_at_its_end(
    worker: StartWorker, redis_client: redis.Redis
) -> None:
    """It was killed, and came back with one queue more: none of its signs looks like a silent worker."""
    killed = worker("--queues=celery", "--hostname=one@here", app=PROBE_APP)
    wait_until(lambda: redis_client.zcard(WORKERS) == 1, "its sign")
    killed.kill(signal.SIGKILL, group=True)
    again = worker("--queues=celery,rewrite", "--hostname=one@here", app=PROBE_APP)
    wait_until(lambda: redis_client.zcard(WORKERS) == 2, "a sign with other queues")
    again.kill()
    assert again.wait() == 0
    assert redis_client.zcard(WORKERS) == 0


def test_a_sum_that_is_too_large_disturbs_no_other_number(
    worker: StartWorker, client: Celery, redis_client: redis.Redis
) -> None:
    """Senders whose clocks are wrong can add up to more than Redis can count; nothing is counted twice."""
    redis_client.hset(f"{PREFIX}:{WAITING_SECONDS.name}", f"celery{SEPARATOR}sum", str(2**63 - 1))
    worker("--queues=celery", app=PROBE_APP)
    for number in range(1, 4):
        client.send_task("probe.pid").get(timeout=60)
        wait_until(lambda n=number: kept(redis_client, DROPPED).get(("",)) == n, "the sum to be dropped")  # type: ignore[misc]
    assert states(redis_client, "probe.pid") == {"success": 3}


def test_last_counts_are_told_at_the_end(
    worker: StartWorker, client: Celery, redis_client: redis.Redis
) -> None:
    """A worker that stops tells Redis what it had not told yet."""
    serving = worker("--queues=celery", app=PROBE_APP)
    result = client.send_task("probe.pid")
    result.get(timeout=60)
    serving.kill()
    assert serving.wait() == 0
    assert states(redis_client, "probe.pid") == {"success": 1}


def test_what_tasks_measure_themselves(
    worker: StartWorker, client: Celery, redis_client: redis.Redis
) -> None:
    """Each pool process tells what its tasks measured, also one that is replaced right after."""
    worker("--queues=celery", app=PROBE_APP, WORKER__LIMITS__MAX_TASKS_PER_CHILD="2")
    results = [client.send_task("probe.measure", ["known", 0.5]) for _ in range(5)]
    results.append(client.send_task("probe.measure", ["unknown", 2]))
    for result in results:
        result.get(timeout=60)
    expected = {("known",): 2.5, ("other",): 2.0}
    wait_until(lambda: kept(redis_client, PROBED) == expected, "all to be told")
    ((level, number),) = kept(redis_client, PROBED_LEVEL).items()
    assert (level, number in (0.5, 2)) == (("",), True)


def test_redis_away(worker: StartWorker, tmp_path: Path) -> None:
    """What was counted meanwhile is told when Redis is back; the task went on."""
    server = RedisProcess(tmp_path / "redis", durable=True).ready()
    try:
        with client_of(server.url) as client, server.client() as direct:
            worker("--queues=celery", app=PROBE_APP, redis_url=server.url)
            folder = tmp_path / "held"
            folder.mkdir()
            client.send_task("probe.base.hold", [str(folder)])
            wait_until(lambda: executions(folder), "the task to start")
            server.crash()
            (folder / "release").touch()
            wait_until((folder / "finished").exists, "the task to end")
            server.start()
            server.ready()
            wait_until(lambda: states(direct, "probe.base.hold") == {"success": 1}, "the success")
    finally:
        server.stop()


def test_switched_off(worker: StartWorker, client: Celery, redis_client: redis.Redis) -> None:
    """With `metrics.enabled = false` nothing is kept."""
    serving = worker("--queues=celery", app=PROBE_APP, WORKER__METRICS__ENABLED="false")
    client.send_task("probe.pid").get(timeout=60)
    serving.kill()
    serving.wait()
    assert not redis_client.keys(f"{PREFIX}:*")
