"""`health`: ok, busy, down, or no Redis at all."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from contentworker import config
from contentworker.runtime.health.queues import QueueHealth
from tests.support import PATIENCE, PROBE_APP, StartWorker, executions, free_port, run_cli, wait_until

SERVED = {"evaluation", "celery"}
PATIENTLY = f"--timeout={PATIENCE}"


@pytest.fixture(scope="module", autouse=True)
def serving(module_worker: StartWorker) -> None:
    """`celery` and `evaluation` are served, `evaluation` by a worker of its own with two slots."""
    module_worker("--queues=celery", "--hostname=default@%h", app=PROBE_APP)
    module_worker("--queues=evaluation", "--hostname=evaluation@%h", app=PROBE_APP)


def test_ok(redis_url: str) -> None:
    """A served queue answers: exit code 0, a line with its latency."""
    done = run_cli("health", "--queue=celery", "--queue=evaluation", PATIENTLY, redis_url=redis_url)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = done.stdout.splitlines()
    assert first.split()[:2] == ["celery", "ok"]
    assert second.split()[:2] == ["evaluation", "ok"]
    assert " ms " in first
    assert first.endswith(" 0 waiting")


def test_json(redis_url: str) -> None:
    """--json has one object a queue with all that is known."""
    done = run_cli("health", "--queue=celery", "--json", PATIENTLY, redis_url=redis_url)
    (found,) = json.loads(done.stdout)
    assert set(found) == set(QueueHealth.model_fields)
    assert (found["queue"], found["status"], found["depth"]) == ("celery", "ok", 0)
    assert found["latency_seconds"] > 0
    assert found["oldest_message_seconds"] is None


def test_busy(redis_url: str, client: Celery, redis_client: redis.Redis, tmp_path: Path) -> None:
    """All slots taken: the probe waits, which is `busy` and exit code 1, not `down`."""
    folders = [tmp_path / str(number) for number in range(2)]
    for folder in folders:
        folder.mkdir()
        client.send_task("probe.base.hold", kwargs={"folder": str(folder)}, queue="evaluation")
    wait_until(lambda: all(executions(folder) for folder in folders), "both slots to be taken")

    def busy() -> dict[str, Any] | None:
        """None where a busy machine holds up the worker, which has a second to say that it is busy."""
        done = run_cli("health", "--queue=evaluation", "--timeout=0.3", "--json", redis_url=redis_url)
        (found,) = json.loads(done.stdout)
        return found if (done.returncode, found["status"]) == (1, "busy") else None

    found = wait_until(busy, "the queue to be busy")
    assert found["latency_seconds"] is None
    (node,) = found["workers"]
    assert node.startswith("evaluation@")
    for folder in folders:
        (folder / "release").touch()
    wait_until(lambda: not redis_client.llen("evaluation"), "the expired probe to be taken")
    assert run_cli("health", "--queue=evaluation", PATIENTLY, redis_url=redis_url).returncode == 0


def test_busy_without_an_answer(
    redis_url: str, client: Celery, redis_client: redis.Redis, module_worker: StartWorker, tmp_path: Path
) -> None:
    """A worker that says nothing, as a slow one, is busy while it renews its lease, and then down."""
    options = ("--queues=rewrite", "--concurrency=1", "--hostname=silent@%h")
    silent = module_worker(*options, "worker_enable_remote_control=false", app=PROBE_APP)
    client.send_task("probe.base.hold", kwargs={"folder": str(tmp_path)}, queue="rewrite")
    wait_until(lambda: executions(tmp_path), "the task to start")
    arguments = ("health", "--queue=rewrite", "--timeout=0.1", "--json")

    def found() -> dict[str, Any]:
        (only,) = json.loads(run_cli(*arguments, redis_url=redis_url).stdout)
        return dict(only)

    assert (found()["status"], found()["workers"]) == ("busy", [])
    silent.kill(signal.SIGKILL, group=True)
    wait_until(lambda: found()["status"] == "down", "the lease to be over")
    redis_client.delete("rewrite")


def test_down(redis_url: str, client: Celery, redis_client: redis.Redis) -> None:
    """Nobody serves the queue: exit code 4, with depth and age of what waits there."""
    client.send_task("tasks.rewrite.rewrite_article")
    expected = {name: "ok" if name in SERVED else "down" for name in config.load(environ={}).queues}

    def seen() -> dict[str, Any] | None:
        """None where a busy machine holds up an answer."""
        done = run_cli("health", "--timeout=5", "--json", redis_url=redis_url)
        assert done.returncode == 4
        found = {item["queue"]: item for item in json.loads(done.stdout)}
        return found if {name: item["status"] for name, item in found.items()} == expected else None

    found = wait_until(seen, "the answers of those that are served")
    assert found["rewrite"]["depth"] == 1
    assert found["rewrite"]["oldest_message_seconds"] >= 0
    assert found["rewrite"]["workers"] == []
    assert found["escalation"]["oldest_message_seconds"] is None
    redis_client.delete("rewrite")


def test_message_of_a_stranger_has_no_age(redis_url: str, redis_client: redis.Redis) -> None:
    """Junk at the front of a queue does no harm."""
    redis_client.lpush("escalation", b"junk")
    done = run_cli("health", "--queue=escalation", "--timeout=0.1", "--json", redis_url=redis_url)
    (found,) = json.loads(done.stdout)
    assert (found["depth"], found["oldest_message_seconds"]) == (1, None)
    redis_client.delete("escalation")


def test_probes_do_not_pile_up(redis_url: str, redis_client: redis.Redis) -> None:
    """A queue that nobody serves is asked twice, and nothing of it stays."""
    for _ in range(2):
        run_cli("health", "--queue=escalation", "--timeout=0.1", redis_url=redis_url)
    assert redis_client.llen("escalation") == 0


@pytest.mark.parametrize("arguments", [["health"], ["health", "--json"], ["health", "--queue=celery"]])
def test_no_redis(arguments: list[str]) -> None:
    """Exit code 3 and a plain line: what is wrong, what to do."""
    done = run_cli(*arguments, redis_url=f"redis://:secret@127.0.0.1:{free_port()}/0")
    assert done.returncode == 3
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: Redis at redis://")
    assert "secret" not in line
    assert "REDIS_URL" in line


def test_unknown_queue() -> None:
    """Wrong usage is exit code 2, and names what is allowed."""
    done = run_cli("health", "--queue=nope", redis_url="redis://127.0.0.1:1/0")
    assert done.returncode == 2
    assert "no queue 'nope'; allowed: evaluation, rewrite, escalation, celery" in done.stderr
