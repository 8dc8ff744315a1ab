"""Addresses that people give, with real servers behind them; TLS and Sentinels have files of their own."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.servers import PASSWORD, server
from tests.support import PATIENCE, StartWorker, run_cli


def test_unix_socket(worker: StartWorker, tmp_path: Path) -> None:
    """Worker and commands through a socket, into another database than the first."""
    socket = tmp_path / "s"
    with server(tmp_path / "redis", f"unixsocket {socket}", password=PASSWORD) as process:
        url = f"redis+socket://:{quote(PASSWORD, safe='')}@{quote(str(socket))}?virtual_host=3"
        serving = worker("--queues=celery", redis_url=url)
        done = run_cli("submit", "tasks.health_check", "--wait", str(PATIENCE), redis_url=url)
        assert json.loads(done.stdout)["status"] == "ok", done.stderr
        assert run_cli("redis", "set", "a-key", "a value", redis_url=url).stdout == "OK\n"
        with process.client(PASSWORD) as client:
            assert list(client.info("keyspace")) == ["db3"]
        assert PASSWORD not in serving.log()


def test_password_is_needed(tmp_path: Path) -> None:
    """Without it, Redis says so in words of its own."""
    with server(tmp_path / "redis", password=PASSWORD) as process:
        done = run_cli("redis", "ping", redis_url=f"redis://127.0.0.1:{process.port}")
    assert done.returncode == 3
    assert "authenticat" in done.stderr.lower()


@pytest.mark.parametrize("command", [["health"], ["redis", "ping"], ["doctor"]])
def test_password_that_is_not_encoded(tmp_path: Path, command: list[str]) -> None:
    """It does not choose the server: what stands before its # is no port of this machine."""
    with server(tmp_path / "redis") as process, process.client() as client:
        asked = client.info("stats")["total_connections_received"]
        done = run_cli(*command, redis_url=f"redis://:{process.port}#Zq9secret@127.0.0.1:1/0")
        assert client.info("stats")["total_connections_received"] == asked
    assert done.returncode == 1
    assert (
        "REDIS_URL: must not have a #; percent-encode the user and the password" in done.stdout + done.stderr
    )
    assert "Zq9secret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["submit", "tasks.health_check"], ["health"], ["redis", "ping"]])
def test_cluster_address_is_refused(command: list[str]) -> None:
    """In one line, before anything is sent."""
    done = run_cli(*command, redis_url="redis+cluster://:secret@127.0.0.1:1")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: REDIS_URL: must be redis://")
    assert line.endswith("; Redis Cluster is not supported")


def test_worker_refuses_an_address(worker: StartWorker) -> None:
    """With the same line, and nothing around it that one would have to search."""
    ended = worker("--queues=celery", redis_url="redis+cluster://:secret@127.0.0.1:1", ready=False)
    assert ended.wait() != 0
    assert "Configuration error\nREDIS_URL: must be redis://" in ended.log()
    assert "Traceback" not in ended.log()
    assert "secret" not in ended.log()
