"""Redis watched by Sentinels: commands and workers find its master, also after it has changed."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from contentworker.runtime.records.connections import SENTINEL_PASSWORD as SENTINEL_PASSWORD_VARIABLE
from tests.servers import MASTER, PASSWORD, SENTINEL_PASSWORD, Watched, watched
from tests.support import (
    PATIENCE,
    PROBE_APP,
    PROBE_FOLDER,
    ROOT,
    Process,
    StartWorker,
    Worker,
    environment,
    executions,
    run_cli,
    wait_until,
)

ENVIRONMENT = {"WORKER__BROKER__SENTINEL_MASTER": MASTER, SENTINEL_PASSWORD_VARIABLE: SENTINEL_PASSWORD}


def address(group: Watched) -> str:
    """As people write it: the password once, in the first part."""
    first, *others = [f"127.0.0.1:{each.port}" for each in group.sentinels]
    return ";".join(
        [f"sentinel://:{quote(PASSWORD, safe='')}@{first}/0", *(f"sentinel://{each}" for each in others)]
    )


def run(group: Watched, *arguments: str) -> str:
    done = run_cli(*arguments, redis_url=address(group), **ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def serves(group: Watched) -> bool:
    """Whether a task runs and its result comes back."""
    answer = run(group, "submit", "tasks.health_check", "--wait", str(PATIENCE))
    return bool(json.loads(answer)["status"] == "ok")


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One that no test of this module changes."""
    with watched(tmp_path_factory.mktemp("watched")) as servers:
        yield servers


@pytest.fixture(scope="module")
def serving(group: Watched, module_worker: StartWorker) -> Worker:
    """A worker by way of the Sentinels."""
    return module_worker("--queues=celery", redis_url=address(group), **ENVIRONMENT)


def test_worker_and_submit(group: Watched, serving: Worker) -> None:
    """A task goes through the master and back; no log has a password."""
    assert serves(group)
    with group.master().client(PASSWORD) as client:
        assert client.info("commandstats")
    for secret in (PASSWORD, quote(PASSWORD, safe=""), SENTINEL_PASSWORD):
        assert secret not in serving.log()


@pytest.mark.usefixtures("serving")
def test_health(group: Watched) -> None:
    """The queue is reported as served."""
    (found,) = json.loads(run(group, "health", "--json", "--queue", "celery", f"--timeout={PATIENCE}"))
    assert (found["queue"], found["status"]) == ("celery", "ok")


def test_redis_command_asks_the_master(group: Watched) -> None:
    """Not a Sentinel, and not the replica."""
    assert run(group, "redis", "set", "a-key", "a value") == "OK\n"
    with group.master().client(PASSWORD) as client:
        assert client.get("a-key") == "a value"


def test_dead_letters(group: Watched) -> None:
    """They are in the master, too."""
    assert run(group, "dead-letters", "list") == "No dead letters.\n"


@pytest.mark.parametrize("command", [["submit", "tasks.health_check"], ["health"], ["redis", "ping"]])
def test_no_name_of_a_master(group: Watched, command: list[str]) -> None:
    """Each command prints one line that names the setting."""
    done = run_cli(*command, redis_url=address(group))
    assert done.returncode == 1
    assert "broker.sentinel_master: is required" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_worker_without_the_name_of_a_master(group: Watched, worker: StartWorker) -> None:
    """It ends with the same line."""
    ended = worker("--queues=celery", redis_url=address(group), ready=False)
    assert ended.wait() != 0
    assert "broker.sentinel_master: is required" in ended.log()
    assert "Traceback" not in ended.log()


def test_unknown_master(group: Watched) -> None:
    """A name that the Sentinels do not know is said, and no password with it."""
    more = {**ENVIRONMENT, "WORKER__BROKER__SENTINEL_MASTER": "nobody"}
    done = run_cli("redis", "ping", redis_url=address(group), **more)
    assert done.returncode == 3
    assert "No master found for 'nobody'" in done.stderr
    assert quote(PASSWORD, safe="") not in done.stderr


@pytest.mark.parametrize("how", ["killed", "asked"])
def test_failover(how: str, worker: StartWorker, tmp_path: Path) -> None:
    """The replica becomes the master: the same worker finishes what it runs, and serves on."""
    with watched(tmp_path / "servers") as group:
        serving = worker("--queues=celery", redis_url=address(group), app=PROBE_APP, **ENVIRONMENT)
        hold(group, tmp_path)
        old = group.master()
        with old.client(PASSWORD) as client:
            assert client.wait(1, 10_000) == 1, "the replica has all"
        if how == "killed":
            old.kill(signal.SIGKILL)
        else:
            with group.sentinels[0].client(SENTINEL_PASSWORD) as client:
                client.execute_command("SENTINEL", "FAILOVER", MASTER)
        wait_until(lambda: group.master() is not old, "another master")
        (tmp_path / "release").touch()
        serving.wait_for_log("succeeded in")
        wait_until(lambda: accepts(group), "the new master to be one")
        assert serves(group)
        assert serving.is_alive


def accepts(group: Watched) -> bool:
    """Whether whom the Sentinels name takes writes already."""
    with group.master().client(PASSWORD) as client:
        return bool(client.info("replication")["role"] == "master")


def hold(group: Watched, folder: Path) -> None:
    """Have a task run until the file `release` is there, sent by Celery's own command."""
    keywords = json.dumps({"folder": str(folder)})
    path = f"{ROOT}:{PROBE_FOLDER}"
    sending = Process(
        [sys.executable, "-m", "celery", "-A", PROBE_APP, "call", "probe.base.hold", "--kwargs", keywords],
        folder / "call",
        environment(REDIS_URL=address(group), PYTHONPATH=path, **ENVIRONMENT),
    )
    try:
        assert sending.wait() == 0, sending.log()
        wait_until(lambda: executions(folder), "the task to start")
    finally:
        sending.stop()
