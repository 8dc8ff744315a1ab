"""Every fault, done to an installed worker: it comes back, and no task is lost. Last, for the journal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from celery import Celery

from tests.acceptance.systemd.installation import DEFAULT, REDIS, STATE, UMBRELLA, UNITS, WORKERS
from tests.acceptance.systemd.machine import Machine
from tests.acceptance.systemd.probing import Background, hold, probed, release
from tests.support import PATIENCE, executions, wait_until

pytestmark = [pytest.mark.systemd, pytest.mark.usefixtures("can_boot")]

UNIT = f"celery-worker@{DEFAULT}.service"
WATCHDOG_SECONDS = 10
"""A busy machine may hold a healthy worker up for some seconds."""


@pytest.fixture(scope="module")
def machine(services: Machine) -> Iterator[Machine]:
    """The installed services; the default queue's worker knows the probe's tasks, and its times are short."""
    directives = [
        f"WatchdogSec={WATCHDOG_SECONDS}",
        "Environment=WORKER__RETRIES__INITIAL_DELAY_SECONDS=0.1 WORKER__RETRIES__JITTER_SECONDS=0",
    ]
    with probed(services, DEFAULT, "blocked_worker", *directives):
        yield services


@pytest.fixture(autouse=True)
def all_run(machine: Machine) -> Iterator[None]:
    """After a failure, too: otherwise every later test would fail."""
    yield
    machine.systemctl("start", *UNITS, check=False)


def wait_for_next_life(machine: Machine, pid: int) -> None:
    wait_until(lambda: machine.main_pid(UNIT) not in (0, pid), "another main process")
    machine.wait_active(UNIT)
    machine.run("content-worker", "health", f"--queue={DEFAULT}", f"--timeout={PATIENCE}")


def test_main_process_killed(machine: Machine, client: Celery, folder: Path) -> None:
    """`kill -9` of the main process: it is back, and does again what it was at."""
    sent, pid = hold(client, folder), machine.main_pid(UNIT)
    machine.run("kill", "-KILL", str(pid))
    wait_for_next_life(machine, pid)
    wait_until(lambda: len(executions(folder)) == 2, "the task to be delivered again")
    release(sent, folder)


def test_child_killed_in_the_middle_of_a_task(machine: Machine, client: Celery, folder: Path) -> None:
    """`kill -9` of a pool process: its task is delivered again, and the worker stays."""
    sent, pid = hold(client, folder), machine.main_pid(UNIT)
    machine.run("kill", "-KILL", str(executions(folder)[0]["pid"]))
    wait_until(lambda: len(executions(folder)) == 2, "the task to be delivered again")
    release(sent, folder)
    assert machine.main_pid(UNIT) == pid


def test_frozen(machine: Machine) -> None:
    """SIGSTOP of the main process: the watchdog brings it back."""
    pid = machine.main_pid(UNIT)
    machine.run("kill", "-STOP", str(pid))
    wait_for_next_life(machine, pid)
    assert f"{UNIT}: Watchdog timeout (limit {WATCHDOG_SECONDS}s)!" in machine.journal(UNIT)


def test_event_loop_blocked(machine: Machine, client: Celery, folder: Path) -> None:
    """A loop that hangs in a process that is well: the same, and the journal has the line it hung in."""
    pid = machine.main_pid(UNIT)
    where = {"folder": f"{STATE}/{folder.name}"}
    block = partial(client.control.broadcast, "block", where, destination=[f"{DEFAULT}@test-machine"])
    wait_until(lambda: block() or executions(folder), "the loop to hang")
    wait_for_next_life(machine, pid)
    assert "Fatal Python error: Aborted" in machine.journal(UNIT)
    assert 'probe_worker.py", line' in machine.journal(UNIT)
    assert "in wait_for_release" in machine.journal(UNIT)


def test_stop_waits_for_running_tasks(machine: Machine, client: Celery, folder: Path) -> None:
    """`systemctl stop celery-worker` returns when the task has ended, well and not earlier."""
    sent = hold(client, folder)
    stop = Background(lambda: machine.systemctl("stop", UMBRELLA, check=False))
    wait_until(
        lambda: machine.show(UNIT, "StatusText") == f"{DEFAULT}: finishing 1 task", "the worker to drain"
    )
    others = [unit for unit in WORKERS if unit != UNIT]
    wait_until(lambda: not any(map(machine.is_active, others)), "the others to end")
    assert stop.is_alive()
    assert machine.show(UNIT, "ActiveState") == "deactivating"
    release(sent, folder)
    stop.end()
    assert machine.show(UNIT, "ActiveState") == "inactive"
    assert len(executions(folder)) == 1
    machine.systemctl("start", UMBRELLA)


def test_restart_waits_for_running_tasks(machine: Machine, client: Celery, folder: Path) -> None:
    """`systemctl restart celery-worker`: the same, and then each worker has another main process."""
    sent, pids = hold(client, folder), {machine.main_pid(unit) for unit in WORKERS}
    restart = Background(lambda: machine.systemctl("restart", UMBRELLA, check=False))
    wait_until(
        lambda: machine.show(UNIT, "StatusText") == f"{DEFAULT}: finishing 1 task", "the worker to drain"
    )
    release(sent, folder)
    restart.end()
    assert {machine.main_pid(unit) for unit in WORKERS}.isdisjoint({0, *pids})
    assert len(executions(folder)) == 1


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_redis_away_for_longer_than_the_watchdog(
    machine: Machine, client: Celery, folder: Path, how: str
) -> None:
    """The worker waits, is not taken for hung, and resumes."""
    pid, restarts = machine.main_pid(UNIT), machine.show(UNIT, "NRestarts")
    with away(machine, how):
        waiting = f"{DEFAULT}: waiting for Redis"
        wait_until(lambda: machine.show(UNIT, "StatusText") == waiting, "Redis to be missed")
        end = time.monotonic() + 2 * WATCHDOG_SECONDS
        wait_until(lambda: time.monotonic() > end, "twice the watchdog's time")
    sent = hold(client, folder)
    release(sent, folder)
    assert (machine.main_pid(UNIT), machine.show(UNIT, "NRestarts")) == (pid, restarts)


@contextmanager
def away(machine: Machine, how: str) -> Iterator[None]:
    """Have Redis not answer."""
    stopped = how == "stopped"
    machine.systemctl("stop", REDIS) if stopped else machine.systemctl("kill", "--signal=STOP", REDIS)
    try:
        yield
    finally:
        machine.systemctl("start", REDIS) if stopped else machine.systemctl("kill", "--signal=CONT", REDIS)


def test_redis_never_there(machine: Machine) -> None:
    """A start fails in the time it is given, systemd goes on trying, and Redis is found when it comes."""
    machine.systemctl("stop", UNIT, REDIS)
    short = machine.path(f"/etc/systemd/system/{UNIT}.d/91-short.conf")
    short.write_text("[Service]\nTimeoutStartSec=3\n")
    try:
        machine.systemctl("daemon-reload")
        started = machine.systemctl("start", UNIT, check=False)
    finally:
        short.unlink()
        machine.systemctl("daemon-reload")
    assert started.returncode == 1
    assert "timeout" in started.stderr
    wait_until(lambda: machine.show(UNIT, "StatusText") == f"{DEFAULT}: waiting for Redis", "another attempt")
    machine.systemctl("start", REDIS)
    wait_for_next_life(machine, 0)
