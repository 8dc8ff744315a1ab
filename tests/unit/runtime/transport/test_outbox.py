"""Steps that wait for Redis, in their order."""

import pytest
import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from contentworker.runtime.transport.outbox import Outbox


class Steps:
    """Notes the steps that were taken; `error` is what they raise."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bool]] = []
        self.error: Exception | None = None

    def step(self, name: str, *, front: bool = False) -> str:
        if self.error:
            raise self.error
        self.taken.append((name, front))
        return name


@pytest.fixture
def woken() -> list[None]:
    """An entry for each time that the thread is woken that sends what waits."""
    return []


@pytest.fixture
def outbox(woken: list[None]) -> Outbox:
    return Outbox(lambda: woken.append(None))


def test_a_step_is_taken_at_once(outbox: Outbox, woken: list[None]) -> None:
    """Nothing waits afterwards."""
    steps = Steps()
    assert outbox.do(steps.step, "a", front=True) == "a"
    assert (steps.taken, bool(outbox), woken) == ([("a", True)], False, [])


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError(),
        RedisTimeoutError(),
        OSError(),
        ReadOnlyError("a replica"),
        ResponseError("MISCONF"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_steps_wait_for_redis_in_their_order(outbox: Outbox, woken: list[None], error: Exception) -> None:
    """Also those that would succeed: a dead letter comes before its acknowledgement."""
    steps = Steps()
    steps.error = error
    assert outbox.do(steps.step, "a", front=True) is None
    steps.error = None
    assert outbox.do(steps.step, "b") is None
    outbox.add(steps.step, "c")
    assert (steps.taken, bool(outbox), len(woken)) == ([], True, 3)
    outbox.send()
    assert (steps.taken, bool(outbox)) == ([("a", True), ("b", False), ("c", False)], False)


def test_what_fails_stays_with_all_behind_it(outbox: Outbox) -> None:
    """The next attempt begins with it."""
    steps = Steps()
    for name in ("a", "b"):
        outbox.add(steps.step, name)
    steps.error = RedisConnectionError("refused")
    for _ in range(2):
        with pytest.raises(RedisConnectionError):
            outbox.send()
    steps.error = None
    outbox.send()
    assert [name for name, _ in steps.taken] == ["a", "b"]


@pytest.mark.parametrize("error", [OutOfMemoryError("OOM"), ValueError()], ids=["full", "mistake"])
def test_what_waiting_does_not_help_is_raised(outbox: Outbox, error: Exception) -> None:
    """And does not wait."""
    steps = Steps()
    steps.error = error
    with pytest.raises(type(error)):
        outbox.do(steps.step, "a")
    assert not outbox


def test_the_log_says_that_acknowledgements_wait(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """Once: the others do not even try."""
    steps = Steps()
    steps.error = redis.exceptions.ConnectionError("Connection refused")
    for name in "ab":
        outbox.do(steps.step, name)
    assert [record.message for record in caplog.records] == [
        "Redis is unreachable (Connection refused): acknowledgements are queued until it returns"
    ]
