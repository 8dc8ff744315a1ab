"""When a lease is renewed, lost, and over: by a clock that the test moves, without a Redis."""

import math
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from contentworker.runtime.transport import lease as lease_module
from contentworker.runtime.transport import processes, validity
from contentworker.runtime.transport.holder import TIMEOUT_SECONDS
from contentworker.runtime.transport.lease import (
    BEAT_SECONDS,
    FENCE_SECONDS,
    LEASE_SECONDS,
    LOOK_SECONDS,
    Lease,
)
from contentworker.runtime.transport.protocol import CALM_SECONDS, PROMOTED_AT_A_TIME, Beat


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock_gettime(self, _: int) -> float:
        return self.now


class Redis:
    """The steps that a keeper takes, with the answers that a test gives."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.seconds = 0.0
        """Duration of a beat."""
        self.answer = Beat(alive=True, promoted=0, silent={})
        self.error: Exception | None = None
        self.reclaimed: list[tuple[str, int]] = []
        self.registered: list[str] = []
        self.skipped: list[int] = []
        """How many silent leases each beat passed over."""
        self.later: list[float | None] = []
        """How much later than usual each beat said that the next one comes."""
        self.moments = math.inf, math.inf

    def register(self, name: str) -> None:
        self.clock.now += self.seconds
        self.registered.append(name)

    def beat(self, _: str, skip: int = 0, **more: Any) -> Beat:
        self.clock.now += self.seconds
        self.skipped.append(skip)
        self.later.append(more.get("later_seconds"))
        if self.error:
            raise self.error
        return self.answer

    def next_moments(self) -> tuple[float, float]:
        return self.moments

    def reclaim(self, name: str, renewals: int) -> tuple[int, int]:
        self.reclaimed.append((name, renewals))
        return 3, 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """All that the lease knows of time."""
    clock = Clock()
    monkeypatch.setattr(validity, "time", SimpleNamespace(clock_gettime=clock.clock_gettime))
    monkeypatch.setattr(lease_module, "_callbacks", {"answers": [], "moved": []})
    return clock


@pytest.fixture
def server(clock: Clock) -> Redis:
    """What answers the keeper."""
    return Redis(clock)


class Fences(list[tuple[str, bool]]):
    """Why the work was stopped, and whether another worker may be working on it."""

    def __call__(self, reason: str, *, overlaps: bool) -> None:
        self.append((reason, overlaps))


@pytest.fixture
def fences() -> Fences:
    """Losses of the lease."""
    return Fences()


@pytest.fixture
def lease(server: Redis, fences: Fences) -> Lease:
    """A lease without its threads."""
    lease = Lease(server, lambda: None, fences, lambda: None, lambda: True, is_wanted=True)  # type: ignore[arg-type]
    lease._threads = [threading.current_thread()]
    lease.start()
    return lease


class Turns:
    """An event that lets a loop run so often."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.waited: list[float] = []

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)


def watch(lease: Lease) -> list[float]:
    """One look of the watchdog; return how long it waits then."""
    lease._stopping = turns = Turns(1)  # type: ignore[assignment]
    lease._watch()
    return turns.waited


def keep(lease: Lease, server: Redis, *errors: str) -> None:
    """A turn of the keeper for each of these; an empty one is none."""
    lease._stopping = Turns(len(errors))  # type: ignore[assignment]
    lease._wake = SimpleNamespace(wait=lambda _: None, clear=lambda: None)  # type: ignore[assignment]
    answers, beat = iter(errors), server.beat

    def answer(name: str, skip: int, **_: Any) -> Beat:
        server.error = redis.exceptions.ConnectionError(error) if (error := next(answers)) else None
        return beat(name, skip)

    server.beat = answer  # type: ignore[assignment, method-assign]
    lease._keep()
    server.beat = beat  # type: ignore[method-assign]


def test_a_lease_counts_from_before_the_question(lease: Lease, server: Redis, clock: Clock) -> None:
    """Redis may have renewed it at any moment since then: 10.5 s, for the first and each other one."""
    assert lease.validity.until == 1000.0 + FENCE_SECONDS == 1010.5
    clock.now, server.seconds = 1005.0, 1.5
    lease._beat()
    assert lease.validity.until == 1005.0 + 10.5
    lease.end()
    lease.start()
    assert lease.validity.until == 1006.5 + 10.5
    assert len(set(server.registered)) == 2


def test_what_has_a_lease_gets_no_second(lease: Lease, server: Redis) -> None:
    """Nor does a worker of the plain transport get any."""
    lease.start()
    assert server.registered == [lease.name]
    other = Lease(server, lambda: None, lambda *_, **__: None, lambda: None, lambda: True, is_wanted=False)  # type: ignore[arg-type]
    other._threads = [threading.current_thread()]
    other.start()
    assert (other.name, len(server.registered)) == ("", 1)


@pytest.mark.parametrize(
    ("seconds", "fenced"),
    [
        (10.4999, []),
        (10.5, [("it could not be renewed for 10.5 s", False)]),
        (12.0, [("it could not be renewed for 10.5 s", False)]),
        (12.0001, [("it could not be renewed for 10.5 s", True)]),
    ],
)
def test_the_watchdog_ends_work_in_time(
    lease: Lease, clock: Clock, fences: Fences, seconds: float, fenced: list[tuple[str, bool]]
) -> None:
    """At 10.5 s without renewal. From 12 s on, if the process was frozen, another may work on it already."""
    clock.now += seconds
    watch(lease)
    assert fences == fenced


def test_the_watchdog_looks_again_in_time(lease: Lease, clock: Clock, fences: Fences) -> None:
    """Every half second, and sooner when the end is near; it does not spin after it."""
    assert watch(lease) == [0.5]
    clock.now += 10.25
    assert watch(lease) == [0.25]
    clock.now += 0.24
    assert watch(lease) == [0.05]
    lease.end()
    clock.now += 100
    assert watch(lease) == [0.05]
    assert fences == []


def test_a_lease_that_redis_does_not_have_is_lost(lease: Lease, server: Redis, fences: Fences) -> None:
    """Another worker took it; its messages may be in work there. It is not extended."""
    until = lease.validity.until
    server.clock.now += 1
    server.answer = Beat(alive=False, promoted=0, silent={})
    lease._beat()
    assert fences == [("another worker took this one for dead", True)]
    assert lease.validity.until == until


@pytest.mark.parametrize("alive", [True, False])
def test_a_lease_that_ended_during_the_beat_is_not_extended(
    lease: Lease, server: Redis, fences: Fences, alive: bool
) -> None:
    """Nor lost once more: the answer is about the name that it had before."""
    server.answer = Beat(alive=alive, promoted=0, silent={})
    answer = server.beat

    def lose_it(name: str, skip: int, **_: Any) -> Beat:
        lease.end()
        return answer(name, skip)

    server.beat = lose_it  # type: ignore[assignment, method-assign]
    lease._beat()
    assert lease.validity.until == 0.0
    assert fences == []


def test_without_a_lease_there_is_none_to_lose(server: Redis, fences: Fences) -> None:
    """A worker of the plain transport looks after the delayed and the dead all the same."""
    plain = Lease(server, lambda: None, fences, lambda: None, lambda: True, is_wanted=False)  # type: ignore[arg-type]
    server.answer = Beat(alive=False, promoted=0, silent={"dead": 1})
    plain._beat()
    server.clock.now += 12
    plain._beat()
    assert (fences, server.reclaimed) == ([], [("dead", 1)])


def reclaims(lease: Lease, server: Redis, *beats: tuple[float, int]) -> list[list[tuple[str, int]]]:
    """What is taken back after each beat: seconds since the one before, and the other worker's renewals."""
    found = []
    for seconds, renewals in beats:
        server.reclaimed.clear()
        server.clock.now += seconds
        server.answer = Beat(alive=True, promoted=0, silent={lease.name: 0, "other": renewals})
        lease._beat()
        found.append([*server.reclaimed])
    return found


def test_a_worker_is_dead_after_twelve_seconds(lease: Lease, server: Redis) -> None:
    """Of which nothing was renewed, and not a moment before; each renewal starts them again."""
    assert LEASE_SECONDS == 12.0
    assert reclaims(lease, server, (0, 7), (11.984375, 7)) == [[], []]
    assert reclaims(lease, server, (0.015625, 7)) == [[("other", 7)]]
    assert reclaims(lease, server, (0, 1), (11.5, 1), (0.25, 2), (11.75, 2)) == [[]] * 4
    assert reclaims(lease, server, (0.25, 2)) == [[("other", 2)]]


def test_the_twelve_seconds_are_between_an_answer_and_a_question(lease: Lease, server: Redis) -> None:
    """What happens while Redis is asked may have come at any moment: it counts for the other worker."""
    server.seconds = 2.0
    # Answered at 2, asked at 13.75: less than 12 s, though the answer comes at 15.75.
    assert reclaims(lease, server, (0, 7), (11.75, 7)) == [[], []]
    assert reclaims(lease, server, (0, 7)) == [[("other", 7)]]


def test_an_ended_process_is_dead_at_once(
    lease: Lease, server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the same machine, as soon as its lease is silent."""
    monkeypatch.setattr(processes, "has_ended", lambda name: name == "other")
    assert reclaims(lease, server, (0, 7)) == [[("other", 7)]]
    monkeypatch.setattr(processes, "has_ended", lambda name: name != "other")
    assert reclaims(lease, server, (0, 7), (0.5, 7)) == [[], []]


def test_more_silent_leases_than_one_answer_names(lease: Lease, server: Redis) -> None:
    """They are named in turn, and each is over 12 s after it was first named; who renews meanwhile is not."""
    pages = [({"a": 1, "b": 1}, 2), ({"c": 1, "d": 1}, 4), ({"e": 1}, 0)]
    for silent, skip in pages:
        server.answer = Beat(alive=True, promoted=0, silent=silent, skip=skip)
        lease._beat()
    assert (server.skipped, server.reclaimed) == ([0, 2, 4], [])
    server.clock.now += 12
    for silent, skip in [({"a": 1, "b": 2}, 2), *pages[1:]]:
        server.answer = Beat(alive=True, promoted=0, silent=silent, skip=skip)
        lease._beat()
    assert sorted(server.reclaimed) == [("a", 1), ("c", 1), ("d", 1), ("e", 1)]


def test_silent_leases_are_named_from_the_first_again(lease: Lease, server: Redis) -> None:
    """After one was taken from, as the others have moved up, and after an outage, which proves no death."""
    server.answer = Beat(alive=True, promoted=0, silent={"a": 1}, skip=2)
    lease._beat()
    server.clock.now += 12
    lease._beat()
    lease._beat()
    assert server.skipped == [0, 2, 0]
    keep(lease, server, "refused", "")
    assert server.skipped == [0, 2, 0, 2, 0]


def test_the_lease_is_renewed_before_many_dead_are_done(lease: Lease, server: Redis) -> None:
    """What a beat has no time for is left to the next ones and to other workers."""
    server.answer = Beat(alive=True, promoted=0, silent={f"dead-{number}": 1 for number in range(100)})
    lease._beat()
    server.clock.now += 12
    reclaim = server.reclaim

    def slow(name: str, renewals: int) -> tuple[int, int]:
        server.clock.now += 0.125
        return reclaim(name, renewals)

    server.reclaim = slow  # type: ignore[method-assign]
    lease._beat()
    assert len(server.reclaimed) == 2
    lease._beat()
    assert len({name for name, _ in server.reclaimed}) == 4


@pytest.mark.parametrize(("promoted", "more"), [(PROMOTED_AT_A_TIME - 1, False), (PROMOTED_AT_A_TIME, True)])
def test_as_many_due_messages_as_one_script_moves(
    lease: Lease, server: Redis, promoted: int, more: bool
) -> None:
    """There may be more, so the next beat comes at once."""
    server.answer = Beat(alive=True, promoted=promoted, silent={})
    assert lease._beat() is more


def test_due_messages_are_moved_until_there_are_no_more(lease: Lease, server: Redis) -> None:
    """Without a wait in between; and not once the keeper is to stop."""
    many, none = (Beat(alive=True, promoted=each, silent={}) for each in (PROMOTED_AT_A_TIME, 0))
    lease._wake = SimpleNamespace(wait=lambda _: None, clear=lambda: None)  # type: ignore[assignment]
    for answers, turns in (([many, many, none], 3), ([many], 1)):
        given = iter(answers)
        server.beat = lambda *_, given=given, **__: next(given)  # type: ignore[method-assign]
        lease._stopping = Turns(turns)  # type: ignore[assignment]
        lease._keep()
        assert next(given, None) is None


def test_messages_that_moved_are_reported(
    lease: Lease, server: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Why, and how many; not that there were none. A callback that fails keeps no lease from renewal."""
    moved: list[tuple[str, int]] = []
    lease_module.when_moved(lambda *_: 1 / 0)  # type: ignore[arg-type] # it fails
    lease_module.when_moved(lambda how, number: moved.append((how, number)))
    lease._beat()
    server.answer = Beat(alive=True, promoted=2, silent={"other": 1})
    lease._beat()
    server.clock.now += 12
    server.answer = Beat(alive=True, promoted=0, silent={"other": 1})
    lease._beat()
    assert moved == [("promoted", 2), ("reclaimed", 3)]
    assert caplog.messages.count("A callback of the transport (moved) failed") == 2
    assert caplog.messages[-1] == "Worker other is gone; 3 messages that it held are back in their queues"
    server.reclaim = lambda *_: (0, 0)  # type: ignore[method-assign]
    reclaims(lease, server, (0, 7), (12, 7))
    assert len(moved) == 2
    assert "stay held" not in caplog.text


def test_an_outage_is_reported_once_and_proves_no_death(
    lease: Lease, server: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """While Redis is away no worker can renew: all get a full lease from its return on."""
    answers: list[bool] = []
    lease_module.when_redis_answers(answers.append)
    assert reclaims(lease, server, (0, 7)) == [[]]
    server.clock.now += 13
    keep(lease, server, "refused", "refused", "timed out", "", "")
    assert server.reclaimed == []
    assert reclaims(lease, server, (12, 7)) == [[("other", 7)]]
    assert answers == [False, True]
    assert [record.message for record in caplog.records if "lease" in record.message] == [
        "The lease cannot be renewed: refused",
        "The lease cannot be renewed: timed out",
        "The lease is renewed again",
    ]


def test_threads_end_with_the_lease_or_with_the_process(server: Redis, fences: Fences) -> None:
    """To stop waits for them, for three seconds at most; a process that ends does not."""
    lease = Lease(server, lambda: None, fences, lambda: None, lambda: True, is_wanted=True)  # type: ignore[arg-type]
    lease.start()
    threads = [*lease._threads]
    assert [thread.name for thread in threads] == ["transport-keeper", "transport-watchdog"]
    assert all(thread.is_alive() and thread.daemon for thread in threads)
    name = lease.name
    assert (name, lease.end(), lease.name) == (name, name, "")
    lease.stop_threads()
    assert not any(thread.is_alive() for thread in threads)
    assert lease_module.STOP_SECONDS == 3.0


def test_the_keeper_waits_between_two_beats(lease: Lease) -> None:
    """Half a second, or until it is woken; then it can be woken again, but not before. To stop wakes it."""
    done: list[str] = []

    class Wake:
        def wait(self, seconds: float) -> bool:
            done.append(f"wait {seconds}")
            return len(done) > 1

        def clear(self) -> None:
            done.append("clear")

        def set(self) -> None:
            done.append("set")

    lease._wake = Wake()  # type: ignore[assignment]
    lease._beat = lambda: bool(done.append("beat"))  # type: ignore[method-assign]
    lease._stopping = Turns(2)  # type: ignore[assignment]
    lease._keep()
    assert done == ["wait 0.5", "beat", "wait 0.5", "clear", "beat"]
    done.clear()
    lease._stopping = threading.Event()
    lease.stop_threads()
    assert (done, lease._stopping.is_set()) == (["set"], True)


def test_messages_that_another_version_wrote_are_reported(
    lease: Lease, server: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """They stay where they are: how many, and whose."""
    server.reclaim = lambda *_: (1, 2)  # type: ignore[method-assign]
    reclaims(lease, server, (0, 7), (12, 7))
    assert "2 messages of worker other stay held: another version wrote them" in caplog.text


def test_one_message_is_no_messages(lease: Lease, server: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """The lines about a dead worker are English for one message, too."""
    server.reclaim = lambda *_: (1, 1)  # type: ignore[method-assign]
    reclaims(lease, server, (0, 7), (12, 7))
    assert caplog.messages[-2:] == [
        "Worker other is gone; 1 message that it held is back in its queue",
        "1 message of worker other stays held: another version wrote it",
    ]


def test_acknowledgements_that_wait_go_first(
    server: Redis, fences: Fences, caplog: pytest.LogCaptureFixture
) -> None:
    """Then what was acknowledged since, then the renewal. A refusal is reported once and stops none of it."""
    done: list[str] = []
    lease = Lease(server, lambda: done.append("flush"), fences, lambda: None, lambda: True, is_wanted=True)  # type: ignore[arg-type]

    def refuse() -> None:
        done.append("waiting")
        raise redis.exceptions.ResponseError("MISCONF")

    def renew(name: str, skip: int, beat: Callable[[str, int], Beat] = server.beat, **_: Any) -> Any:
        done.append("renew")
        return beat(name, skip)

    server.beat = renew  # type: ignore[assignment, method-assign]
    lease.outbox.add(refuse)
    for _ in range(2):
        lease._beat()
    assert done == ["waiting", "flush", "renew"] * 2
    assert caplog.text.count("MISCONF") == 1


def calm(lease: Lease, server: Redis) -> None:
    """Have a lease renewed by a worker that holds nothing."""
    lease._has_work = lambda: False
    server.answer = Beat(alive=True, promoted=0, silent={}, clock=server.clock.now + 5000)
    lease._beat()


def seconds_to_next_beat(lease: Lease, server: Redis) -> float:
    """Of the keeper."""
    start, before = server.clock.now, len(server.skipped)

    class Wake(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if not self.is_set():
                server.clock.now += timeout or 0.0
            return self.is_set()

    woken = lease._wake.is_set()
    lease._wake = Wake()
    if woken:
        lease._wake.set()
    while len(server.skipped) == before:
        lease._stopping = Turns(1)  # type: ignore[assignment]
        lease._keep()
    return server.clock.now - start


def test_a_worker_that_holds_nothing_renews_rarely(lease: Lease, server: Redis) -> None:
    """The others know, and it has time for another attempt before the lease is over."""
    assert CALM_SECONDS + BEAT_SECONDS + TIMEOUT_SECONDS < FENCE_SECONDS
    calm(lease, server)
    assert server.later == [CALM_SECONDS - BEAT_SECONDS]
    assert CALM_SECONDS - LOOK_SECONDS <= seconds_to_next_beat(lease, server) <= CALM_SECONDS


@pytest.mark.parametrize(("silent", "due"), [(5003.75, math.inf), (math.inf, 5003.75)])
def test_a_worker_that_holds_nothing_looks_each_second(
    lease: Lease, server: Redis, silent: float, due: float
) -> None:
    """By Redis's clock. A message that it knows of is moved in time, a dead worker noticed in a second."""
    calm(lease, server)
    server.moments = server.clock.now + silent, server.clock.now + due
    assert seconds_to_next_beat(lease, server) == (3.75 if due < math.inf else 4)


def test_a_beat_says_when_the_next_message_is_due(lease: Lease, server: Redis) -> None:
    """It comes instead of a look."""
    lease._has_work = lambda: False
    server.answer = Beat(alive=True, promoted=0, silent={}, clock=7000, due=7000.625)
    server.moments = math.inf, 7000.625
    lease._beat()
    assert seconds_to_next_beat(lease, server) == 0.625


def test_it_renews_at_once_when_it_takes_a_message(lease: Lease, server: Redis) -> None:
    """So that its death would be noticed as soon as any; also if the message comes during a beat."""
    calm(lease, server)
    lease.hurry()
    lease._has_work = lambda: True
    assert seconds_to_next_beat(lease, server) == 0
    assert server.later[-1] == 0
    assert seconds_to_next_beat(lease, server) == BEAT_SECONDS
    beat = server.beat

    def take_meanwhile(name: str, skip: int, **more: Any) -> Beat:
        lease.hurry()
        return beat(name, skip, **more)

    server.beat = take_meanwhile  # type: ignore[assignment, method-assign]
    calm(lease, server)
    server.beat = beat  # type: ignore[method-assign]
    assert seconds_to_next_beat(lease, server) == 0


@pytest.mark.parametrize("answer", [{"silent": {"other": 1}}, {"promoted": 1}])
def test_with_something_to_look_after_no_worker_is_calm(
    lease: Lease, server: Redis, answer: dict[str, Any]
) -> None:
    """A silent worker, or delayed messages of which more may be due."""
    calm(lease, server)
    server.answer = Beat(**{"alive": True, "promoted": 0, "silent": {}, "clock": 0.0, **answer})
    lease._beat()
    assert seconds_to_next_beat(lease, server) == BEAT_SECONDS
