"""Workers of 0.1.0 beside workers of this release, on one Redis, as in an upgrade that takes a while.

`tests/data/releases/0.1.0.tar.xz` has the modules that such a worker loads, of the commit e71fe78, and the
probe tasks of that day.
"""

import signal
import tarfile
from pathlib import Path
from typing import Any

import pytest
import redis

from contentworker.runtime.transport.keys import DELAYED, LEASES, RENEWED
from tests.support import (
    PROBE_APP,
    ROOT,
    StartWorker,
    Worker,
    client_of,
    executions,
    held_records,
    redis_seconds,
    run_cli,
    unsettled,
    wait_until,
    waiting_messages,
)

ARCHIVE = ROOT / "tests" / "data" / "releases" / "0.1.0.tar.xz"
LONGER_THAN_A_LEASE_SECONDS = 15
SETTINGS = """
[queues.celery]
description = "all tasks of the test"
tasks = ["tasks.*"]
"""
SOON = {"WORKER__RETRIES__INITIAL_DELAY_SECONDS": "3", "WORKER__RETRIES__JITTER_SECONDS": "0"}

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of 0.1.0."""
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    (folder / "worker.toml").write_text(SETTINGS, "utf-8")
    return folder


class Both:
    """Starts a worker of each release, with one process each."""

    def __init__(self, release: Path, worker: StartWorker) -> None:
        self._release, self._worker = release, worker

    def old(self) -> Worker:
        """One of 0.1.0."""
        path = f"{self._release}:{self._release}/tests/integration/probe"
        there = ("sh", "-c", 'cd "$0" && exec "$@"', str(self._release))  # celery looks there first
        return self._start("old", prefix=there, PYTHONPATH=path)

    def new(self) -> Worker:
        """One of this release."""
        return self._start("new")

    def start(self, which: str) -> Worker:
        """The one of these two."""
        started: Worker = getattr(self, which)()
        return started

    def _start(self, name: str, **more: object) -> Worker:
        options = ("--queues=celery", "--concurrency=1", f"--hostname={name}@test")
        return self._worker(*options, app=PROBE_APP, **SOON, **more)


@pytest.fixture
def both(release: Path, worker: StartWorker) -> Both:
    return Both(release, worker)


def send(redis_url: str, name: str, folder: Path, **more: object) -> None:
    folder.mkdir(exist_ok=True)
    with client_of(redis_url) as client:
        client.send_task(name, kwargs={"folder": str(folder), **more})


@pytest.mark.parametrize(("dies", "takes_over"), [("old", "new"), ("new", "old")])
def test_what_a_killed_worker_held_is_run_by_the_other(
    dies: str, takes_over: str, both: Both, redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Both read each other's records: the task that ran, and a retry that waits; each goes on once."""
    victim = both.start(dies)
    retried, held = tmp_path / "retried", tmp_path / "held"
    send(redis_url, "probe.base.fail_until", retried, times=1)
    # On a busy machine its time may be over before this looks.
    wait_until(lambda: redis_client.zcard(DELAYED) or len(executions(retried)) == 2, "the retry to wait")
    send(redis_url, "probe.base.hold", held)
    wait_until(lambda: executions(held), "the task to run")
    other = both.start(takes_over)
    victim.kill(signal.SIGKILL, group=True)
    wait_until(lambda: len(executions(held)) == 2, "the other one to run it")
    (held / "release").touch()
    wait_until(lambda: len(executions(retried)) == 2, "the retry to run")
    wait_until(lambda: not unsettled(redis_client), "both to be acknowledged")
    assert [len(executions(each)) for each in (held, retried)] == [2, 2]
    assert other.is_alive


def test_a_lease_is_honoured(both: Both, redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> None:
    """Tasks run longer than a lease on both, and neither takes what the other holds."""
    old, new = both.old(), both.new()
    for number in range(2):
        send(redis_url, "probe.base.hold", tmp_path / str(number))
    running = [tmp_path / "0", tmp_path / "1"]
    wait_until(lambda: all(map(executions, running)), "a task on each")
    began, before = redis_seconds(redis_client), renewals(redis_client)
    assert len(before) == 2
    wait_until(
        lambda: redis_seconds(redis_client) > began + LONGER_THAN_A_LEASE_SECONDS,
        "more time than a lease to pass",
    )
    assert all(count > before[name] for name, count in renewals(redis_client).items())
    assert len(held_records(redis_client)) == 2
    for folder in running:
        (folder / "release").touch()
    wait_until(lambda: not waiting_messages(redis_client), "both to be acknowledged")
    assert [len(executions(folder)) for folder in running] == [1, 1]
    for each in (old, new):
        assert not any(text in each.log() for text in ("Lease lost", "Overlap", "goes back"))


def renewals(client: redis.Redis) -> dict[bytes, int]:
    """How often each holder has renewed its lease."""
    leases: Any = client.hgetall(LEASES)
    return {name: int(count) for name, count in leases.items()}


def test_a_critical_task_that_an_old_worker_began_is_not_run_again(
    both: Both, redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """The new worker reads the old claim, and makes it a dead letter."""
    old = both.old()
    send(redis_url, "probe.critical.hold", tmp_path)
    wait_until(lambda: executions(tmp_path), "the task to run")
    both.new()
    old.kill(signal.SIGKILL, group=True)
    wait_until(lambda: redis_client.xlen("contentworker:dead-letters"), "a dead letter")
    assert len(executions(tmp_path)) == 1
    assert "interrupted" in run_cli("dead-letters", "list", redis_url=redis_url).stdout


def test_an_old_worker_that_stops_leaves_nothing_behind(both: Both, redis_client: redis.Redis) -> None:
    """As in an upgrade: its lease ends, also where only new workers look for it."""
    old = both.old()
    wait_until(lambda: redis_client.hlen(LEASES), "its lease")
    assert not redis_client.exists(RENEWED), "0.1.0 has no such key: this is no worker of this release"
    new = both.new()
    wait_until(lambda: redis_client.zcard(RENEWED) == 2, "the new worker to know both")
    old.kill()
    assert old.wait() == 0
    wait_until(lambda: redis_client.zcard(RENEWED) == redis_client.hlen(LEASES) == 1, "one lease to be left")
    assert new.is_alive
