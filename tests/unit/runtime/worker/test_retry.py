"""The delay before a retry, and which errors are retried."""

import math
import pickle
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Task
from celery.app.task import Context
from celery.exceptions import Reject, Retry, SoftTimeLimitExceeded
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu.exceptions import OperationalError
from pydantic import ValidationError
from redis.exceptions import ConnectionError as RedisConnectionError

from contentworker import config
from contentworker.errors import ContentError, PermanentError
from contentworker.runtime.settings import RetrySettings
from contentworker.runtime.transport.protocol import Replaced
from contentworker.runtime.transport.validity import Validity
from contentworker.runtime.worker.request import ReplacingRetry
from contentworker.runtime.worker.retry import retry_delay_seconds
from contentworker.testing.inline import Inline
from tasks.base import BaseTask, CriticalTask, IdempotentTask

POLICY = config.load(environ={}).retries
POLICIES = st.builds(
    lambda initial, factor, multiplier, jitter: RetrySettings(
        initial_delay_seconds=initial,
        max_delay_seconds=initial * factor,
        multiplier=multiplier,
        jitter_seconds=jitter,
    ),
    st.floats(1e-3, 1e6),
    st.floats(1, 1e3),
    st.floats(1, 1e300),
    st.floats(0, 1e6),
)


@pytest.mark.parametrize(
    ("retries", "base"),
    [(0, 60), (1, 120), (2, 240), (3, 480), (4, 600), (5, 600), (10_000, 600)],
)
def test_delay_of_the_project(monkeypatch: pytest.MonkeyPatch, retries: int, base: int) -> None:
    """60 s, doubled each time, at most 600 s; the jitter of up to 30 s comes on top, also at the cap."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    assert retry_delay_seconds(POLICY, retries) == base + 30
    monkeypatch.setattr(random, "uniform", lambda low, high: low)
    assert retry_delay_seconds(POLICY, retries) == base


@settings(deadline=None)
@given(policy=POLICIES, retries=st.integers(0, 10**9))
def test_delay_of_any_policy(policy: RetrySettings, retries: int) -> None:
    """However often a task was tried and however steep the policy: no overflow, never above the maximum."""
    delay = retry_delay_seconds(policy, retries)
    assert policy.initial_delay_seconds <= delay <= policy.max_delay_seconds + policy.jitter_seconds


def test_jitter_spreads_the_retries() -> None:
    """Tasks that fail together do not come back together."""
    delays = {retry_delay_seconds(POLICY, 0) for _ in range(100)}
    assert len(delays) > 90


@pytest.mark.parametrize(
    ("task", "retries"), [(BaseTask, 3), (IdempotentTask, 5), (CriticalTask, 0)], ids=str
)
def test_number_of_retries(task: type[BaseTask], retries: int) -> None:
    """The documented number for each class."""
    assert task.max_retries == retries


def number() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        RetrySettings.model_validate({"multiplier": "x"})
    return caught.value


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(ContentError("a", "b"), "failed", id="ContentError"),
        pytest.param(PermanentError("a"), "failed", id="PermanentError"),
        pytest.param(number(), "failed", id="ValidationError"),
        pytest.param(SoftTimeLimitExceeded(), "time limit", id="SoftTimeLimitExceeded"),
        pytest.param(Reject("a"), "failed", id="Reject"),
    ],
)
@pytest.mark.parametrize("base", [BaseTask, IdempotentTask, CriticalTask], ids=lambda base: base.__name__)
def test_hopeless_errors_are_raised_once(
    inline: Inline, base: type[BaseTask], error: Exception, reason: str
) -> None:
    """What trying again cannot help runs once."""

    @inline.app.task(base=base, name="raises", shared=False)
    def raises() -> None:
        raise error

    raises.delay()
    assert len(inline.sent) == 1
    assert [letter.reason for letter in inline.dead_letters] == [reason]


@pytest.mark.parametrize(
    ("base", "delays"),
    [(BaseTask, [60, 120, 240]), (IdempotentTask, [60, 120, 240, 480, 600]), (CriticalTask, [])],
    ids=["3", "5", "0"],
)
def test_other_errors_use_up_the_retries(
    inline: Inline, monkeypatch: pytest.MonkeyPatch, base: type[BaseTask], delays: list[int]
) -> None:
    """Any other error is tried as often as the class allows, once for a CriticalTask, with the delays."""
    monkeypatch.setattr(random, "uniform", lambda low, high: low)

    @inline.app.task(base=base, name="raises", shared=False)
    def raises() -> None:
        raise OSError("again")

    assert raises.delay().state == "FAILURE"
    assert [each.delay_seconds for each in inline.sent] == [None, *delays]


def test_critical_task_is_not_sent_back_by_a_lost_process() -> None:
    """Its message stays until it ends, and no death of a process repeats it."""
    assert CriticalTask.acks_late
    assert not CriticalTask.reject_on_worker_lost
    assert not CriticalTask.retry_on_worker_lost


@pytest.mark.parametrize("base", [BaseTask, IdempotentTask])
def test_other_tasks_are_sent_again_after_a_lost_process(base: type[BaseTask]) -> None:
    """By a retry; by their message only if that cannot be sent."""
    assert (base.acks_late, base.retry_on_worker_lost, base.reject_on_worker_lost) == (True, True, True)


@pytest.mark.parametrize(
    ("reason", "requeue"),
    [
        pytest.param(OperationalError("away"), True, id="kombu"),
        pytest.param(RedisConnectionError("away"), True, id="redis"),
        pytest.param(ValueError("cannot be encoded"), False, id="what-it-says"),
    ],
)
def test_retry_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch, reason: Exception, requeue: bool) -> None:
    """In an outage of Redis the message goes back; a retry that can never be sent does not run for ever."""
    asked = []

    def cannot(_task: Task, *args: object, **kwargs: object) -> None:
        asked.append((args, kwargs))
        raise Reject(reason, requeue=False)

    monkeypatch.setattr(Task, "retry", cannot)
    with pytest.raises(Reject) as caught:
        BaseTask().retry(["a"], countdown=5)
    assert (caught.value.reason, caught.value.requeue) == (reason, requeue)
    assert asked == [((["a"],), {"countdown": 5})]


@pytest.fixture
def task(inline: Inline) -> Iterator[BaseTask]:
    """A task of the project's."""

    @inline.app.task(base=BaseTask, name="a.task", shared=False)
    def a_task(number: int) -> int:
        return number

    yield a_task
    inline.app.tasks.pop(a_task.name)  # the next test defines it anew


@pytest.mark.parametrize("properties", [None, {}, {"held": ["no transport of this process", 0, "me", "1-0"]}])
def test_a_task_begins_without_a_lease(task: BaseTask, properties: dict[str, Any] | None) -> None:
    """Another transport has none; the log line of a failure then knows when it began."""
    task.push_request(id="1", properties=properties)
    before = time.monotonic()
    task.before_start("1", [], {})
    assert before <= task.request.begun <= time.monotonic()


def test_a_task_begins_only_under_its_lease(task: BaseTask) -> None:
    """A message whose lease ended on the way to the pool process goes back to its queue."""
    validity = Validity()
    validity.extend(math.inf)
    task.push_request(id="1", properties={"held": [validity.uid, 0, "me", "1-0"]})
    task.before_start("1", [], {})
    validity.end()
    with pytest.raises(Reject) as caught:
        task.before_start("1", [], {})
    assert (caught.value.reason, caught.value.requeue) == ("its lease is over", True)


@pytest.mark.parametrize("throw", [True, False])
@pytest.mark.parametrize("is_sent", [True, False])
def test_a_retry_tells_the_main_process_what_it_replaced(
    task: BaseTask, monkeypatch: pytest.MonkeyPatch, is_sent: bool, throw: bool
) -> None:
    """Raised by Celery, or by the task itself: its message is not acknowledged."""

    def retry(self: Task, **_: Any) -> Retry:
        self.request.replaced.is_sent = is_sent
        if throw:
            raise Retry("later")
        return Retry("later")

    monkeypatch.setattr(Task, "retry", retry)
    task.push_request(id="1", replaced=Replaced("me", "1-0"))
    with pytest.raises(Retry) as caught:
        raise task.retry(throw=throw)
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), ReplacingRetry) is is_sent


def test_a_retry_takes_the_place_of_its_message(task: BaseTask) -> None:
    """Of the message that its request came with; the options of the call are kept."""
    task.push_request(id="1", args=[3], properties={"held": ["uid", 0, "me", "1-0"]})
    signature = task.signature_from_request(None, [4], {"b": 5}, countdown=6)
    assert (signature.args, signature.kwargs) == ((4,), {"b": 5})
    assert (signature.options["replaces"], signature.options["countdown"]) == (Replaced("me", "1-0"), 6)
    none_held: list[dict[str, Any] | None] = [None, {}]
    for properties in none_held:
        other = Context(id="2", args=[3], properties=properties)
        signature = task.signature_from_request(other)
        assert (signature.args, signature.options["task_id"]) == ((3,), "2")
        assert "replaces" not in signature.options
