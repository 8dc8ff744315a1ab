"""`health-server`, asked as a load balancer asks it."""

import http.client
import json
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from contentworker import config
from contentworker.runtime.answering import MOST_CONNECTIONS
from tests.support import (
    RedisProcess,
    Server,
    StartWorker,
    run_cli,
    wait_until,
)

QUEUES = tuple(config.load(environ={}).queues)
PROBES = MOST_CONNECTIONS - 4


class HealthServer(Server):
    """The command, on a free port."""

    def __init__(self, redis_url: str, folder: Path, *options: str, **env: str) -> None:
        super().__init__("health-server", redis_url, folder, *options, **env)

    def ask(self, path: str, method: str = "GET") -> tuple[int, Any]:
        """Status, and what the JSON says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if body else None
        finally:
            connection.close()


@pytest.fixture
def health(server: RedisProcess, tmp_path: Path) -> Iterator[HealthServer]:
    """A health server, which has printed no traceback in the end."""
    process = HealthServer(server.url, tmp_path / "health", "--alive-folder", str(tmp_path))
    yield process
    process.stop()
    assert "Traceback" not in process.log(), process.log()


def test_all_is_well_until_it_is_not(
    worker: StartWorker, server: RedisProcess, health: HealthServer, tmp_path: Path
) -> None:
    """With a worker of every queue all pages say 200; without Redis only /live does; and it recovers."""
    files = [tmp_path / name / "alive" for name in QUEUES]
    for file in files:
        file.parent.mkdir()
    serving = worker(f"--queues={','.join(QUEUES)}", redis_url=server.url, WORKER_ALIVE_FILE=str(files[0]))
    for file in files[1:]:  # one worker for all, which has one file
        file.symlink_to(files[0])
    wait_until(lambda: health.ask("/ready")[0] == 200, "the worker to say that it is ready")
    for page in ("/live", "/ready", "/ready?from=balancer"):
        status, said = health.ask(page)
        assert (status, said["ok"], [*said["queues"]]) == (200, True, [*QUEUES])
        assert said["queues"]["rewrite"].startswith("ready, ")
    wait_until(lambda: health.ask("/health")[0] == 200, "the answer of every queue")
    status, said = health.ask("/health")
    assert (status, said["ok"]) == (200, True)
    assert [(item["queue"], item["status"]) for item in said["queues"]] == [(name, "ok") for name in QUEUES]

    server.crash()
    reason = wait_until(lambda: health.ask("/health")[1].get("reason"), "the last answer to be too old")
    assert reason.startswith(f"Redis at redis://127.0.0.1:{server.port}/0 cannot be used: ")
    wait_until(
        lambda: health.ask("/ready")[1]["queues"]["rewrite"].startswith("waiting for Redis, "),
        "the worker to notice",
    )
    assert health.ask("/ready")[0] == 503
    assert health.ask("/live")[0] == 200

    server.start()
    wait_until(lambda: health.ask("/health")[0] == 200, "the queues to be served again")
    wait_until(lambda: health.ask("/ready")[0] == 200, "the worker to say so")

    server.kill(signal.SIGSTOP)
    wait_until(lambda: health.ask("/health")[0] == 503, "the last answer to be too old")
    server.kill(signal.SIGCONT)
    wait_until(lambda: health.ask("/health")[0] == 200, "the queues to be served again")
    serving.kill(signal.SIGKILL, group=True)


def test_a_stand_in_counts_while_its_worker_is_restarted(health: HealthServer, tmp_path: Path) -> None:
    """An upgrade is no reason for a load balancer to leave: the queue is served meanwhile."""
    for name in QUEUES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "alive").write_text("ready")
    first = tmp_path / QUEUES[0] / "alive"
    first.write_text("stopping, silent for up to 3600 s")
    assert health.ask("/ready")[0] == 503
    stand_in = tmp_path / f"{QUEUES[0]}-next" / "alive"
    stand_in.parent.mkdir()
    stand_in.write_text("ready")
    first.unlink()
    for page in ("/live", "/ready"):
        status, said = health.ask(page)
        assert (status, [*said["queues"]]) == (200, [*QUEUES])
    stand_in.write_text("waiting for Redis")
    assert [health.ask(page)[0] for page in ("/live", "/ready")] == [200, 503]


def test_nobody_serves(health: HealthServer) -> None:
    """No worker at all: 503 everywhere, each queue with its reason."""
    status, said = health.ask("/live")
    assert (status, said["ok"]) == (503, False)
    assert all(text.startswith("no sign of life: there is no file ") for text in said["queues"].values())
    assert health.ask("/ready")[0] == 503
    status, said = health.ask("/health")
    assert (status, {item["status"] for item in said["queues"]}) == (503, {"down"})


def test_redis_was_restarted_between_two_checks(health: HealthServer, server: RedisProcess) -> None:
    """The first check after it connects again, and does not say that Redis cannot be used."""
    wait_until(lambda: "queues" in health.ask("/health")[1], "the first check")
    server.crash()
    server.start()
    server.ready()
    with server.client() as client:
        client.lpush("escalation", "junk")

    def depth() -> int:
        queues = health.ask("/health")[1].get("queues", ())
        return sum(each["depth"] for each in queues)

    wait_until(lambda: depth() >= 1, "a check after the restart")
    assert "The health check failed" not in health.log()


def test_a_flood_of_probes_is_one_check(health: HealthServer, server: RedisProcess) -> None:
    """Many who ask at once are all answered by one task a queue."""
    # All at once, during the seconds of one check.
    with server.client() as client, ThreadPoolExecutor(PROBES) as many:
        client.config_resetstat()
        answers = [*many.map(lambda _: health.ask("/health")[0], range(PROBES))]
        assert answers == [503] * PROBES
        pushed = client.info("commandstats")["cmdstat_lpush"]["calls"]
    assert pushed == len(QUEUES)


def test_other_requests(health: HealthServer) -> None:
    """Any other page is 404 and says which there are; HEAD has no body; a POST is refused."""
    assert health.ask("/")[0] == 404
    assert "/live, /ready, /health" in health.ask("/healthz")[1]["reason"]
    assert health.ask("/live", "HEAD") == (503, None)
    connection = http.client.HTTPConnection("127.0.0.1", health.port, timeout=30)
    connection.request("POST", "/live")
    assert connection.getresponse().status == 501
    connection.close()


def test_others_are_not_told_why(server: RedisProcess, tmp_path: Path) -> None:
    """On an address that others can reach, every page says only whether all is well."""
    folder = ("--alive-folder", str(tmp_path))
    health = HealthServer(server.url, tmp_path / "health", "--address=0.0.0.0", *folder)
    try:
        assert [health.ask(page) for page in ("/live", "/ready", "/health")] == [(503, {"ok": False})] * 3
    finally:
        health.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_idle_connections_cost_no_thread_each(health: HealthServer) -> None:
    """Two hundred that say nothing: who asks is answered, and by no more threads than the server allows."""
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", health.port), timeout=30))
        assert health.ask("/live")[0] == 503
        threads = len(list(Path(f"/proc/{health.pid}/task").iterdir()))
        assert threads <= MOST_CONNECTIONS + 10


def test_port_taken(health: HealthServer, server: RedisProcess) -> None:
    """One line that says so, and what to do."""
    done = run_cli("health-server", f"--port={health.port}", redis_url=server.url)
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: 127.0.0.1, port {health.port}: Address already in use; "
        "choose another with --address and --port\n"
    )


def test_no_such_address(server: RedisProcess) -> None:
    """Neither is an address that this machine has not got a traceback; a setting can name it, too."""
    done = run_cli("health-server", redis_url=server.url, WORKER__HEALTH__ADDRESS="192.0.2.1")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: 192.0.2.1, port 5556: Cannot assign requested address")


def test_settings() -> None:
    """By default only this machine can ask."""
    settings = config.load(environ={}).health
    assert (settings.address, settings.port) == ("127.0.0.1", 5556)
