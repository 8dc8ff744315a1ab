"""The life of a failing task in the worker's main process: its steps in order; no error ends the worker."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from celery import Celery
from celery.exceptions import Ignore, Reject, Retry, TaskRevokedError, WorkerLostError
from celery.worker import request as celery_request
from celery.worker import state
from celery.worker.request import ExceptionInfo, create_request_cls
from redis.exceptions import ConnectionError as RedisConnectionError

from contentworker import config
from contentworker.runtime.records import revocations
from contentworker.runtime.records.dead_letters import DeadLetter
from contentworker.runtime.transport import uniqueness
from contentworker.runtime.transport.messages import Delivery
from contentworker.runtime.transport.validity import Validity, now
from contentworker.runtime.worker import application, final_failures, request
from tasks.base import BaseTask

RAW = b'{"as": "it lay in Redis"}'


class Pool:
    """A pool that cannot pickle what it is given: it has made a result by then, and keeps it."""

    def __init__(self) -> None:
        self._pool = self
        self._cache: dict[int, Any] = {}

    def apply_async(self, *_: Any, correlation_id: str, **__: Any) -> None:
        discard = self._cache.clear
        self._cache[1] = SimpleNamespace(correlation_id=correlation_id, discard=discard)
        raise RecursionError("maximum recursion depth exceeded while pickling an object")


@pytest.fixture
def app() -> Iterator[Celery]:
    """An application that connects to nothing."""
    made = application.build(config.load(environ={}), "redis://127.0.0.1:1/0")
    yield made
    made.close()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, redis_is_away: list[bool]) -> list[DeadLetter]:
    """The letters that were written, or are to be written later."""
    letters: list[DeadLetter] = []

    def keep(_: Any, letter: DeadLetter, *__: Any) -> bool:
        letters.append(letter)
        return not redis_is_away

    monkeypatch.setattr(final_failures, "keep", keep)
    return letters


@pytest.fixture
def redis_is_away() -> list[bool]:
    """Not empty: no letter can be written now."""
    return []


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def acknowledged() -> list[str]:
    """Whether the message was let go of."""
    return []


@pytest.fixture
def lease() -> Validity:
    """A lease that holds."""
    validity = Validity()
    validity.extend(now() + 1000)
    return validity


@pytest.fixture
def request_of_a_task(app: Celery, pool: Pool, acknowledged: list[str], lease: Validity) -> Any:
    def body() -> None:
        """Do nothing."""

    task = app.task(base=BaseTask, name="probe.unit", shared=False)(body)
    message = SimpleNamespace(
        headers={"id": "1", "task": "probe.unit", "retries": 0, "tenant": object()},
        body=json.dumps([[], {}, {}]),
        payload=[[], {}, {}],
        content_type="application/json",
        content_encoding="utf-8",
        delivery_info={"routing_key": "celery"},
        properties={"held": [lease.uid, 0, "holder", "1"]},
        raw=RAW,
        deliveries=0,
        delivery=None,
    )
    made: Any = create_request_cls(BaseTask.Request, task, pool, "w", None, app=app)
    return made(
        message,
        on_ack=lambda *_: acknowledged.append("ack"),
        on_reject=lambda _, __, requeue: acknowledged.append("back" if requeue else "reject"),
        app=app,
        task=task,
        hostname="w@h",
    )


def test_what_cannot_be_handed_over_frees_its_slot(
    request_of_a_task: Any, pool: Pool, kept: list[DeadLetter], acknowledged: list[str]
) -> None:
    """Celery frees it on `TaskRevokedError`; the pool forgets the result, as its end would wait for it."""
    with pytest.raises(TaskRevokedError):
        request_of_a_task.execute_using_pool(pool)
    assert acknowledged == ["ack"]
    assert pool._cache == {}
    (letter,) = kept
    assert (letter.error, letter.message) == (
        "RecursionError: maximum recursion depth exceeded while pickling an object",
        RAW.decode(),
    )


@pytest.mark.parametrize(("answer", "message"), [(RedisConnectionError("away"), "back"), (False, "ack")])
def test_unique_task_that_may_not_begin(
    request_of_a_task: Any,
    pool: Pool,
    acknowledged: list[str],
    monkeypatch: pytest.MonkeyPatch,
    answer: bool | Exception,
    message: str,
) -> None:
    """While Redis is away its message goes back to the queue; superseded, it is dropped."""

    def begin(*_: Any) -> bool:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(uniqueness, "begin", begin)
    request_of_a_task.message.claim = uniqueness.Claim("lock", "1", "turn", "queued", 1)
    request_of_a_task.message.channel = SimpleNamespace(holder=SimpleNamespace(client=None))
    with pytest.raises(TaskRevokedError):
        request_of_a_task.execute_using_pool(pool)
    assert acknowledged == [message]


@pytest.mark.usefixtures("storeless")
@pytest.mark.parametrize(
    ("is_closed", "answer", "message"),
    [(True, True, "ack"), (True, RedisConnectionError("away"), "back"), (False, True, "")],
)
def test_revoked_while_the_worker_connected_again(
    request_of_a_task: Any,
    pool: Pool,
    acknowledged: list[str],
    kept: list[DeadLetter],
    monkeypatch: pytest.MonkeyPatch,
    is_closed: bool,
    answer: bool | Exception,
    message: str,
) -> None:
    """The task waited here while the connection was lost: Redis is asked. Other tasks cost nothing."""
    asked = Mock(side_effect=[answer])
    monkeypatch.setattr(revocations, "is_revoked", asked)
    monkeypatch.setattr(state, "revoked", set())
    monkeypatch.setattr(celery_request, "revoked_tasks", state.revoked)
    request_of_a_task.message.delivery = Delivery("holder", 0, "1", "celery")
    request_of_a_task.message.channel = Mock(closed=is_closed)
    with pytest.raises(TaskRevokedError):  # the one that was not asked about cannot be handed over
        request_of_a_task.execute_using_pool(pool)
    assert asked.call_count == is_closed
    assert (acknowledged, len(kept)) == ([message or "ack"], not is_closed)


def test_failure_that_cannot_be_handled_is_given_up(
    request_of_a_task: Any, kept: list[DeadLetter], acknowledged: list[str]
) -> None:
    """Celery raises a task's MemoryError again in the worker's main process."""
    try:
        raise MemoryError("on request")
    except MemoryError:
        failure = ExceptionInfo()
    request_of_a_task.on_success((True, failure, 0.1))
    assert acknowledged == ["ack"]
    assert [letter.error for letter in kept] == ["MemoryError: on request"]


def test_start_that_cannot_be_noted_ends_nothing(
    request_of_a_task: Any, acknowledged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """billiard would pass it on to the loop, and end the worker; the task runs on."""

    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr(request, "since", fail)
    request_of_a_task.on_accepted(1, 0.0)
    assert acknowledged == []


def info_of(error: BaseException) -> ExceptionInfo:
    try:
        raise error
    except BaseException:  # noqa: BLE001 (any that is given)
        return ExceptionInfo()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The states that were counted."""
    states: list[str] = []
    monkeypatch.setattr(request, "count", lambda _, *, state, **__: states.append(state))
    return states


@pytest.fixture
def storeless(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is stored: there is no Redis."""
    for name in ("mark_as_failure", "mark_as_retry", "mark_as_revoked"):
        monkeypatch.setattr(app.backend, name, lambda *_, **__: None)


@pytest.mark.usefixtures("storeless")
@pytest.mark.parametrize(
    ("error", "letters", "message", "state"),
    [
        pytest.param(ValueError("final"), 1, ["ack"], "failure", id="final"),
        pytest.param(Reject("no", requeue=False), 1, ["reject"], "rejected", id="rejected"),
        pytest.param(Reject("later", requeue=True), 0, ["back"], "rejected", id="back"),
        pytest.param(Ignore(), 0, ["ack"], "ignored", id="ignored"),
        pytest.param(Retry("again", exc=ValueError("x")), 0, ["ack"], "retry", id="retried"),
    ],
)
def test_final_failure_is_kept_before_its_message_goes(
    request_of_a_task: Any,
    kept: list[DeadLetter],
    acknowledged: list[str],
    counted: list[str],
    error: Exception,
    letters: int,
    message: list[str],
    state: str,
) -> None:
    """Each end has a dead letter or none, one answer to the broker, and one count."""
    request_of_a_task.on_success((True, info_of(error), 0.1))
    assert (len(kept), acknowledged, counted) == (letters, message, [state])


@pytest.mark.usefixtures("storeless")
def test_message_stays_held_until_its_letter_is_written(
    request_of_a_task: Any, kept: list[DeadLetter], acknowledged: list[str], redis_is_away: list[bool]
) -> None:
    """While Redis is away nothing is acknowledged, and one letter is enough."""
    redis_is_away.append(True)
    request_of_a_task.on_success((True, info_of(ValueError("final")), 0.1))
    request_of_a_task.acknowledge()
    assert (len(kept), acknowledged) == (1, [])
    request_of_a_task.acknowledge_now()
    assert acknowledged == ["ack"]


@pytest.mark.usefixtures("storeless")
@pytest.mark.parametrize("end", ["failure", "soft-limit", "start"])
def test_lost_lease_leaves_the_outcome_to_another_worker(
    request_of_a_task: Any,
    kept: list[DeadLetter],
    acknowledged: list[str],
    counted: list[str],
    lease: Validity,
    pool: Pool,
    end: str,
) -> None:
    """No letter, no acknowledgement, no count."""
    lease.end()
    if end == "failure":
        request_of_a_task.on_failure(info_of(ValueError("late")))
    elif end == "soft-limit":
        request_of_a_task.on_timeout(soft=False, timeout=1)
    else:
        with pytest.raises(TaskRevokedError):
            request_of_a_task.execute_using_pool(pool)
    assert (kept, acknowledged, counted, pool._cache) == ([], [], [], {})


@pytest.mark.usefixtures("storeless")
@pytest.mark.parametrize(
    ("retries", "is_sent", "goes_back", "letters", "message", "state"),
    [
        pytest.param(2, True, True, 0, ["ack"], "retry", id="retried"),
        pytest.param(2, False, True, 0, ["back"], "rejected", id="cannot-be-sent"),
        pytest.param(2, False, False, 1, ["ack"], "failure", id="cannot-be-sent-nor-go-back"),
        pytest.param(3, True, True, 1, ["ack"], "failure", id="no-retry-left"),
    ],
)
def test_lost_process(
    app: Celery,
    request_of_a_task: Any,
    kept: list[DeadLetter],
    acknowledged: list[str],
    counted: list[str],
    monkeypatch: pytest.MonkeyPatch,
    retries: int,
    is_sent: bool,
    goes_back: bool,
    letters: int,
    message: list[str],
    state: str,
) -> None:
    """The main process sends the retry; if it cannot, the message goes back; the last try is final."""
    sent = []

    def signature(*_: Any, **options: Any) -> Any:
        if not is_sent:
            raise OSError("away")
        return SimpleNamespace(apply_async=lambda: sent.append(options["retries"]))

    monkeypatch.setattr(request_of_a_task.task.__class__, "signature_from_request", signature)
    monkeypatch.setattr(request_of_a_task.task.__class__, "reject_on_worker_lost", goes_back)
    monkeypatch.setattr(app.backend, "_get_task_meta_for", lambda task_id: {"status": "STARTED"})
    request_of_a_task.request_dict["retries"] = retries
    request_of_a_task.on_failure(info_of(WorkerLostError("killed")))
    assert (sent, len(kept), acknowledged, counted) == (
        [retries + 1] if state == "retry" else [],
        letters,
        message,
        [state],
    )


@pytest.mark.usefixtures("storeless")
def test_process_lost_after_its_success(
    app: Celery,
    request_of_a_task: Any,
    kept: list[DeadLetter],
    acknowledged: list[str],
    counted: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It counts as a success, and is neither a letter nor a retry."""
    monkeypatch.setattr(app.backend, "_get_task_meta_for", lambda task_id: {"status": "SUCCESS", "result": 1})
    request_of_a_task.on_failure(info_of(WorkerLostError("killed")))
    assert (kept, acknowledged, counted) == ([], ["ack"], ["success"])


def test_inspect_shows_no_arguments(request_of_a_task: Any) -> None:
    """They are other people's texts, however they are asked for."""
    for safe in (False, True):
        info = request_of_a_task.info(safe=safe)
        assert (info["id"], info["args"], info["kwargs"]) == ("1", "(not shown)", "(not shown)")
