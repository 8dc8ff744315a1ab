"""The disk is full, or the power is cut, at every step."""

import errno
import itertools
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contentworker.installer.errors import InstallError
from contentworker.installer.plan import Plan
from tests.integration.installer import killed
from tests.integration.installer.machines import PREFIX, QUEUES, Machine

SERVICES = {
    *(f"celery-worker@{queue}.service" for queue in QUEUES),
    *("celery-worker.service", "celery-beat.service", "celery-flower.service", "celery-redis.service"),
}
FORKS = multiprocessing.get_context("forkserver")
"""Processes are forked from one that has imported the installer: that takes milliseconds instead of 0.3 s."""
FORKS.set_forkserver_preload([killed.__name__])


class _Disk:
    """A disk that is full from the n-th time on that something needs room on it."""

    def __init__(self, room: int) -> None:
        self.room = room

    def take(self) -> None:
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextmanager
    def full(self, monkeypatch: pytest.MonkeyPatch) -> Iterator["_Disk"]:
        """Have everything that needs room ask for it. To rename and to remove needs none."""
        really_open = os.open

        def opened(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & os.O_CREAT:
                self.take()
            return really_open(path, flags, *arguments, **options)

        with monkeypatch.context() as context:
            context.setattr(os, "open", opened)
            for module, name in ((os, "mkdir"), (os, "symlink"), (os, "link"), (shutil, "copyfile")):
                context.setattr(module, name, self._asking(getattr(module, name)))
            yield self

    def _asking(self, call: Any) -> Any:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            self.take()
            return call(*arguments, **options)

        return wrapper


def fill_at_each_step(machine: Machine, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> int:
    """Apply a plan with the disk full at every third step, and see that all is as before; return the steps.

    Every third, as a file takes two (write, link): so both are hit, in a third of the time.
    """
    before, active, enabled = machine.files(), machine.active(), machine.enabled()
    for steps in itertools.count(0, 3):
        with _Disk(steps).full(monkeypatch):
            if (error := refused(machine, plan)) is None:
                return steps
        assert "No space left on device" in error, steps
        assert machine.files() == before, steps
        assert machine.active() == active, steps
        assert machine.enabled() == enabled, steps
    raise AssertionError


def refused(machine: Machine, plan: Plan) -> str | None:
    """Why it could not be done; None if it was done."""
    try:
        machine.apply(plan)
    except InstallError as error:
        return str(error)
    return None


def test_a_full_disk_takes_an_installation_back(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """At whichever step the disk is full, nothing is left; with room it is installed."""
    steps = fill_at_each_step(machine, machine.plan(), monkeypatch)
    assert steps > 50
    assert set(machine.active()) == SERVICES


def test_a_full_disk_takes_an_upgrade_back(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """At whichever step the disk is full, everything runs the old release; with room, the new one."""
    machine.install()
    machine.write_checkout("2", ("alpha", "gamma", "celery"))
    plan = machine.plan()
    steps = fill_at_each_step(machine, plan, monkeypatch)
    assert steps > 30
    assert machine.active()["celery-worker@gamma.service"] == plan.release


def killed_at(machine: Machine, plan: Plan, step: int) -> bool:
    """Do it and be killed at a step; return False if it was done before that."""
    with machine.listening():
        process = FORKS.Process(target=killed.run, args=(plan.text(), step, str(machine.programs)))
        process.start()
        process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def no_leftovers(machine: Machine) -> None:
    left = [path for path in machine.files() if ".content-worker-" in path]
    assert not left


def test_an_installation_that_was_killed_goes_on(machine: Machine) -> None:
    """Killed at any step, nothing runs that is not complete; and run again, it completes."""
    plan = machine.plan()
    at = machine.at(f"{PREFIX}/current/celery_worker.py")
    for step in itertools.count(0, 9):
        if not killed_at(machine, plan, step):
            break
        for unit in machine.active():
            assert (at if "@" not in unit else _release_of(machine, unit) / "celery_worker.py").exists(), step
            assert machine.at(f"/etc/systemd/system/{_template(unit)}").exists(), step
        machine.apply(plan)
        assert set(machine.active()) == SERVICES, step
        assert machine.manifest is not None
        assert machine.manifest.is_complete
        no_leftovers(machine)
        machine.uninstall(removes_data=True)
        assert not machine.at(PREFIX).exists(), step
        assert not machine.at("/etc/content-worker").exists(), step
    assert step > 60


def test_an_upgrade_that_was_killed_goes_on(machine: Machine) -> None:
    """Killed at any step, every queue has a whole release; and run again, all run the new one."""
    machine.install()
    for number, step in enumerate(itertools.count(0, 10), 1):
        # Three releases in turn, each with its own queue: a machine keeps two, so that one is always new.
        queue = ("beta", "gamma", "delta")[number % 3]
        machine.write_checkout(str(number % 3), ("alpha", "celery", queue))
        plan = machine.plan()
        if not killed_at(machine, plan, step):
            break
        for unit in machine.active():
            if "@" in unit:
                assert (_release_of(machine, unit) / "SHA256SUMS").exists(), step
        machine.apply(plan)
        workers = {release for unit, release in machine.active().items() if "@" in unit}
        assert workers == {plan.release}, step
        assert len(machine.active()) == len(SERVICES), step
        assert not machine.gaps(), step
        no_leftovers(machine)
    assert step > 40


def test_a_removal_that_was_killed_goes_on(machine: Machine) -> None:
    """Killed at any step, a second removal removes what is left."""
    before = machine.files()
    remove = Plan("uninstall", str(machine.target), PREFIX, "content-worker", removes_data=True)
    for step in itertools.count(0, 16):
        machine.install()
        if not killed_at(machine, remove, step):
            break
        if machine.manifest is not None:
            machine.apply(remove)
        else:  # killed in the very end: at most empty folders are left
            assert not [path for path in machine.at("/opt").rglob("*") if path.is_file()]
            shutil.rmtree(machine.at("/opt"), ignore_errors=True)
        assert machine.files() == before, step
    assert step > 20


def _release_of(machine: Machine, unit: str) -> Path:
    queue = unit.removeprefix("celery-worker@").removesuffix(".service")
    return machine.at(f"{PREFIX}/queues/{queue}").resolve()


def _template(unit: str) -> str:
    return "celery-worker@.service" if "@" in unit else unit
