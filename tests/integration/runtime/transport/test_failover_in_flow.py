"""A Sentinel failover while tasks are sent and run: it loses what docs/redis.md says, no more."""

import time
from pathlib import Path

import pytest
import redis

from contentworker.runtime.records.connections import SENTINEL_PASSWORD as SENTINEL_PASSWORD_VARIABLE
from tests.flow import Flow
from tests.integration.runtime.records.test_sentinel import ENVIRONMENT, address
from tests.servers import PASSWORD, Server, watched
from tests.support import (
    PATIENCE,
    PROBE_APP,
    StartWorker,
    client_of,
    unsettled,
    wait_until,
    waiting_messages,
)


def connect(server: Server) -> redis.Redis:
    """Its messages are bytes. For a server that stands still: redis-py itself gives up after five seconds."""
    return redis.Redis(port=server.port, password=PASSWORD, socket_timeout=2 * PATIENCE)


def replicated(master: Server, flow: Flow) -> tuple[set[str], set[str]]:
    """Tasks that are confirmed, and those that are over, once the replica has all of that."""
    with connect(master) as plain:
        confirmed, ran = {*flow.confirmed}, {*flow.runs()}
        over = ran - {message["headers"]["id"] for message in waiting_messages(plain)}
        with plain.pipeline(transaction=False) as pipe:
            pipe.set("replicated", 1)  # WAIT is about what its own connection wrote last
            pipe.execute_command("WAIT", 1, 1000 * PATIENCE)
            assert pipe.execute()[-1] == 1
    return confirmed, over


def test_the_master_is_killed(worker: StartWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both workers go on by themselves; lost or repeated is at most what the replica did not have."""
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
            confirmed, over = replicated(old, flow)
            old.crash()
            wait_until(lambda: group.master() is not old, "another master")
            changed_at = time.time()
            wait_until(lambda: flow.last_at > changed_at, "tasks to be sent again")
            before = len(flow.confirmed)
            wait_until(lambda: len(flow.confirmed) > before + 20, "tasks in flow")
            flow.stop()
            wait_until(lambda: list(flow.confirmed)[-1] in flow.runs(), "the last task")
        with connect(group.master()) as plain:
            wait_until(lambda: not unsettled(plain), "the rest to be run")
        assert not flow.missing & {*confirmed, *list(flow.confirmed)[before:]}
        twice = {task_id for task_id, count in flow.runs().items() if count > 1}
        assert not twice & over or any("Lease lost" in each.log() for each in serving)
        assert all(each.is_alive for each in serving)
