"""docs/redis.md's user with few rights can do all that is needed, and asks for nothing that it may not."""

import json
import re
import signal
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery, chord

from contentworker.runtime.transport.protocol import DELAYED
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
    wait_until,
)

pytestmark = pytest.mark.once

USER, PASSWORD = "content-worker", "few-rights"
ADMIN = "all-rights"
SOON = {
    "WORKER__RETRIES__INITIAL_DELAY_SECONDS": "0.1",
    "WORKER__RETRIES__MAX_DELAY_SECONDS": "0.2",
    "WORKER__RETRIES__JITTER_SECONDS": "0.1",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis with the user of the page, and one with all rights, to look at what was refused."""
    page = (ROOT / "docs" / "redis.md").read_text("utf-8")
    (line,) = re.findall(rf"^user {USER} .*$", page, re.M)
    folder = tmp_path_factory.mktemp("acl") / "redis"
    with running_server(
        folder, "appendonly yes", line.replace("PASSWORD", PASSWORD), password=ADMIN
    ) as process:
        yield process
        with process.client(ADMIN) as admin:
            refused = {(entry["reason"], entry["object"]) for entry in admin.acl_log()}
        assert refused == {("command", "flushall")}  # by the last test


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
    (line,) = re.findall(rf"^user {USER} .*$", (ROOT / "docs" / "redis.md").read_text("utf-8"), re.M)
    sources = [path.read_text("utf-8") for path in (ROOT / "contentworker").rglob("*.py")]
    called = {name.lower() for text in sources for name in re.findall(r"redis\.call\('(\w+)'", text)}
    assert {"zadd", "hset"} <= called
    assert called <= set(re.findall(r"\+(\S+)", line))


@pytest.mark.parametrize("transport", ["leased", "plain"])
def test_tasks(worker: StartWorker, client: Celery, tmp_path: Path, transport: str) -> None:
    """One that succeeds, retries that end as a dead letter, one of few runs, one that is due later."""
    kind = {"WORKER__BROKER__TRANSPORT": transport}
    serving = worker("--queues=celery", app=PROBE_APP, **SOON, **kind)
    folders = {name: tmp_path / name for name in ("fails", "once", "late", "held")}
    for folder in folders.values():
        folder.mkdir()

    def send(task: str, name: str, **options: object) -> object:
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

    assert json.loads(says("submit", "tasks.health_check", "--wait", "20"))["status"] == "ok"
    assert says("health", "--queue", "celery").split()[1] == "ok"
    assert run_cli("health", "--queue", "rewrite", "--timeout", "1", redis_url=redis_url).returncode == 2
    assert "\ncontentworker_up 1.0\n" in says("metrics", "--once")
    assert says("redis", "llen", "celery") == "0\n"
    assert says("redis", "zcard", DELAYED) == "0\n"
    letters = [line.split()[0] for line in says("dead-letters", "list").splitlines() if "probe." in line]
    assert letters
    assert "probe." in says("top", "--once")
    says("dead-letters", "show", letters[0])
    says("dead-letters", "replay", letters[0])
    says("dead-letters", "discard", *letters[1:], "--yes")
    says("hand-back")


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
    assert process.wait() == 0, process.log()
    process.stop()


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

        def lengths() -> object:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/queues/length", timeout=20) as answer:
                return json.load(answer)["active_queues"]

        wait_until(lambda: {"name": "celery", "messages": 0} in lengths(), "Flower to know the queue")
    finally:
        flower.stop()


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


def test_nothing_else(redis_url: str) -> None:
    """What would empty the server is refused, and said."""
    done = run_cli("redis", "flushall", redis_url=redis_url)
    assert done.returncode == 1
    assert "has no permissions to run the 'flushall' command" in done.stderr.lower()
