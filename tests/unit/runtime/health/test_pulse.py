"""A worker's pulse without a worker: how often it beats, and what it says of itself."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state as work

from contentworker.runtime.health.pulse import ALIVE_FILE, WATCHDOG, Pulse


def pulse(hard_limit_seconds: float = 300, /, **variables: str) -> Pulse:
    """A pulse of a worker with this hard time limit."""
    limits = SimpleNamespace(hard_time_limit_seconds=hard_limit_seconds)
    amqp = SimpleNamespace(queues=SimpleNamespace(consume_from={"rewrite": None}))
    app: Any = SimpleNamespace(runtime_settings=SimpleNamespace(limits=limits), amqp=amqp)
    return Pulse(app, variables)


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        pytest.param({}, 10, id="no watchdog"),
        pytest.param({WATCHDOG: "30"}, 10, id="a third is ten"),
        pytest.param({WATCHDOG: "29"}, 29 / 3, id="a third is less"),
        pytest.param({WATCHDOG: "90"}, 10, id="a third is more"),
    ],
)
def test_interval(variables: dict[str, str], seconds: float) -> None:
    """A third of the watchdog, and ten seconds at most."""
    assert pulse(**variables).interval_seconds == seconds


def test_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each state with how long it may be silent: an hour, or twice the hard limit; `ready` not at all."""
    for hard_limit_seconds, long in ((1800, 3600), (1801, 3602)):
        told = pulse(hard_limit_seconds)
        assert (told.state, told.patience_seconds) == ("starting", long)
        told.loop_begins()
        assert (told.state, told.patience_seconds) == ("ready", None)
        told.solo_task(42)
        assert (told.state, told.patience_seconds) == ("ready", 42)
        told.redis_answers(False)
        assert (told.state, told.patience_seconds) == ("waiting for Redis", long)
        told.redis_answers(True)
        told.solo_task(None)
        assert (told.state, told.patience_seconds) == ("ready", None)
        told.waits()
        assert (told.state, told.patience_seconds) == ("waiting for Redis", long)
        told.stops()
        told.loop_begins()
        assert (told.state, told.patience_seconds) == ("stopping", long)


def test_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of `systemctl status`: tasks that run are not counted as processed."""
    told = pulse()
    assert told.status == "starting"
    monkeypatch.setattr(work, "active_requests", {"one"})
    monkeypatch.setattr(work, "all_total_count", [1235])
    told.loop_begins()
    assert told.status == "rewrite: 1 running, 1,234 processed"
    told.stops()
    assert told.status == "rewrite: finishing 1 task"
    monkeypatch.setattr(work, "active_requests", {"one", "two"})
    assert told.status == "rewrite: finishing 2 tasks"
    monkeypatch.setattr(work, "active_requests", set())
    assert told.status == "rewrite: stopping"


def test_alive_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line of 64 bytes, replaced in place; removed in the end. A folder that is gone is logged once."""
    file = tmp_path / "alive"
    told = pulse(**{ALIVE_FILE: str(file)})
    told.beat()
    assert file.read_bytes() == b"starting, silent for up to 3600 s".ljust(63) + b"\n"
    told.loop_begins()
    assert file.read_bytes() == b"ready".ljust(63) + b"\n"
    told.end()
    assert not file.exists()
    broken = pulse(**{ALIVE_FILE: str(tmp_path / "gone" / "alive")})
    broken.beat()
    broken.beat()
    (message,) = caplog.messages
    assert message.startswith(f"{ALIVE_FILE}: cannot write {tmp_path}/gone/alive (No such file or directory)")


def test_a_watchdog_that_is_no_number() -> None:
    """The variable is named, with what it holds."""
    with pytest.raises(SystemExit, match=r"WORKER_WATCHDOG_SECONDS: must be a whole number.*'1\.5'"):
        pulse(**{WATCHDOG: "1.5"})
