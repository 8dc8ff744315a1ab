"""The delay before a worker that died is replaced."""

import argparse
import time

import pytest

from contentworker.runtime.development import autoreload
from contentworker.runtime.development.autoreload import Reloader, _Worker


class NoChildren:
    """Forks nothing, and handles no signals."""


def test_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """They double up to 30 s; after a worker that served for more than a minute they start again."""
    monkeypatch.setattr(autoreload, "Children", NoChildren)
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    reloader = Reloader(argparse.Namespace())

    def delay_after(served_seconds: float | None) -> float:
        ready_at = None if served_seconds is None else now - served_seconds
        said = reloader._start_again(_Worker(1, "", 0.0, ready_at))
        assert reloader._start_at is not None
        seconds = reloader._start_at - now
        assert said == f"; another is started in {seconds:g} s"
        return seconds

    assert [delay_after(None) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert delay_after(60.0) == 30
    assert delay_after(60.1) == 0.5
    assert delay_after(1.0) == 1
