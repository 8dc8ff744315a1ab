"""What a worker does with its pool processes."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.asynpool import AsynPool

from contentworker.runtime.worker import pool_children
from tests.support import PATIENCE


def test_all_work_ends_at_once() -> None:
    """Each process is killed, also after one that has ended already."""
    ended, running = (subprocess.Popen(["sleep", "1000"]) for _ in range(2))
    ended.kill()
    ended.wait()
    pool = SimpleNamespace(_pool=SimpleNamespace(_pool=[ended, running]))
    pool_children.end_all_work(pool)
    assert running.wait(PATIENCE) == -signal.SIGKILL


def test_threads_cannot_be_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the worker ends, with the code that asks for another try."""
    codes = []

    class EndedError(Exception):
        pass

    def end(code: int) -> None:
        codes.append(code)
        raise EndedError

    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(EndedError):
        pool_children.end_all_work(SimpleNamespace(_pool=object()))
    assert codes == [75]


@pytest.mark.parametrize("ends", [True, False])
def test_only_a_process_that_ends_is_replaced(ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery would look again only after five seconds; a file number may be another process's by now."""
    events: list[Any] = []
    monkeypatch.setattr(AsynPool, "_event_process_exit", lambda *_: events.append("replaced"))
    pool_children._replace_at_once()
    process = SimpleNamespace(join=events.append, is_alive=lambda: not ends)
    AsynPool._event_process_exit(None, None, process)
    assert events == [pool_children._STALE_SECONDS, *["replaced"] * ends]


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2)")
def test_a_process_dies_with_its_worker_without_a_parser_for_c() -> None:
    """Celery's own way loads one into each process, if cffi is installed."""
    check = """
import ctypes, signal, sys
from celery import platforms
from contentworker.runtime.worker import pool_children
pool_children._load_no_parser()
platforms.set_pdeathsig("SIGKILL")
signum = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(signum))  # PR_GET_PDEATHSIG
print(signum.value, "pycparser" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["9", "False"]
