"""A Sentinel failover while tasks are sent and run: it loses what docs/redis.md says, no more."""

import time
from pathlib import Path

import pytest
import redis

from contentworker.runtime.records.connections import SENTINEL_PASSWORD as SENTINEL_PASSWORD_VARIABLE
from tests.flow import Flow
from tests.integration.runtime.records.test_sentinel import ENVIRONMENT, address
from tests.servers import PASSWORD, watched
from tests.support import PROBE_APP, StartWorker, client_of, executions, unsettled, wait_until

MOMENT_SECONDS = 1.0
"""How far the replica may be behind: some milliseconds, and more on a machine that is busy."""


def test_the_master_is_killed(worker: StartWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both workers go on by themselves; lost or repeated is at most what was written in the last moment."""
    monkeypatch.setenv(SENTINEL_PASSWORD_VARIABLE, ENVIRONMENT[SENTINEL_PASSWORD_VARIABLE])
    with watched(tmp_path / "servers") as group:
        url = address(group)
        options = ("--queues=celery", "--loglevel=debug")  # "Lease lost" is in no other log of an outage
        serving = [
            worker(*options, f"--hostname={name}@test", redis_url=url, app=PROBE_APP, **ENVIRONMENT)
            for name in ("one", "two")
        ]
        with client_of(url, **ENVIRONMENT) as client:
            flow = Flow(client, tmp_path / "flow", seconds=0.05)
            wait_until(lambda: len(flow.runs()) > 20, "tasks in flow")
            old = group.master()
            killed_at = time.time()
            old.crash()
            wait_until(lambda: group.master() is not old, "another master")
            wait_until(lambda: flow.last_at > killed_at + MOMENT_SECONDS, "tasks to be sent again")
            before = len(flow.confirmed)
            wait_until(lambda: len(flow.confirmed) > before + 20, "tasks in flow")
            flow.stop()
            wait_until(lambda: list(flow.confirmed)[-1] in flow.runs(), "the last task")
        with redis.Redis(port=group.master().port, password=PASSWORD) as plain:
            wait_until(lambda: not unsettled(plain), "the rest to be run")
        lost = {task_id: flow.confirmed[task_id] - killed_at for task_id in flow.missing}
        assert all(abs(seconds) < MOMENT_SECONDS for seconds in lost.values()), lost
        runs = flow.runs()
        first = {each["id"]: each["time"] - killed_at for each in reversed(executions(flow.folder))}
        twice = {task_id: first[task_id] for task_id, count in runs.items() if count > 1}
        if not any("Lease lost" in each.log() for each in serving):
            assert all(abs(seconds) < MOMENT_SECONDS for seconds in twice.values()), twice
        assert all(each.is_alive for each in serving)
