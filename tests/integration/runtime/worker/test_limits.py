"""Time limits and recycling of pool processes, on real workers."""

from collections import Counter
from pathlib import Path

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from celery import Celery

from tests.support import PATIENCE, PROBE_APP, StartWorker, executions, wait_until

pytestmark = pytest.mark.every_python

# Long enough for a busy machine to begin the task, which notes that.
SOFT = {"WORKER__LIMITS__SOFT_TIME_LIMIT_SECONDS": "4", "WORKER__LIMITS__HARD_TIME_LIMIT_SECONDS": "60"}
HARD = {"WORKER__LIMITS__SOFT_TIME_LIMIT_SECONDS": "4", "WORKER__LIMITS__HARD_TIME_LIMIT_SECONDS": "6"}


@pytest.mark.parametrize("kind", ["base", "critical"])
def test_soft_limit_fails_the_task_and_is_not_retried(
    worker: StartWorker, client: Celery, tmp_path: Path, kind: str
) -> None:
    """SoftTimeLimitExceeded is raised inside the task; it fails once, and its process goes on."""
    serving = worker("--queues=celery", "--concurrency=1", app=PROBE_APP, **SOFT)
    sent = client.send_task(f"probe.{kind}.hold", kwargs={"folder": str(tmp_path)})
    with pytest.raises(SoftTimeLimitExceeded):
        sent.get(timeout=PATIENCE)
    (run,) = executions(tmp_path)
    assert client.send_task("probe.pid").get(timeout=PATIENCE) == run["pid"]
    assert not (tmp_path / "finished").exists()
    assert serving.is_alive


def test_hard_limit_kills_the_process(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """A task that ignores the soft limit is killed, fails and is not run again; the worker goes on."""
    serving = worker("--queues=celery", "--concurrency=1", app=PROBE_APP, **HARD)
    sent = client.send_task("probe.ignore_soft_limit", kwargs={"folder": str(tmp_path)})
    with pytest.raises(TimeLimitExceeded):
        sent.get(timeout=PATIENCE)
    (run,) = executions(tmp_path)
    assert client.send_task("probe.pid").get(timeout=PATIENCE) != run["pid"]
    assert serving.is_alive
    assert len(executions(tmp_path)) == 1


def test_processes_are_recycled_exactly(worker: StartWorker, client: Celery) -> None:
    """With max_tasks_per_child = 5 a process runs five tasks and is replaced; nothing is lost."""
    # A queue of its own: a worker killed by an earlier test may leave a message that comes back to `celery`.
    worker("--queues=rewrite", "--concurrency=1", app=PROBE_APP, WORKER__LIMITS__MAX_TASKS_PER_CHILD="5")
    sent = [client.send_task("probe.pid", queue="rewrite") for _ in range(11)]
    pids = Counter(result.get(timeout=PATIENCE) for result in sent)
    assert list(pids.values()) == [5, 5, 1]


def test_limits_of_the_project_reach_the_worker(worker: StartWorker, client: Celery) -> None:
    """270 s, 300 s and 1000 tasks are what a running worker says of itself."""
    worker("--queues=celery", app=PROBE_APP)
    stats = wait_until(lambda: client.control.inspect(timeout=1, limit=1).stats(), "an answer")
    (pool,) = [answer["pool"] for answer in stats.values()]
    assert pool["timeouts"] == [270, 300]
    assert pool["max-tasks-per-child"] == 1000
