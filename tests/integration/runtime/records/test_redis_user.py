"""docs/redis.md's user with few rights can do all that is needed, and asks for nothing that it may not."""

import json
import os
import re
import shutil
import signal
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, chord

from contentworker.runtime.development import local_redis
from contentworker.runtime.transport.keys import DELAYED
from tests.servers import Server
from tests.servers import server as running_server
from tests.support import (
    PATIENCE,
    PROBE_APP,
    ROOT,
    Process,
    StartWorker,
    client_of,
    environment,
    executions,
    free_port,
    run_cli,
    service_is_missing,
    wait_until,
)

USER, PASSWORD = "content-worker", "few-rights"
ADMIN = "all-rights"
SOON = {
    "WORKER__RETRIES__INITIAL_DELAY_SECONDS": "0.1",
    "WORKER__RETRIES__MAX_DELAY_SECONDS": "0.2",
    "WORKER__RETRIES__JITTER_SECONDS": "0.1",
}


SERVERS = ("newest", "older")


def executable_of(name: str) -> str | None:
    """The server of the lock, and an older one of the machine; OLD_REDIS_SERVER may name it."""
    if name == "newest":
        return local_redis.find_executable("")
    environ = os.environ
    return environ.get("OLD_REDIS_SERVER") or environ.get("TLS_REDIS_SERVER") or shutil.which("redis-server")


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the user of the page, and one with all rights, to look at what was refused."""
    if not (executable := executable_of(request.param)):
        service_is_missing("a redis-server on PATH, or named by OLD_REDIS_SERVER")
    folder = tmp_path_factory.mktemp("acl") / "redis"
    lines = [
        "appendonly yes",
        f'masterauth "{ADMIN}"',
        "lua-time-limit 20",
        rule().replace("PASSWORD", PASSWORD),
    ]
    with running_server(folder, *lines, password=ADMIN, executable=executable) as process:
        yield process


@pytest.fixture
def admin(server: Server) -> Iterator[redis.Redis]:
    """The administrator."""
    with server.client(ADMIN) as client:
        yield client


def rule() -> str:
    """The user's line of the page."""
    (line,) = re.findall(rf"^user {USER} .*$", (ROOT / "docs" / "redis.md").read_text("utf-8"), re.MULTILINE)
    return line


@pytest.fixture(scope="module")
def redis_url(server: Server) -> str:
    """As that user."""
    return f"redis://{USER}:{PASSWORD}@127.0.0.1:{server.port}/0"


@pytest.fixture
def client(redis_url: str) -> Iterator[Celery]:
    """An application that sends as that user."""
    with client_of(redis_url) as app:
        yield app


def test_scripts() -> None:
    """Every command of our scripts is among the user's, also of those that nothing below runs."""
    sources = [path.read_text("utf-8") for path in (ROOT / "contentworker").rglob("*.lua")]
    called = {name.lower() for text in sources for name in re.findall(r"redis\.call\('(\w+)'", text)}
    assert {"zadd", "hset"} <= called
    assert called <= set(re.findall(r"\+(\S+)", rule()))


@pytest.mark.parametrize(
    ("server", "transport"),
    [("newest", "leased"), ("newest", "plain"), ("older", "leased")],
    indirect=["server"],
    scope="module",  # else a server is started for this alone
)
def test_tasks(worker: StartWorker, client: Celery, tmp_path: Path, transport: str) -> None:
    """One that succeeds, retries that end as a dead letter, one of few runs, one that is due later."""
    kind = {"WORKER__BROKER__TRANSPORT": transport}
    serving = worker("--queues=celery", app=PROBE_APP, **SOON, **kind)
    folders = {name: tmp_path / name for name in ("fails", "once", "late", "held")}
    for folder in folders.values():
        folder.mkdir()

    def send(task: str, name: str, **options: object) -> Any:
        return client.send_task(task, kwargs={"folder": str(folders[name])}, **options)

    send("probe.base.fail", "fails")
    (folders["once"] / "release").touch()
    (folders["late"] / "release").touch()
    assert send("probe.critical.hold", "once").get(timeout=PATIENCE) == "released"
    late = send("probe.base.hold", "late", eta=datetime.now(UTC) + timedelta(seconds=1))
    assert late.get(timeout=PATIENCE) == "released"
    check = client.signature("tasks.health_check", immutable=True)
    assert chord([check, check])(check).get(timeout=PATIENCE)["status"] == "ok"
    wait_until(lambda: len(executions(folders["fails"])) == 4, "all retries")
    wait_until(
        lambda: "probe.base.fail" in run_cli("dead-letters", "list", redis_url=client.conf.broker_url).stdout,
        "the dead letter",
    )
    if transport == "leased":
        result = send("probe.base.hold", "held")
        wait_until(lambda: executions(folders["held"]), "its start")
        serving.kill(signal.SIGKILL, group=True)
        worker("--queues=celery", app=PROBE_APP, **kind)
        (folders["held"] / "release").touch()
        assert result.get(timeout=PATIENCE) == "released"


def test_commands(worker: StartWorker, redis_url: str) -> None:
    """Those of this project, and celery's."""
    worker("--queues=celery,evaluation")

    def says(*command: str) -> str:
        done = run_cli(*command, redis_url=redis_url)
        assert "NOPERM" not in done.stdout + done.stderr
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert json.loads(says("submit", "tasks.health_check", "--wait", str(PATIENCE)))["status"] == "ok"
    assert says("health", "--queue", "celery", "--timeout", str(PATIENCE)).split()[1] == "ok"
    assert run_cli("health", "--queue", "rewrite", "--timeout", "1", redis_url=redis_url).returncode == 4
    assert "\ncontentworker_up 1.0\n" in says("metrics", "--once")
    assert says("redis", "llen", "celery") == "0\n"
    assert says("redis", "zcard", DELAYED) == "0\n"
    letters = [line.split()[0] for line in says("dead-letters", "list").splitlines() if "probe." in line]
    assert letters
    assert "probe." in says("top", "--once")
    says("dead-letters", "show", letters[0])
    says("dead-letters", "replay", letters[0])
    wait_until(lambda: "unknown task" in says("dead-letters", "list"), "it to come back")
    says("dead-letters", "discard", "--all", "--yes")
    says("hand-back")


@pytest.mark.parametrize("server", ["newest"], indirect=True)
@pytest.mark.parametrize(
    "arguments",
    [["inspect", "active_queues"], ["inspect", "stats"], ["call", "tasks.health_check"], ["purge", "-f"]],
    ids=" ".join,
)
def test_celery(worker: StartWorker, redis_url: str, tmp_path: Path, arguments: list[str]) -> None:
    """Every documented command."""
    worker("--queues=celery")
    process = Process(
        [sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", *arguments],
        tmp_path / "celery",
        environment(REDIS_URL=redis_url),
    )
    # 69 if a busy machine held up the answer: Celery waits for a second.
    wait_until(lambda: process.wait() != 69 or process.start(), "an answer in time")
    assert process.wait() == 0, process.log()
    process.stop()


@pytest.mark.parametrize("server", ["newest"], indirect=True)
def test_flower(worker: StartWorker, redis_url: str, tmp_path: Path) -> None:
    """Its page of queues asks Redis how long they are."""
    port = free_port()
    worker("--queues=celery", "-E")
    flower = Process(
        [sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", "flower"],
        tmp_path / "flower",
        environment(
            REDIS_URL=redis_url,
            WORKER__FLOWER__PORT=str(port),
            FLOWER_UNAUTHENTICATED_API="1",
            STATE_DIRECTORY=str(tmp_path / "state"),
        ),
    )
    try:
        flower.wait_for_log("Connected to redis://")

        def lengths() -> Any:
            address = f"http://127.0.0.1:{port}/api/queues/length"
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
                return json.load(answer)["active_queues"]

        wait_until(lambda: {"name": "celery", "messages": 0} in lengths(), "Flower to know the queue")
    finally:
        flower.stop()


@pytest.mark.parametrize("server", ["newest"], indirect=True)
def test_beat(worker: StartWorker, redis_url: str, tmp_path: Path) -> None:
    """A schedule is sent, and the purge that it asks for is done."""
    running = worker("--queues=celery")
    soon = {"WORKER__SCHEDULES__PURGE__CRONTAB": "", "WORKER__SCHEDULES__PURGE__EVERY_SECONDS": "1"}
    beat = Process(
        [sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", "beat"],
        tmp_path / "beat",
        environment(REDIS_URL=redis_url, **soon),
    )
    try:
        wait_until(
            lambda: re.search(r"tasks\.maintenance\.purge\[\S+\] succeeded", running.log()), "the purge"
        )
    finally:
        beat.stop()


def test_nothing_was_refused(admin: redis.Redis) -> None:
    """Of all that was done above, but for redis-py's own name: 6.2 says `client`, 7.0 does not know it."""
    refused = {(entry["reason"], entry["object"]) for entry in admin.acl_log()}
    assert refused <= {("command", "client|setinfo"), ("command", "client")}


def test_nothing_else(redis_url: str) -> None:
    """What would empty the server is refused, and said."""
    done = run_cli("redis", "flushall", redis_url=redis_url)
    assert done.returncode == 1
    assert "has no permissions to run the 'flushall' command" in done.stderr.lower()


REFUSED = "(?i)no permissions|can't run this command|not allowed|unknown (redis )?command"
"""What servers of each age say."""

ADMINISTRATION = [
    ["config", "get", "requirepass"],
    ["config", "get", "masterauth"],
    ["config", "get", "*"],
    ["config", "set", "requirepass", "mine"],
    ["config", "rewrite"],
    ["acl", "list"],
    ["acl", "getuser", "default"],
    ["acl", "getuser", USER],
    ["acl", "setuser", USER, "+@all"],
    ["acl", "log"],
    ["acl", "save"],
    ["client", "list"],
    ["client", "kill", "type", "normal"],
    ["client", "no-evict", "on"],
    ["command", "getkeysandflags", "get", "x"],
    ["debug", "object", "celery"],
    ["dump", "celery"],
    ["eval_ro", "return 1", "0"],
    ["failover"],
    ["flushall"],
    ["function", "dump"],
    ["keys", "*"],
    ["latency", "doctor"],
    ["memory", "doctor"],
    ["migrate", "127.0.0.1", "1", "celery", "0", "1", "copy", "auth", "x"],
    ["module", "load", "/tmp/x.so"],
    ["monitor"],
    ["psync", "?", "-1"],
    ["replicaof", "127.0.0.1", "1"],
    ["restore", "x", "0", "y"],
    ["save"],
    ["script", "flush"],
    ["script", "kill"],
    ["shutdown", "nosave"],
    ["slowlog", "get"],
    ["sync"],
]
"""What reads a password, or leads to one: settings, users, files, a copy elsewhere, other clients."""


@pytest.mark.parametrize("command", ADMINISTRATION, ids=" ".join)
def test_reads_no_password(server: Server, redis_url: str, command: list[str]) -> None:
    """Neither asked for nor by a script."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.response_callbacks.clear()
        with pytest.raises(redis.ResponseError, match=REFUSED):
            client.execute_command(*command)
        quoted = ", ".join(f"'{word}'" for word in command)
        with pytest.raises(redis.ResponseError, match=REFUSED):
            client.eval(f"return redis.call({quoted})", 0)


def test_what_it_may_ask_holds_no_password(server: Server, redis_url: str) -> None:
    """All that the server says of itself to this user."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.response_callbacks.clear()
        asked = [["info", "everything"], ["hello", "3"], ["hello", "2"], ["time"]]
        said = repr([client.execute_command(*command) for command in asked])
        said += repr(client.eval("return redis.call('info', 'everything')", 0))
    assert "redis_version" in said
    assert ADMIN not in said
    assert PASSWORD not in said


def test_endless_script(admin: redis.Redis, redis_url: str) -> None:
    """It blocks the server, as the page says, until the administrator ends it; the user itself may not."""
    assert admin.ping()
    with (
        redis.Redis.from_url(redis_url) as client,
        redis.Redis.from_url(redis_url) as other,
        ThreadPoolExecutor() as threads,
    ):
        assert other.ping()
        endless = threads.submit(client.eval, "while true do end", 0)
        try:
            wait_until(lambda: "busy" in error_of(other.ping).lower(), "the server to be busy")
            assert re.search(REFUSED, error_of(other.script_kill))
        finally:
            admin.script_kill()
        assert "script" in error_of(endless.result).lower()
        assert other.ping()


def error_of(command: Callable[[], object]) -> str:
    """What a command raises; empty where it succeeds."""
    try:
        command()
    except redis.RedisError as error:
        return str(error)
    return ""
