"""An outage of Redis is reported once at its beginning and once at its end."""

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from contentworker.runtime.logs import outages
from contentworker.runtime.logs.outages import Outage

CONSUMER = logging.getLogger("celery.worker.consumer.consumer")
KEEPER = logging.getLogger("contentworker.runtime.transport")
MESSAGES = logging.getLogger("contentworker.runtime.worker.consumer")
LETTERS = logging.getLogger("contentworker.runtime.worker.final_failures")
POOL = logging.getLogger("multiprocessing")
RESULTS = logging.getLogger("celery.backends.base")
REFUSED = RedisConnectionError("Connection refused.")
FULL = OutOfMemoryError("command not allowed when used memory > 'maxmemory'")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Outage]:
    """One whose filters are gone in the end."""
    monkeypatch.setattr(outages, "Outage", lambda: Outage(clock))
    names = {each.logger for each in outages.REPEATED}
    before = {name: logging.getLogger(name).filters[:] for name in names}
    worker: Any = SimpleNamespace(app=SimpleNamespace(steps={"consumer": set()}))
    caplog.set_level("WARNING")
    outages.begin(worker)
    assert worker.app.steps == {"consumer": {outages.OutageStep}}
    yield worker.app.outage
    for name, filters in before.items():
        logging.getLogger(name).filters[:] = filters


def test_two_lines(outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Whichever part notices it first, however often, and though parts find it over at different times."""
    CONSUMER.warning("%s (%r)", "consumer: Connection to broker lost. Trying", REFUSED)
    KEEPER.warning("The lease cannot be renewed: %s", REFUSED)
    for _ in range(9):
        CONSUMER.error("consumer: Cannot connect to %s: %s.\n%s\n", "redis://h", REFUSED, "Trying again")
        CONSUMER.critical("Frequent restarts detected: %r", ValueError(), exc_info=True)
    KEEPER.critical("Lease lost (%s): the work on %d messages is stopped", "of it", 2)
    POOL.error("Process %r pid:%r exited with %r", "ForkPoolWorker-1", 7, "signal 9 (SIGKILL)")
    RESULTS.warning("Failed operation %s. Retrying %s more times. (%s)", "_store_result", 9, REFUSED)
    KEEPER.warning("The start of %s could not be noted: %s", "1-0", REFUSED)
    MESSAGES.warning("A message goes back to its queue: %s", REFUSED)
    logging.getLogger("celery.backends.redis").error("Connection to Redis lost: Retry (%s/%s)", 1, 20)
    for reason in (REFUSED, "others wait already"):
        LETTERS.error("The dead letter of %s cannot be written, so its message stays held: %s", "a", reason)
    clock.now += 40
    KEEPER.warning("The lease is renewed again")
    clock.now += 10
    outage.settle()
    assert len(caplog.messages) == 1, "the connection is not there yet"
    outage.ends("connection")
    outage.settle()
    CONSUMER.warning("%s (%r)", "consumer: Connection to broker lost. Trying", REFUSED)
    clock.now += 1
    outage.ends("connection")
    clock.now += outages.SETTLED_SECONDS
    outage.settle()
    outage.settle()
    first, last = caplog.messages
    assert first.startswith("Redis cannot be reached (Connection refused.). No new task starts until it can;")
    assert (
        last == "Redis answers again after 51 s; the lease ended meanwhile, and 2 running tasks start again"
    )


def test_the_next_outage_is_reported_as_well(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """With its own numbers: its length, and the tasks that start again."""
    for stopped in (2, 1, 0):
        KEEPER.warning("The lease cannot be renewed: %s", REFUSED)
        if stopped:
            KEEPER.critical("Lease lost (%s): the work on %d messages is stopped", "of it", stopped)
        clock.now += 5
        KEEPER.warning("The lease is renewed again")
        clock.now += outages.SETTLED_SECONDS
        outage.settle()
    assert [message.split(" (")[0] for message in caplog.messages] == [
        "Redis cannot be reached",
        "Redis answers again after 5 s; the lease ended meanwhile, and 2 running tasks start again",
        "Redis cannot be reached",
        "Redis answers again after 5 s; the lease ended meanwhile, and 1 running task starts again",
        "Redis cannot be reached",
        "Redis answers again after 5 s",
    ]


def test_what_no_outage_makes_stays(outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal, a lease that another took, a process that was killed by hand, a clock that is wrong."""
    KEEPER.warning("The lease cannot be renewed: %s", ReadOnlyError("You can't write against a replica"))
    KEEPER.warning("The lease is renewed again")
    KEEPER.critical("Lease lost (%s): the work on %d messages is stopped", "another worker had it", 2)
    POOL.error("Process %r pid:%r exited with %r", "ForkPoolWorker-1", 7, "signal 9 (SIGKILL)")
    logging.getLogger("celery.events.state").warning("Substantial drift from %s", "w")
    CONSUMER.critical("Frequent restarts detected: %r", ValueError())
    LETTERS.error("The dead letter of %s cannot be written, so its message stays held: %s", "a", FULL)
    RESULTS.warning("Failed operation %s. Retrying %s more times. (%s)", "_store_result", 9, FULL)
    assert len(caplog.messages) == 8
    assert not outage.is_recent


def test_it_is_over_when_nothing_has_failed_for_three_seconds(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted from the last part that reaches Redis again; each part tells so once."""
    outage.begins("one", "why")
    outage.begins("other", "why else")
    assert [outage.ends(part) for part in ("one", "one", "unknown")] == [True, False, False]
    clock.now += 4
    outage.settle()
    assert outage.lease_lost(1)
    assert outage.lease_lost(2)
    assert outage.ends("other")
    clock.now += 2.9
    outage.settle()
    assert len(caplog.messages) == 1
    clock.now += 0.1
    outage.settle()
    assert caplog.messages[1:] == [
        "Redis answers again after 4 s; the lease ended meanwhile, and 3 running tasks start again"
    ]


def test_an_outage_is_recent_for_a_minute(clock: Clock) -> None:
    """Its late events say nothing new; what comes later is of something else."""
    clock.now = 0.0
    outage = Outage(clock)
    assert not outage.is_recent
    assert not outage.lease_lost(3)
    outage.begins("one", "why")
    assert outage.is_recent
    assert not outage.has_stopped_work
    assert outage.lease_lost(3)
    outage.ends("one")
    clock.now = 59.9
    outage.settle()
    assert outage.has_stopped_work
    clock.now = 60
    assert not outage.is_recent
    assert not outage.has_stopped_work


def test_the_lines_stay_for_who_debugs(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    """At level debug, where a logger has that; an error without text is told by its kind."""
    caplog.set_level("DEBUG", CONSUMER.name)
    CONSUMER.error("consumer: Cannot connect to %s: %s.", "redis://h", RedisTimeoutError())
    CONSUMER.error("consumer: Something else: %s", REFUSED)
    assert [(record.levelname, record.levelno) for record in caplog.records] == [
        ("WARNING", logging.WARNING),
        ("DEBUG", logging.DEBUG),
        ("ERROR", logging.ERROR),
    ]
    assert caplog.messages[0].startswith("Redis cannot be reached (TimeoutError).")


def test_lines_of_another_cause_stay(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    """During an outage as well: a server that is full, a process that ended by itself."""
    waits = "The dead letter of %s cannot be written, so its message stays held: %s"
    LETTERS.error(waits, "a", "others wait already")
    KEEPER.warning("The lease cannot be renewed: %s", REFUSED)
    assert caplog.messages[1].startswith("Redis cannot be reached (Connection refused.). No new task")
    LETTERS.error(waits, "a", FULL)
    KEEPER.warning("Redis is unreachable: %(why)s", {"why": "a reason"})
    POOL.error("Process %r pid:%r exited with %r", "ForkPoolWorker-1", 7, "signal 9 (SIGKILL)")
    outage.lease_lost(1)
    POOL.error("Process %r pid:%r exited with %r", "ForkPoolWorker-1", 7, "exitcode 70")
    assert len(caplog.messages) == 6


def test_the_end_is_looked_for_every_second(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    """By the event loop, or at each connection where there is none."""
    calls: list[Any] = []
    hub = SimpleNamespace(call_repeatedly=lambda *call: calls.append(call))
    app = SimpleNamespace(outage=outage)
    step = object.__new__(outages.OutageStep)
    step.register_with_event_loop(SimpleNamespace(app=app), hub)
    assert calls == [(1.0, outage.settle)]
    for loop, settled in ((hub, 0), (None, 1)):
        settles: list[int] = []
        app.outage = SimpleNamespace(ends=calls.append, settle=lambda settles=settles: settles.append(1))
        step.start(SimpleNamespace(app=app, hub=loop))
        assert calls.pop() == "connection"
        assert len(settles) == settled
