"""The probe of an alive file: what it says, with which exit code, for each state and age."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from contentworker.runtime.health import liveness

NOW = 1_800_000_000.0
READY, WAITING = "ready", "waiting for Redis, silent for up to 3600 s"
BUSY = "ready, silent for up to 310 s"

Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run the command in this process; exit code and output."""
    monkeypatch.setattr(time, "time", lambda: NOW)

    def ask(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["liveness", *arguments])
        code = liveness.main()
        said = capsys.readouterr()
        assert not said.err
        return code, said.out.removesuffix("\n")

    return ask


@pytest.mark.parametrize(
    ("line", "age_seconds", "options", "expected"),
    [
        pytest.param(READY, 3, (), (0, "ready, 3 s ago"), id="ready"),
        pytest.param(READY, 3, ("--ready",), (0, "ready, 3 s ago"), id="ready-asked"),
        pytest.param(READY, 60, (), (0, "ready, 60 s ago"), id="at-the-limit"),
        pytest.param(READY, 60.6, (), (1, "no sign of life for 61 s (at most 60)"), id="hung"),
        pytest.param(READY, 75, ("--max-age=90",), (0, "ready, 75 s ago"), id="patient"),
        pytest.param(
            READY, 8, ("--max-age", "7.5"), (1, "no sign of life for 8 s (at most 7.5)"), id="impatient"
        ),
        pytest.param(READY, -500, (), (0, "ready, 0 s ago"), id="clock-put-back"),
        pytest.param(BUSY, 310, ("--ready",), (0, "ready, 310 s ago"), id="solo-in-a-task"),
        pytest.param(BUSY, 310.6, (), (1, "no sign of life for 311 s (at most 310)"), id="solo-hung"),
        pytest.param(
            "ready, silent for up to 7 s", 60, (), (0, "ready, 60 s ago"), id="its-own-limit-is-shorter"
        ),
        pytest.param(WAITING, 3600, (), (0, "waiting for Redis, 3600 s ago"), id="waiting"),
        pytest.param(WAITING, 7, ("--ready",), (1, "not ready: waiting for Redis, 7 s ago"), id="not-ready"),
        pytest.param(WAITING, 3601, (), (1, "no sign of life for 3601 s (at most 3600)"), id="waiting-hung"),
    ],
)
def test_answer(
    ask: Ask,
    tmp_path: Path,
    line: str,
    age_seconds: float,
    options: tuple[str, ...],
    expected: tuple[int, str],
) -> None:
    """Exit code and one plain sentence, on both sides of each limit."""
    file = tmp_path / "alive"
    file.write_text(f"{line:<63}\n", "utf-8")
    os.utime(file, (NOW - age_seconds, NOW - age_seconds))
    assert ask(str(file), *options) == expected


def test_no_file(ask: Ask, tmp_path: Path) -> None:
    """A worker that has not started, or has ended, has no alive file."""
    file = tmp_path / "alive"
    assert ask(str(file)) == (1, f"no sign of life: there is no file {file}")


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b", silent\n", b"x, y, z\n" * 9], ids=repr)
def test_another_file(ask: Ask, tmp_path: Path, content: bytes) -> None:
    """A file that no worker wrote is no sign of life."""
    file = tmp_path / "alive"
    file.write_bytes(content)
    assert ask(str(file)) == (1, f"no sign of life: {file} is not the alive file of a worker")


def test_folder(ask: Ask, tmp_path: Path) -> None:
    """Nor is a folder; there is no traceback."""
    assert ask(str(tmp_path)) == (1, f"no sign of life: {tmp_path} cannot be read: Is a directory")
