"""`broker.wait_for_replicas`: what a replica does not have yet is neither confirmed nor begun."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from contentworker.runtime.records.connections import check_server
from contentworker.runtime.settings import BrokerSettings
from contentworker.runtime.transport import replication
from contentworker.runtime.transport.replication import NotReplicatedError
from tests.servers import Server, server
from tests.support import (
    PATIENCE,
    PROBE_APP,
    StartWorker,
    client_of,
    executions,
    run_cli,
    unsettled,
    wait_until,
    waiting_messages,
)

SETTING = {"WORKER__BROKER__WAIT_FOR_REPLICAS": "1"}


class Pair:
    """A master and its replica."""

    def __init__(self, master: Server, replica: Server) -> None:
        self.master, self.replica = master, replica
        self.url = f"redis://127.0.0.1:{master.port}/0"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        master = stack.enter_context(
            server(tmp_path / "master", "appendonly yes", "repl-diskless-sync-delay 0")
        )
        lines = ("appendonly yes", f"replicaof 127.0.0.1 {master.port}")
        replica = stack.enter_context(server(tmp_path / "replica", *lines))
        client = stack.enter_context(master.client())
        wait_until(lambda: client.wait(1, 100) == 1, "the replica to have all")
        yield Pair(master, replica)
        replica.kill(signal.SIGCONT)


def test_a_send_is_confirmed_once_the_replica_has_it(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Now, or when it is due; if the replica stands still the sender is told, and Redis has the task."""
    with (
        client_of(pair.url, **SETTING) as client,
        redis.Redis(port=pair.master.port, socket_timeout=PATIENCE) as plain,
    ):
        with monkeypatch.context() as patience:  # a busy machine may hold up the replica for a second
            patience.setattr(replication, "SECONDS", float(PATIENCE))
            for countdown in (None, 60):
                client.send_task("tasks.health_check", countdown=countdown)
        with redis.Redis(port=pair.replica.port, socket_timeout=PATIENCE) as copy:
            assert copy.llen("celery") == 1
            assert len(waiting_messages(copy)) == 1
        pair.replica.kill(signal.SIGSTOP)
        with pytest.raises(NotReplicatedError, match="0 of 1 replicas had it after 1 s"):
            client.send_task("tasks.health_check")
        assert plain.llen("celery") == 2
        done = run_cli("submit", "tasks.health_check", redis_url=pair.url, **SETTING)
        assert (done.returncode, "broker.wait_for_replicas" in done.stderr) == (3, True)
        assert len(done.stderr.splitlines()) == 1


def test_a_duplicate_is_confirmed_too(pair: Pair) -> None:
    """An old master may have the lock of a task that has ended on the new one: the sender gets an error."""
    with client_of(pair.url, **SETTING) as client:
        first, second = (client.send_task("tasks.health_check", unique={"key": []}) for _ in range(2))
        assert second.id == first.id
        pair.replica.kill(signal.SIGSTOP)
        with pytest.raises(NotReplicatedError):
            client.send_task("tasks.health_check", unique={"key": []})


def test_a_critical_task_starts_once_the_replica_has_its_claim(
    pair: Pair, worker: StartWorker, tmp_path: Path
) -> None:
    """Others do not wait. It goes back to its queue without a claim meanwhile, and runs once in the end."""
    serving = worker("--queues=celery", "--loglevel=debug", redis_url=pair.url, app=PROBE_APP, **SETTING)
    pair.replica.kill(signal.SIGSTOP)
    with client_of(pair.url) as client, redis.Redis(port=pair.master.port, socket_timeout=PATIENCE) as plain:
        other, critical = tmp_path / "other", tmp_path / "critical"
        for folder, kind in ((critical, "critical"), (other, "base")):
            folder.mkdir()
            (folder / "release").touch()
            client.send_task(f"probe.{kind}.hold", kwargs={"folder": str(folder)})
        serving.wait_for_log("not claimed, so not run")
        wait_until(lambda: executions(other), "the other task to run")
        assert not executions(critical)
        pair.replica.kill(signal.SIGCONT)
        wait_until(lambda: executions(critical), "the task to run")
        wait_until(lambda: not unsettled(plain), "it to be over")
        assert len(executions(critical)) == 1
        assert not plain.exists("contentworker:dead-letters")


def test_too_few_replicas_are_said(pair: Pair) -> None:
    """At a worker's start, by `doctor` and before an installation, as these check the server."""
    wanted = BrokerSettings(wait_for_replicas=2)
    with redis.Redis(port=pair.master.port, socket_timeout=PATIENCE) as client:
        (warning,) = check_server(client, ("celery",), wanted)
        assert check_server(client, ("celery",), BrokerSettings(wait_for_replicas=1)) == []
    assert warning.startswith("1 of 2 replicas are connected (broker.wait_for_replicas)")
