"""What a worker tells systemd, and writes into its alive file; the tests are the systemd."""

import itertools
import os
import shutil
import signal
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import Celery

from contentworker.runtime.health.systemd_notify import VARIABLES
from tests.notify_socket import Systemd
from tests.support import (
    PATIENCE,
    PROBE_APP,
    RedisProcess,
    StartWorker,
    executions,
    wait_until,
)

WATCHDOG = "WATCHDOG_USEC=600000"
EXTENDED = "WATCHDOG_USEC=3600000000"
SERVING = ["READY=1", WATCHDOG]

pools = pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])


def alive(file: Path) -> str:
    """The line of an alive file, which is always of the same length."""
    data = file.read_bytes()
    assert (len(data), data[-1:]) == (64, b"\n")
    return data.decode().rstrip()


@pools
def test_start_work_and_drain(
    worker: StartWorker, client: Celery, systemd: Callable[[], Systemd], tmp_path: Path, pool: str
) -> None:
    """Ready once it serves; running and processed; while it drains nothing can take it for hung."""
    listening, file = systemd(), tmp_path / "alive"
    serving = worker(
        *("--queues=escalation", f"--pool={pool}", "--concurrency=1"),
        app=PROBE_APP,
        ready=False,
        WORKER_ALIVE_FILE=str(file),
        **listening.variables,
    )
    listening.wait_for("STATUS=starting")
    listening.wait_for(*SERVING, "STATUS=escalation: 0 running, 0 processed")
    assert alive(file) == "ready"
    sent = client.send_task("probe.base.hold", kwargs={"folder": str(tmp_path)}, queue="escalation")
    if pool == "solo":  # its loop runs the task, and cannot beat meanwhile: 300 s and the third of 0.6 s
        listening.wait_for("WATCHDOG_USEC=300200000", "STATUS=escalation: 1 running, 0 processed")
        wait_until(lambda: executions(tmp_path), "the task to start")
        assert alive(file) == "ready, silent for up to 300 s"
    else:
        listening.wait_for("STATUS=escalation: 1 running, 0 processed", "WATCHDOG=1")
        assert alive(file) == "ready"
    serving.kill(signal.SIGTERM)
    listening.wait_for("STOPPING=1", EXTENDED, "STATUS=escalation: finishing 1 task")
    assert alive(file) == "stopping, silent for up to 3600 s"
    (tmp_path / "release").touch()
    assert serving.wait() == 0
    assert sent.get(timeout=PATIENCE) == "released"
    listening.receive()
    assert sum("READY=1" in message for message in listening.sent) == 1
    last = max(number for number, message in enumerate(listening.sent) if "STOPPING=1" in message)
    assert WATCHDOG not in itertools.chain(*listening.sent[last:])
    assert not file.exists()


@pools
def test_processed(worker: StartWorker, client: Celery, systemd: Callable[[], Systemd], pool: str) -> None:
    """What has run is counted, and the usual watchdog is back."""
    listening = systemd()
    worker("--queues=escalation", f"--pool={pool}", app=PROBE_APP, **listening.variables)
    for _ in range(3):
        client.send_task("probe.pid", queue="escalation").get(timeout=PATIENCE)
    listening.wait_for("STATUS=escalation: 0 running, 3 processed", "WATCHDOG=1")
    assert [line for message in listening.sent for line in message if "_USEC" in line][-1] == WATCHDOG


@pools
def test_tasks_do_not_inherit(
    worker: StartWorker, client: Celery, systemd: Callable[[], Systemd], tmp_path: Path, pool: str
) -> None:
    """No task could speak to systemd in the worker's name."""
    file = str(tmp_path / "alive")
    worker(
        *("--queues=escalation", f"--pool={pool}"),
        app=PROBE_APP,
        WORKER_ALIVE_FILE=file,
        WATCHDOG_PID="1",
        **systemd().variables,
    )
    found = client.send_task("probe.variables", queue="escalation").get(timeout=PATIENCE)
    assert "PATH" in found
    assert not {*VARIABLES, "WORKER_ALIVE_FILE"} & {*found}


@pools
def test_redis_away_and_back(
    worker: StartWorker, systemd: Callable[[], Systemd], server: RedisProcess, tmp_path: Path, pool: str
) -> None:
    """While Redis is away the watchdog is extended, each attempt is a beat, and the end is said."""
    listening, file = systemd(), tmp_path / "alive"
    serving = worker(
        *("--queues=escalation", f"--pool={pool}"),
        redis_url=server.url,
        WORKER_ALIVE_FILE=str(file),
        **listening.variables,
    )
    listening.wait_for(*SERVING)
    server.crash()
    for _ in range(3):
        listening.wait_for(EXTENDED, "WATCHDOG=1", "STATUS=escalation: waiting for Redis")
    assert alive(file) == "waiting for Redis, silent for up to 3600 s"
    server.start()
    listening.wait_for(WATCHDOG, "STATUS=escalation: 0 running, 0 processed")
    listening.wait_for("WATCHDOG=1", "STATUS=escalation: 0 running, 0 processed")
    assert alive(file) == "ready"
    assert serving.is_alive


def test_redis_does_not_answer(
    worker: StartWorker, systemd: Callable[[], Systemd], server: RedisProcess, tmp_path: Path
) -> None:
    """A Redis that hangs can have the loop hang in a call to it, which is no reason to kill the worker."""
    listening, file = systemd(), tmp_path / "alive"
    serving = worker(
        "--queues=escalation", redis_url=server.url, WORKER_ALIVE_FILE=str(file), **listening.variables
    )
    listening.wait_for(*SERVING)
    server.kill(signal.SIGSTOP)
    serving.wait_for_log("Redis cannot be reached")
    listening.wait_for(EXTENDED, "WATCHDOG=1", "STATUS=escalation: waiting for Redis")
    assert alive(file) == "waiting for Redis, silent for up to 3600 s"
    assert WATCHDOG not in itertools.chain(*listening.receive())
    server.kill(signal.SIGCONT)
    serving.wait_for_log("Redis answers again")
    for _ in range(2):
        listening.wait_for(WATCHDOG, "WATCHDOG=1", "STATUS=escalation: 0 running, 0 processed")
    assert serving.is_alive


def test_redis_comes_later(worker: StartWorker, systemd: Callable[[], Systemd], server: RedisProcess) -> None:
    """A worker is not ready before Redis is there, says what it waits for, and then is."""
    listening = systemd()
    server.crash()
    worker("--queues=escalation", redis_url=server.url, ready=False, **listening.variables)
    for _ in range(2):
        listening.wait_for("STATUS=escalation: waiting for Redis")
    assert "READY=1" not in itertools.chain(*listening.sent)
    server.start()
    listening.wait_for(*SERVING)


def test_stopped_while_redis_is_away(
    worker: StartWorker, systemd: Callable[[], Systemd], server: RedisProcess
) -> None:
    """A stop is said to be one, and not taken back by the next attempt to connect."""
    listening = systemd()
    leaving = worker("--queues=escalation", redis_url=server.url, **listening.variables)
    server.crash()
    listening.wait_for("STATUS=escalation: waiting for Redis")
    leaving.kill(signal.SIGTERM)
    assert leaving.wait() == 0
    listening.wait_for("STOPPING=1", EXTENDED)
    rest = listening.receive()
    assert "waiting" not in str(rest)


def test_remote_shutdown(worker: StartWorker, client: Celery, systemd: Callable[[], Systemd]) -> None:
    """Told to stop by a remote command a worker drains just so, and longer where tasks may take hours."""
    listening = systemd()
    leaving = worker(
        *("--queues=escalation", "--hostname=remote@here"),
        WORKER__LIMITS__HARD_TIME_LIMIT_SECONDS="7200",
        WORKER__BROKER__VISIBILITY_TIMEOUT_SECONDS="8000",
        **listening.variables,
    )
    wait_until(
        lambda: client.control.shutdown(destination=["remote@here"]) or not leaving.is_alive, "the end"
    )
    listening.wait_for("WATCHDOG_USEC=14400000000", "STATUS=escalation: stopping")
    assert leaving.wait() == 0


def test_sighup(worker: StartWorker, systemd: Callable[[], Systemd]) -> None:
    """On SIGHUP Celery executes itself anew, in the same process: that one is ready again.

    Only as `celery`: of `python -m celery` it would execute a file that cannot be run by itself.
    """
    listening = systemd()
    restarting = worker("--queues=escalation", ready=False, **listening.variables)
    restarting.stop()
    restarting.command[:3] = [str(Path(sysconfig.get_path("scripts"), "celery"))]
    restarting.start()
    listening.wait_for(*SERVING)
    restarting.kill(signal.SIGHUP)
    listening.wait_for("STATUS=starting")
    listening.wait_for(*SERVING)
    assert "STOPPING=1" not in itertools.chain(*listening.sent)


def test_without_watchdog(worker: StartWorker, systemd: Callable[[], Systemd]) -> None:
    """A unit without WatchdogSec=, or whose watchdog is another process's, is not given one."""
    listening = systemd()
    variables = {**listening.variables, "WATCHDOG_PID": str(os.getpid())}
    leaving = worker("--queues=escalation", **variables)
    listening.wait_for("READY=1")
    leaving.kill(signal.SIGTERM)
    assert leaving.wait() == 0
    listening.receive()
    assert "WATCHDOG_USEC" not in str(listening.sent)


def test_nobody_listens_any_more(
    worker: StartWorker, client: Celery, systemd: Callable[[], Systemd], tmp_path: Path
) -> None:
    """A socket or a folder that is gone is said in the log; the worker serves on."""
    listening, file = systemd(), tmp_path / "gone" / "alive"
    file.parent.mkdir()
    serving = worker("--queues=escalation", WORKER_ALIVE_FILE=str(file), **listening.variables)
    Path(listening.address).unlink()
    shutil.rmtree(file.parent)
    serving.wait_for_log("Cannot send WATCHDOG=1 to systemd")
    serving.wait_for_log("WORKER_ALIVE_FILE: ")
    result = client.send_task("tasks.health_check", queue="escalation")
    assert result.get(timeout=PATIENCE)["status"] == "ok"


def test_malformed_address(worker: StartWorker) -> None:
    """An address that is none is said, and the worker serves."""
    serving = worker("--queues=escalation", NOTIFY_SOCKET="nowhere")
    assert "NOTIFY_SOCKET: must be a path or start with @, not 'nowhere'" in serving.log()
