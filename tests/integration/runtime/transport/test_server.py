"""Servers on which messages would not be safe: refused with a line, and not touched."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from contentworker.runtime.records.connections import check_server
from contentworker.runtime.transport.keys import DELAYED, LEASES, PREFIX
from contentworker.runtime.transport.server import UnsuitableServerError
from tests.servers import server
from tests.support import StartWorker

QUEUES = ("celery", "evaluation")
DURABLE = "appendonly yes"
SMALL = "maxmemory 64mb"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[redis.Redis]:
    """Of a server with nothing to complain about."""
    with server(tmp_path / "fit", DURABLE) as process, process.client() as connection:
        yield connection


def refusal(client: redis.Redis) -> str:
    with pytest.raises(UnsuitableServerError) as refused:
        check_server(client, QUEUES)
    return str(refused.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["cluster-enabled yes"], "this is a Redis Cluster"),
        ([SMALL, "maxmemory-policy allkeys-lru"], "drops messages (maxmemory-policy allkeys-lru)"),
        (
            [SMALL, "maxmemory-policy volatile-ttl"],
            "drops claims and results (maxmemory-policy volatile-ttl)",
        ),
    ],
)
def test_configurations_that_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    """As the server itself tells them."""
    with server(tmp_path / "unfit", DURABLE, *lines) as process, process.client() as client:
        assert message in refusal(client)


def test_full_server_that_evicts_nothing_is_fit(tmp_path: Path) -> None:
    """With any policy, as long as it has no limit; and with a limit, under noeviction."""
    for number, lines in enumerate((["maxmemory-policy allkeys-lru"], [SMALL])):
        with server(tmp_path / str(number), DURABLE, *lines) as process, process.client() as client:
            assert check_server(client, QUEUES) == []


def test_replica_is_refused(tmp_path: Path) -> None:
    """It would refuse every write, and show a queue that others empty."""
    with server(tmp_path / "master") as master:
        of = f"replicaof 127.0.0.1 {master.port}"
        with server(tmp_path / "replica", of) as replica, replica.client() as client:
            assert "this is a replica of 127.0.0.1" in refusal(client)


def test_no_append_only_file_is_warned_of(tmp_path: Path) -> None:
    """And no more than that."""
    with server(tmp_path / "forgetful") as process, process.client() as client:
        (warning,) = check_server(client, QUEUES)
        assert "append-only file is off" in warning


def test_user_who_may_ask_nothing(client: redis.Redis) -> None:
    """A managed server's restricted user is warned, and can go on."""
    client.acl_setuser(
        "worker",
        enabled=True,
        passwords=["+pw"],
        categories=["+@all"],
        keys=["*"],
        commands=["-info", "-type", "-config"],
    )
    options = client.get_connection_kwargs()
    with redis.Redis(options["host"], options["port"], username="worker", password="pw") as restricted:
        (warning,) = check_server(restricted, QUEUES)
    assert "does not tell redis_version" in warning


@pytest.mark.parametrize(
    ("key", "found", "expected"),
    [
        ("celery", "string", "list"),
        ("evaluation\x06\x163", "string", "list"),
        ("unacked", "string", "hash"),
        (LEASES, "string", "hash"),
        (DELAYED, "string", "zset"),
        ("contentworker:dead-letters", "string", "stream"),
        (PREFIX, "list", "string"),
    ],
)
def test_foreign_keys_are_refused_and_stay(client: redis.Redis, key: str, found: str, expected: str) -> None:
    """The line names key, type found and type expected; nothing is changed."""
    client.rpush(key, "theirs") if found == "list" else client.set(key, "theirs")
    changes = client.info("persistence")["rdb_changes_since_last_save"]
    message = refusal(client)
    assert f"the key {key!r} is a {found} and must be a {expected}" in message
    assert client.keys() == [key]
    assert client.info("persistence")["rdb_changes_since_last_save"] == changes


def test_other_version_is_refused(client: redis.Redis) -> None:
    """Both versions are named."""
    client.set(PREFIX, "2")
    message = refusal(client)
    assert PREFIX in message
    assert "version '2'" in message
    assert "version '1'" in message


@pytest.mark.parametrize(
    ("lines", "key", "message"),
    [
        (["cluster-enabled yes"], None, "this is a Redis Cluster"),
        ([SMALL, "maxmemory-policy allkeys-random"], None, "drops messages"),
        ([], "celery", "the key 'celery' is a string and must be a list"),
    ],
)
def test_worker_ends_with_the_reason(
    worker: StartWorker, tmp_path: Path, lines: list[str], key: str | None, message: str
) -> None:
    """In a line, with the exit code for a wrong configuration; and it has written nothing."""
    with server(tmp_path / "unfit", *lines) as process, process.client() as client:
        if key:
            client.set(key, "theirs")
        url = f"redis://127.0.0.1:{process.port}/0"
        ended = worker("--queues=celery", redis_url=url, ready=False)
        assert ended.wait() == os.EX_CONFIG
        assert "cannot be used: " in ended.log()
        assert message in ended.log()
        assert "Traceback" not in ended.log()
        assert client.keys() == ([key] if key else [])


def test_worker_warns_and_serves(worker: StartWorker, tmp_path: Path) -> None:
    """Without an append-only file it says so, and starts."""
    with server(tmp_path / "forgetful") as process:
        serving = worker("--queues=celery", redis_url=f"redis://127.0.0.1:{process.port}/0")
        assert "append-only file is off" in serving.log()
