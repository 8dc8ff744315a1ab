"""The delay before a retry, and which errors are retried."""

from collections.abc import Iterator

import pytest
from celery import Celery
from celery.exceptions import Reject, SoftTimeLimitExceeded
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contentworker import config
from contentworker.errors import ContentError, PermanentError
from contentworker.runtime.retry import retry_delay_seconds
from contentworker.runtime.settings import RetrySettings
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
    st.floats(1, 1e6),
    st.floats(1, 1e300),
    st.floats(0, 1e6),
)


@given(retries=st.integers(0, 10))
def test_delay_of_the_project(retries: int) -> None:
    """min(600, 60 * 2**n) and at most the jitter on top, never less."""
    base = min(600, 60 * 2**retries)
    assert base <= retry_delay_seconds(POLICY, retries) <= base + POLICY.jitter_seconds


@given(policy=POLICIES, retries=st.integers(0, 10**9))
def test_delay_of_any_policy(policy: RetrySettings, retries: int) -> None:
    """However often a task was tried and however steep the policy: no overflow, never above the maximum."""
    delay = retry_delay_seconds(policy, retries)
    assert policy.initial_delay_seconds <= delay <= policy.max_delay_seconds + policy.jitter_seconds


@given(retries=st.integers(0, 50))
def test_delays_without_jitter_never_fall(retries: int) -> None:
    """A later retry waits at least as long."""
    policy = POLICY.model_copy(update={"jitter_seconds": 0})
    assert retry_delay_seconds(policy, retries) <= retry_delay_seconds(policy, retries + 1)


def test_jitter_spreads_the_retries() -> None:
    """Tasks that fail together do not come back together."""
    delays = {retry_delay_seconds(POLICY, 0) for _ in range(100)}
    assert len(delays) > 90


@pytest.mark.parametrize(
    ("task", "retries"), [(BaseTask, 3), (IdempotentTask, 5), (CriticalTask, 0)], ids=lambda value: str(value)
)
def test_number_of_retries(task: type[BaseTask], retries: int) -> None:
    """The documented number for each class."""
    assert task.max_retries == retries


@pytest.fixture
def app() -> Iterator[Celery]:
    """An application that calls tasks in this process."""
    app = Celery("test", set_as_current=False, broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True
    yield app
    app.close()


def number() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        RetrySettings.model_validate({"multiplier": "x"})
    return caught.value


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        pytest.param(ContentError("a", "b"), "FAILURE", id="ContentError"),
        pytest.param(PermanentError("a"), "FAILURE", id="PermanentError"),
        pytest.param(number(), "FAILURE", id="ValidationError"),
        pytest.param(SoftTimeLimitExceeded(), "FAILURE", id="SoftTimeLimitExceeded"),
        pytest.param(Reject("a"), "REJECTED", id="Reject"),
    ],
)
@pytest.mark.parametrize("base", [BaseTask, IdempotentTask, CriticalTask], ids=lambda base: base.__name__)
def test_hopeless_errors_are_raised_once(
    app: Celery, base: type[BaseTask], error: Exception, ends: str
) -> None:
    """What trying again cannot help runs once."""
    runs = []

    @app.task(base=base, name="raises")
    def raises() -> None:
        runs.append(1)
        raise error

    assert raises.apply().state == ends
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("base", "expected"), [(BaseTask, 4), (IdempotentTask, 6), (CriticalTask, 1)], ids=["3", "5", "0"]
)
def test_other_errors_use_up_the_retries(app: Celery, base: type[BaseTask], expected: int) -> None:
    """Any other error is tried as often as the class allows, once for a CriticalTask."""
    runs = []

    @app.task(base=base, name="raises")
    def raises() -> None:
        runs.append(1)
        raise OSError("again")

    assert raises.apply().state == "FAILURE"
    assert len(runs) == expected


def test_critical_task_is_not_sent_back_by_a_lost_process() -> None:
    """Its message stays until it ends, and no death of a process repeats it."""
    assert CriticalTask.acks_late
    assert not CriticalTask.reject_on_worker_lost
    assert not CriticalTask.retry_on_worker_lost
