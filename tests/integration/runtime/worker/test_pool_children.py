"""Pool processes of a real worker."""

import os
import signal
from pathlib import Path

import pytest
from celery import Celery

from contentworker.testing.leftovers import is_running
from tests.support import PATIENCE, PROBE_APP, StartWorker, wait_until

pytestmark = pytest.mark.every_python


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_they_end_with_their_worker(worker: StartWorker, client: Celery) -> None:
    """Otherwise one would go on with a task that another worker runs again."""
    serving = worker("--queues=celery", "--concurrency=1", app=PROBE_APP)
    pid, frozen = client.send_task("probe.frozen").get(timeout=PATIENCE)
    assert is_running(pid)
    assert frozen > 10_000, "what the worker loaded is not collected again in each process"
    serving.kill(signal.SIGKILL)
    serving.wait()
    wait_until(lambda: not is_running(pid), "its pool process to end")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_all_of_them_end_at_once(worker: StartWorker, client: Celery) -> None:
    """As when the lease is lost: the worker replaces them and goes on."""
    serving = worker("--queues=celery", "--concurrency=3", app=PROBE_APP)
    # A worker that loses them all before its loop has begun ends: Celery then takes them for unable to start.
    client.send_task("tasks.health_check").get(timeout=PATIENCE)
    for _ in range(3):
        before = children_of(serving.pid)
        assert len(before) == 3
        serving.kill(signal.SIGSTOP)  # it sees the ends in one turn of its event loop
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_running, before)), "the pool processes to end")  # noqa: B023 (now)
        serving.kill(signal.SIGCONT)
        wait_until(lambda: len(children_of(serving.pid) - before) == 3, "as many new ones")  # noqa: B023
        assert client.send_task("tasks.health_check").get(timeout=PATIENCE)["status"] == "ok"


def children_of(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
