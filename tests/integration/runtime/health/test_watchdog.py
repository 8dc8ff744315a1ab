"""A worker that hangs is found out, by systemd or by itself; one that works, waits or drains never is."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import Celery

from contentworker.testing.leftovers import stat_of
from tests.notify_socket import Systemd
from tests.support import PATIENCE, PROBE_APP, StartWorker, Worker, executions, wait_until

SECONDS = "5"
"""Of silence that are a hang: a busy machine may hold up a healthy worker for a second or two."""
pools = pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])


@pytest.mark.parametrize("how", ["frozen", "blocked"])
def test_hung_worker_falls_silent(
    worker: StartWorker, client: Celery, systemd: Callable[[], Systemd], tmp_path: Path, how: str
) -> None:
    """No beat comes from a process that is stopped, nor from a live one whose event loop hangs.

    Beats of another worker tell the time.
    """
    hung, clock = systemd(), systemd()
    hanging = worker(
        *("--queues=escalation", "--hostname=hanging@here"), app="blocked_worker.celery_app", **hung.variables
    )
    worker("--queues=rewrite", **clock.variables)
    hung.wait_for("WATCHDOG=1", "STATUS=escalation: 0 running, 0 processed")
    if how == "frozen":
        hanging.kill(signal.SIGSTOP)
        wait_until(lambda: state_of(hanging) == "T", "the worker to stop")
    else:
        hang(client, "hanging@here", tmp_path)
    hung.receive()
    clock.receive()
    for _ in range(10):
        clock.wait_for("WATCHDOG=1")
    assert hung.receive() == []
    if how == "frozen":
        hanging.kill(signal.SIGCONT)
    else:
        (tmp_path / "release").touch()
    hung.wait_for("WATCHDOG=1")


def test_hung_worker_ends_itself(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """Where there is no systemd a worker whose event loop hangs ends, having written where it hung."""
    hanging = worker(
        "--queues=escalation",
        "--hostname=hanging@here",
        app="blocked_worker.celery_app",
        WORKER_WATCHDOG_SECONDS=SECONDS,
    )
    hang(client, "hanging@here", tmp_path)
    assert hanging.wait() == 1
    assert 'blocked_worker.py", line' in hanging.log()
    assert "in block" in hanging.log()


@pools
def test_own_watchdog_lets_work_and_drain(
    worker: StartWorker, client: Celery, tmp_path: Path, pool: str
) -> None:
    """It ends no worker that does its work, or waits for a task before it stops, for however long.

    Beats of another worker tell the time.
    """
    options = (f"--pool={pool}", "--concurrency=1")
    leaving = worker("--queues=escalation", *options, app=PROBE_APP, WORKER_WATCHDOG_SECONDS=SECONDS)
    file = tmp_path / "alive"
    worker("--queues=rewrite", WORKER_ALIVE_FILE=str(file), WORKER_WATCHDOG_SECONDS=SECONDS)
    sent = client.send_task("probe.base.hold", kwargs={"folder": str(tmp_path)}, queue="escalation")
    wait_until(lambda: executions(tmp_path), "the task to start")
    for stop in (False, True):
        if stop:
            leaving.kill(signal.SIGTERM)
        for _ in range(4):
            before = file.stat().st_mtime_ns
            wait_until(lambda: file.stat().st_mtime_ns > before, "a beat")  # noqa: B023 (called here)
        assert leaving.is_alive, leaving.log()
    (tmp_path / "release").touch()
    assert leaving.wait() == 0
    assert sent.get(timeout=PATIENCE) == "released"


def test_malformed_watchdog(worker: StartWorker) -> None:
    """A watchdog that is no number is an error, in a line."""
    refused = worker("--queues=escalation", ready=False, WORKER_WATCHDOG_SECONDS="soon")
    assert refused.wait() == 1
    assert "WORKER_WATCHDOG_SECONDS: must be a whole number of seconds, not 'soon'" in refused.log()
    assert "Traceback" not in refused.log()


def hang(client: Celery, worker: str, folder: Path) -> None:
    """Have this worker's event loop hang; said again until it listens, which it does a moment after ready."""
    command = {"folder": str(folder)}
    wait_until(
        lambda: client.control.broadcast("block", command, destination=[worker]) or executions(folder),
        "the loop to hang",
    )


def state_of(process: Worker) -> str:
    """What the process does, in a letter."""
    return stat_of(process.pid)[0]
