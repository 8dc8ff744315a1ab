"""What a worker ends at a cold shutdown, what is poison, and who hears that Redis is still away."""

import signal
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from celery.worker import state

from contentworker.runtime.worker.consumer import KeepingConsumer


@pytest.mark.parametrize("reported", [True, False])
def test_cold_shutdown_ends_what_has_just_begun(reported: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery cancels the tasks that pool processes have reported, and would wait for the end of others."""
    signalled: list[tuple[int, signal.Signals]] = []
    monkeypatch.setattr(KeepingConsumer.__mro__[1], "cancel_active_requests", lambda _: None)
    begun = Mock(_already_cancelled=False)
    monkeypatch.setattr(state, "reserved_requests", {begun})
    monkeypatch.setattr(state, "active_requests", {begun} if reported else set())
    consumer: Any = object.__new__(KeepingConsumer)
    consumer.pool = SimpleNamespace(
        _pool=SimpleNamespace(_pool=[SimpleNamespace(pid=7)]),
        terminate_job=lambda *arguments: signalled.append(arguments),
    )
    consumer.cancel_active_requests()
    assert signalled == ([] if reported else [(7, signal.SIGTERM)])
    assert begun._already_cancelled is not reported


@pytest.mark.parametrize(("deaths", "is_poison"), [(0, False), (4, False), (5, True), (6, True)])
def test_poison(deaths: int, is_poison: bool) -> None:
    """A message whose workers died `limits.max_deliveries` times."""
    limits = SimpleNamespace(limits=SimpleNamespace(max_deliveries=5))
    consumer: Any = SimpleNamespace(app=SimpleNamespace(runtime_settings=limits))
    assert KeepingConsumer._is_poison(consumer, SimpleNamespace(deliveries=deaths)) is is_poison
    assert KeepingConsumer._is_poison(consumer, SimpleNamespace()) is False


def test_each_failed_attempt_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked for it hears of each, before it is logged."""
    consumer: Any = object.__new__(KeepingConsumer)
    consumer._when_still_away = []
    events: list[str] = []
    consumer.when_still_away(lambda: events.append("told"))

    class Connection:
        def ensure_connection(self, log: Any, *_: Any, **pauses: float) -> None:
            assert pauses == {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 1.5}
            log("error", 0.5)
            log("error", 1.0)

    def ensure(_: Any, connection: Any) -> None:
        connection.ensure_connection(lambda *_: events.append("logged"))

    monkeypatch.setattr(KeepingConsumer.__mro__[1], "ensure_connected", ensure)
    consumer.ensure_connected(Connection())
    assert events == ["told", "logged"] * 2
