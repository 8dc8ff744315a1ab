"""Schedules: real beats, a real worker, and what becomes of a moment when one of them dies."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from contentworker.runtime.records import schedules
from contentworker.runtime.records.schedules import HANDLED, Schedules
from contentworker.runtime.worker.beat import Scheduler
from tests.support import Process, RedisProcess, StartWorker, environment, wait_until

EACH_SECOND = {
    "WORKER__SCHEDULES__CHECK__TASK": "tasks.health_check",
    "WORKER__SCHEDULES__CHECK__EVERY_SECONDS": "1",
    "WORKER__SCHEDULES__PURGE__ENABLED": "false",
}
HOURLY = {**EACH_SECOND, "WORKER__SCHEDULES__CHECK__EVERY_SECONDS": "3600"}
SENT = "Schedule check: sent tasks.health_check"

StartBeat = Callable[..., Process]


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> None:
    if "redis_client" in request.fixturenames:
        request.getfixturevalue("redis_client").flushdb()


@pytest.fixture
def beat(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartBeat]:
    """Start a beat; what is left of it is killed in the end."""
    started: list[Process] = []

    def start(redis_url: str | None = None, **more: str) -> Process:
        address = redis_url or request.getfixturevalue("redis_url")
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "celery_worker.celery_app",
            "beat",
            "--loglevel=info",
        ]
        folder = tmp_path / f"beat{len(started)}"
        started.append(Process(command, folder, environment(REDIS_URL=address, **more)))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def test_a_schedule_is_run_by_a_worker(
    beat: StartBeat, worker: StartWorker, redis_client: redis.Redis
) -> None:
    """Each second one is sent, and the worker of its queue runs it; a SIGTERM ends beat at once."""
    running, running_worker = beat(**EACH_SECOND), worker("--queues=celery")

    def runs() -> int:
        return len(re.findall(r"Task tasks\.health_check\[\S+\] succeeded", running_worker.log()))

    wait_until(lambda: runs() >= 2, "two runs")
    running.kill(signal.SIGTERM)
    assert running.wait() == 0
    # It may end between a send and its line.
    wait_until(lambda: runs() >= running.log().count(SENT), "every one that was sent to have run")


def test_two_beats_send_each_moment_once(beat: StartBeat, redis_client: redis.Redis) -> None:
    """Nothing is sent twice, and when one is killed the other goes on, by either transport."""
    seconds, _ = redis_client.time()
    both = [beat(**EACH_SECOND), beat(**EACH_SECOND, WORKER__BROKER__TRANSPORT="plain")]

    def sent() -> int:
        return sum(each.log().count(SENT) for each in both)

    wait_until(lambda: sent() >= 3, "three moments")
    both[0].kill(signal.SIGKILL)
    before = both[1].log().count(SENT)
    wait_until(lambda: both[1].log().count(SENT) > before, "the other to go on")
    both[1].kill(signal.SIGKILL)
    both[1].wait()
    took = redis_client.time()[0] - seconds
    # What was sent in the moment of the kill may not be in the log.
    assert sent() <= redis_client.llen("celery") <= min(sent() + 2, took + 1)


# A scheduler looks up its tasks, and so meets those of every test in this process.
@pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning")
def test_of_two_that_have_seen_the_same_one_sends(
    client: Celery,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One looks, finds the moment due, and before it can send the other has, and only that one says so."""
    caplog.set_level("INFO")
    slow, quick = Scheduler(client), Scheduler(client)
    redis_client.hset(HANDLED, "purge", 0)
    really_read = slow._read

    def read(connection: redis.Redis) -> Schedules:
        found = really_read(connection)
        quick.tick()
        assert redis_client.llen("celery") == 1
        return found

    monkeypatch.setattr(slow, "_read", read)
    slow.tick()
    assert redis_client.llen("celery") == 1
    assert caplog.text.count("Schedule purge: sent") == 1
    slow.close()
    quick.close()


# A scheduler looks up its tasks, and so meets those of every test in this process.
@pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning")
def test_a_second_beat_does_not_reset_a_new_schedule(
    client: Celery, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two see a new schedule at once: it counts from when the first has seen it, for both of them."""
    scheduler, quicker = Scheduler(client), Scheduler(client)
    really_read, seen = schedules.read, []

    def read(connection: redis.Redis) -> Schedules:
        found = really_read(connection)
        seen.append(found.now)
        monkeypatch.undo()
        quicker._read(connection)
        return found

    monkeypatch.setattr(schedules, "read", read)
    known = scheduler._read(redis_client)
    (since,) = {*map(float, (*known.handled.values(), *known.since.values()))}
    assert since > seen[0], "it is the slower one's"
    scheduler.close()
    quicker.close()


@pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning")
def test_a_new_schedule_counts_from_now(client: Celery, redis_client: redis.Redis) -> None:
    """It is not sent at once, by Redis's clock; the next look is seconds later at most."""
    scheduler = Scheduler(client)
    before = redis_client.time()[0]
    assert scheduler.tick() == 5
    assert before <= float(redis_client.hget(HANDLED, "purge") or 0) <= redis_client.time()[0] + 1
    assert redis_client.llen("celery") == 0
    scheduler.close()


def test_missed_moments_are_sent_once(beat: StartBeat, redis_client: redis.Redis) -> None:
    """After fifty moments without a beat one message is sent, and a beat after kill -9 sends no other."""
    redis_client.hset(HANDLED, "check", redis_client.time()[0] - 50.5 * 3600)
    first = beat(**HOURLY)
    first.wait_for_log(SENT)
    first.kill(signal.SIGKILL)
    other = {
        "WORKER__SCHEDULES__ZZ__TASK": "tasks.maintenance.purge",
        "WORKER__SCHEDULES__ZZ__EVERY_SECONDS": "1",
    }
    beat(**HOURLY, **other).wait_for_log("Schedule zz: sent")  # so it has looked at all of them
    sent = [b"tasks.health_check" in each for each in redis_client.lrange("celery", 0, -1)]
    assert sent.count(True) == 1


def test_a_schedule_that_cannot_be_sent_stops_no_other(beat: StartBeat) -> None:
    """Its task does not take the arguments: that is said once, and the schedules behind it go on."""
    bad = {"TASK": "tasks.health_check", "EVERY_SECONDS": "1", "ARGUMENTS": '{nobody = "knows"}'}
    settings = {f"WORKER__SCHEDULES__BAD__{key}": value for key, value in bad.items()}
    good = {key.replace("CHECK", "GOOD"): value for key, value in EACH_SECOND.items()}
    running = beat(**settings, **good)
    wait_until(lambda: running.log().count("Schedule good: sent tasks.health_check") >= 3, "three moments")
    assert running.log().count("Schedule bad cannot be sent; it is tried again: ") == 1
    assert "unexpected keyword argument 'nobody'" in running.log()
    assert "wait for Redis" not in running.log()


def test_redis_away(beat: StartBeat, tmp_path: Path) -> None:
    """A beat that starts before Redis waits for it; one whose Redis dies goes on with what it has missed."""
    server = RedisProcess(tmp_path / "redis", durable=True)
    server.ready()
    server.crash()
    try:
        running = beat(server.url, **EACH_SECOND)
        running.wait_for_log("Schedules wait for Redis")
        server.start()
        server.ready()
        running.wait_for_log(SENT)
        server.crash()
        wait_until(lambda: running.log().count("Schedules wait for Redis") == 2, "it to notice")
        server.start()
        server.ready()
        with server.client() as client:
            before = client.llen("celery")
            wait_until(lambda: client.llen("celery") > before, "the next moment")
        wait_until(lambda: running.log().count("Redis is back") == 2, "it to say so")
    finally:
        server.stop()


def test_purge_drops_dead_letters_past_their_lifetime(
    worker: StartWorker, client: Celery, redis_client: redis.Redis
) -> None:
    """They go without another letter having to arrive, which alone would drop them else."""
    redis_client.xadd("contentworker:dead-letters", {"letter": "{}"}, id="1000-0")
    worker("--queues=celery")
    assert client.send_task("tasks.maintenance.purge").get(timeout=60)["dead_letters"] == 1
    assert redis_client.xlen("contentworker:dead-letters") == 0


def test_a_worker_toml_from_before_still_works(beat: StartBeat) -> None:
    """Patterns of the default queue are not needed, and no task has to be among them."""
    older = beat(WORKER__QUEUES__CELERY__TASKS='["tasks.health_check", "tasks.pipeline.*"]', **HOURLY)
    older.wait_for_log("beat: Starting")
