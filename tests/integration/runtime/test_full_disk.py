"""A full disk under Redis' file and under what workers and Flower keep: waited out, nothing is lost."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from contentworker.runtime.development import local_redis
from contentworker.runtime.health import liveness
from tests.flow import Flow
from tests.small_disk import SmallDisk, small_disk
from tests.support import (
    PATIENCE,
    PROBE_APP,
    ROOT,
    SOON,
    Process,
    StartWorker,
    client_of,
    environment,
    free_port,
    run_cli,
    wait_until,
)

ESCALATE = "tasks.escalation.escalate_to_human"
FULL = "the database of the escalations cannot be used: database or disk is full"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("full") / "disk") as found:
        yield found


class Server(Process):
    """A Redis with its data on a small disk."""

    def __init__(self, disk: SmallDisk, folder: Path, *options: str) -> None:
        executable = local_redis.find_executable(os.environ.get("PATH", ""))
        port = free_port()
        data = disk.folder / folder.name
        (disk.path / folder.name).mkdir()
        common = [f"--port {port}", "--bind 127.0.0.1", f"--dir {data}", "--appendonly yes", *options]
        self.url = f"redis://127.0.0.1:{port}/0"
        super().__init__(disk.command(executable, *" ".join(common).split()), folder, os.environ)

    def ready(self) -> "Server":
        self.wait_for_log("Ready to accept connections")
        return self


def test_under_the_append_only_file(disk: SmallDisk, worker: StartWorker, tmp_path: Path) -> None:
    """Senders get Redis' own words, workers wait; with room again all goes on, and nothing is lost."""
    server = Server(disk, tmp_path / "everysec", "--appendfsync everysec").ready()
    serving = worker("--queues=celery", redis_url=server.url, app=PROBE_APP)
    try:
        with client_of(server.url) as client:
            flow = Flow(client, tmp_path / "flow", seconds=0.05)
            wait_until(lambda: len(flow.runs()) > 10, "tasks in flow")
            with disk.full():
                serving.wait_for_log("The lease cannot be renewed: MISCONF Errors writing to the AOF file")
                serving.wait_for_log("Redis cannot be reached (MISCONF Errors writing to the AOF file")
                asked = run_cli("redis", "ping", redis_url=server.url)
                wait_until(lambda: flow.refused, "a sender to be refused")
            serving.wait_for_log("The lease is renewed again")
            before = len(flow.confirmed)
            wait_until(lambda: len(flow.confirmed) > before + 10, "tasks to be sent again")
            flow.stop()
            wait_until(lambda: not flow.missing, "every task that was confirmed")
        serving.wait_for_log("Redis answers again")
        assert "MISCONF" in asked.stderr + asked.stdout
        assert "No space left on device" in str(flow.refused[0])
        twice = [task_id for task_id, count in flow.runs().items() if count > 1]
        assert not twice or "the lease ended meanwhile" in serving.log()
        assert serving.is_alive
        assert "Traceback" not in serving.log()
    finally:
        server.stop()


def test_redis_that_ends_of_it(disk: SmallDisk, worker: StartWorker, tmp_path: Path) -> None:
    """With `appendfsync always` Redis ends, at each start until there is room; nothing confirmed is lost."""
    server = Server(disk, tmp_path / "always", "--appendfsync always").ready()
    serving = worker("--queues=celery", redis_url=server.url, app=PROBE_APP)
    try:
        with client_of(server.url) as client:
            flow = Flow(client, tmp_path / "flow", seconds=0.05)
            wait_until(lambda: len(flow.runs()) > 10, "tasks in flow")
            with disk.full():
                server.wait()
                assert "Can't recover from AOF write error" in server.log()
                server.start()
                server.wait()
            server.start()
            server.ready()
            before = len(flow.confirmed)
            wait_until(lambda: len(flow.confirmed) > before + 10, "tasks to be sent again")
            flow.stop()
            wait_until(lambda: not flow.missing, "every task that was confirmed")
        assert serving.is_alive
    finally:
        server.stop()


# >>> editorial
def test_under_the_records_of_escalations(
    disk: SmallDisk, worker: StartWorker, client: Celery, redis_url: str
) -> None:
    """A command says it in a line; a task is tried again until there is room."""
    retries = {
        **SOON,
        "WORKER__RETRIES__INITIAL_DELAY_SECONDS": "3",
        "WORKER__RETRIES__MAX_DELAY_SECONDS": "9",
    }
    env = {**retries, "STATE_DIRECTORY": str(disk.folder)}
    serving = worker("--queues=escalation", prefix=disk.command(cwd=ROOT), **env)
    asked = {"article_id": "first", "reason": "failed"}
    first = client.send_task(ESCALATE, kwargs=asked).get(timeout=PATIENCE)
    with disk.full():
        command = (sys.executable, "-m", "contentworker", "escalations", "settle", first["id"])
        settled = subprocess.run(
            disk.command(*command, "--decision=accept", "--by=ana", cwd=ROOT),
            env=environment(REDIS_URL=redis_url, **env),
            capture_output=True,
            text=True,
            check=False,
        )
        sent = client.send_task(ESCALATE, kwargs={**asked, "article_id": "second", "content": "x" * 100_000})
        wait_until(lambda: f"{sent.id}] retry: Retry" in serving.log(), "a retry")
    assert settled.stderr == f"Error: {FULL}\n"
    assert FULL in serving.log()
    assert sent.get(timeout=PATIENCE)["created"]


# <<< editorial
def test_a_worker_that_starts_on_a_full_disk(disk: SmallDisk, worker: StartWorker, client: Celery) -> None:
    """It serves, says once which file it cannot write, and writes it as soon as it can."""
    file = disk.folder / "none" / "alive"
    env = {
        "STATE_DIRECTORY": str(file.parent),
        "WORKER_ALIVE_FILE": str(file),
        "WORKER_WATCHDOG_SECONDS": "15",
    }
    with disk.full():
        serving = worker("--queues=celery", prefix=disk.command(cwd=ROOT), **env)
        assert client.send_task("tasks.health_check").get(timeout=PATIENCE)["status"] == "ok"
    wait_until(lambda: liveness.read(disk.path / "none" / "alive").is_ready, "a sign of life")
    assert serving.log().count(f"cannot write {file} (No space left on device)") == 1


def test_under_the_state_of_flower(disk: SmallDisk, redis_url: str, tmp_path: Path) -> None:
    """Flower goes on, and says in a line that it cannot save; what it saved before stays."""
    command = (sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", "flower")
    # Not more often: shelve saves again in a `__del__`, where Python drops what a signal raises.
    options = ("--state-save-interval=1000", f"--port={free_port()}")
    env = environment(REDIS_URL=redis_url, STATE_DIRECTORY=str(disk.folder / "flower"))
    flower = Process(disk.command(*command, *options, cwd=ROOT), tmp_path / "flower", env)

    def saved() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in (disk.path / "flower").glob("flower-state.d*")}

    try:
        wait_until(lambda: any(saved().values()), "its state to be saved")
        with disk.full():
            flower.wait_for_log("cannot save its state")
            before = saved()
            flower.kill()
            assert flower.wait() == 0
            assert saved() == before
        assert "Traceback" not in flower.log()
    finally:
        flower.stop()
