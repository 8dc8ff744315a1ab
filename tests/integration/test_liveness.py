"""The probe of an alive file, as a container or a person runs it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import ROOT, StartWorker


def ask(*arguments: str) -> tuple[int, str]:
    """Exit code and output of the probe, which says nothing on stderr."""
    command = [sys.executable, "-m", "contentworker.runtime.liveness", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.removesuffix("\n")


def written(file: Path, line: str, age_seconds: float) -> str:
    """Make an alive file of this age; return its name."""
    file.write_text(f"{line:<63}\n", "utf-8")
    then = time.time() - age_seconds
    os.utime(file, (then, then))
    return str(file)


READY, WAITING = "ready", "waiting for Redis, silent for up to 3600 s"
BUSY = "ready, silent for up to 310 s"


@pytest.mark.parametrize(
    ("line", "age_seconds", "options", "expected"),
    [
        pytest.param(READY, 3, (), (0, "ready, 3 s ago"), id="ready"),
        pytest.param(READY, 3, ("--ready",), (0, "ready, 3 s ago"), id="ready-asked"),
        pytest.param(READY, 75, (), (1, "no sign of life for 75 s (at most 60)"), id="hung"),
        pytest.param(READY, 75, ("--max-age=90",), (0, "ready, 75 s ago"), id="patient"),
        pytest.param(
            READY, 75, ("--max-age", "7.5"), (1, "no sign of life for 75 s (at most 7.5)"), id="not"
        ),
        pytest.param(READY, -500, (), (0, "ready, 0 s ago"), id="clock-put-back"),
        pytest.param(BUSY, 305, ("--ready",), (0, "ready, 305 s ago"), id="solo-in-a-task"),
        pytest.param(BUSY, 320, (), (1, "no sign of life for 320 s (at most 310)"), id="solo-hung"),
        pytest.param(WAITING, 75, (), (0, "waiting for Redis, 75 s ago"), id="waiting"),
        pytest.param(WAITING, 7, ("--ready",), (1, "not ready: waiting for Redis, 7 s ago"), id="not-ready"),
        pytest.param(WAITING, 4000, (), (1, "no sign of life for 4000 s (at most 3600)"), id="waiting-hung"),
    ],
)
def test_answer(
    tmp_path: Path, line: str, age_seconds: float, options: tuple[str, ...], expected: tuple[int, str]
) -> None:
    """Exit code and one plain sentence for each state and age."""
    assert ask(written(tmp_path / "alive", line, age_seconds), *options) == expected


def test_no_file(tmp_path: Path) -> None:
    """A worker that has not started, or has ended, has no alive file."""
    file = tmp_path / "alive"
    assert ask(str(file)) == (1, f"no sign of life: there is no file {file}")


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b", silent\n", b"x, y, z\n" * 9], ids=repr)
def test_another_file(tmp_path: Path, content: bytes) -> None:
    """What no worker wrote says of no worker that it lives."""
    file = tmp_path / "alive"
    file.write_bytes(content)
    assert ask(str(file)) == (1, f"no sign of life: {file} is not the alive file of a worker")


def test_folder(tmp_path: Path) -> None:
    """Nor does a folder; there is no traceback."""
    assert ask(str(tmp_path)) == (1, f"no sign of life: {tmp_path} cannot be read: Is a directory")


def test_imports_nothing_of_ours(tmp_path: Path) -> None:
    """Only the standard library is loaded, as the probe is asked every few seconds."""
    code = (
        "import runpy, sys; sys.argv = ['liveness', sys.argv[1]]\n"
        "try: runpy.run_module('contentworker.runtime.liveness', run_name='__main__', alter_sys=True)\n"
        "except SystemExit: pass\n"
        "print({name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'__main__'})"
    )
    file = written(tmp_path / "alive", READY, 0)
    command = [sys.executable, "-S", "-c", code, file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["{'contentworker'}"]


def test_worker_without_systemd(worker: StartWorker, tmp_path: Path) -> None:
    """In a container there is no NOTIFY_SOCKET: the variable with the file's name is enough."""
    file = tmp_path / "alive"
    serving = worker("--queues=escalation", WORKER_ALIVE_FILE=str(file))
    assert ask(str(file), "--ready")[0] == 0
    serving.kill()
    assert serving.wait() == 0
    assert ask(str(file)) == (1, f"no sign of life: there is no file {file}")
