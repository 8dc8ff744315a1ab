"""The fixture `inline`: tasks run in the test's process, as a worker would run them."""

import threading
from datetime import date
from typing import Any

import pytest
from celery import chain, chord, current_app, group, shared_task
from celery.exceptions import QueueNotFound
from kombu.exceptions import EncodeError

from contentworker import config
from contentworker.errors import ContentError
from contentworker.testing.inline import Inline
from tasks.base import BaseTask, CriticalTask, IdempotentTask
from tasks.health import health_check

POLICY = config.load(environ={}).retries
runs: list[Any] = []


@shared_task(base=IdempotentTask, name="inline.add")
def add(one: int, other: int) -> int:
    return one + other


@shared_task(base=BaseTask, name="inline.add_all")
def add_all(numbers: list[int]) -> int:
    return sum(numbers)


@shared_task(base=BaseTask, name="inline.fail")
def fail(times: int) -> str:
    runs.append(fail.request.retries)
    if len(runs) <= times:
        raise RuntimeError("on request")
    return "done"


@shared_task(base=CriticalTask, name="inline.pay")
def pay() -> None:
    runs.append("paid")
    raise RuntimeError("the bank is closed")


@shared_task(base=BaseTask, bind=True, name="inline.retry")
def retry(self: Any) -> None:
    if not self.request.retries:
        raise self.retry(countdown=1000)


@shared_task(base=BaseTask, bind=True, name="inline.where")
def where(self: Any, day: str) -> list[Any]:
    return [self.request.delivery_info["routing_key"], self.request.is_eager, day]


@shared_task(base=BaseTask, name="inline.send")
def send(depth: int) -> None:
    runs.append(f"begin {depth}")
    if depth:
        send.delay(depth - 1)
    runs.append(f"end {depth}")


@shared_task(base=BaseTask, name="inline.wait")
def wait() -> None:
    add.delay(1, 2).get()


@shared_task(base=BaseTask, name="inline.ask_redis")
def ask_redis() -> None:
    current_app.backend.client.get("key")


@shared_task(base=BaseTask, name="inline.for_ever")
def for_ever() -> None:
    for_ever.delay()


@pytest.fixture(autouse=True)
def _no_runs() -> None:
    runs.clear()


def test_a_task_runs_before_the_send_returns(inline: Inline) -> None:
    """By `delay`, `apply_async` and by its name; the result is what JSON makes of it."""
    assert add.delay(1, 2).get() == 3
    assert add.apply_async(kwargs={"one": 1, "other": 2}).get() == 3
    assert current_app.send_task("tasks.health_check").get()["status"] == "ok"
    assert [each.task for each in inline.sent] == ["inline.add", "inline.add", "tasks.health_check"]
    assert inline.sent[0].args == [1, 2]
    assert inline.sent[1].kwargs == {"one": 1, "other": 2}
    assert not inline.dead_letters


def test_a_message_is_routed(inline: Inline) -> None:
    """By worker.toml, or as the sender says; a queue that is not declared is refused as in production."""
    assert where.delay("x").get() == ["celery", False, "x"]
    assert where.apply_async(["x"], queue="evaluation").get()[0] == "evaluation"

    @inline.app.task(base=BaseTask, name="tasks.evaluation.inline", shared=False)
    def judge() -> None:
        pass

    judge.delay()
    assert [each.queue for each in inline.sent] == ["celery", "evaluation", "evaluation"]
    with pytest.raises(QueueNotFound, match="nope"):
        where.apply_async(["x"], queue="nope")


def test_arguments_cross_json(inline: Inline) -> None:
    """What is no JSON is refused at the send; the rest comes as the worker gets it."""
    with pytest.raises(EncodeError):
        where.delay(object())
    assert not inline.sent
    add.delay(*(1, 2))
    assert type(inline.sent[0].args) is list


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"one": "many", "other": 1}, "ContentError: one: input should be a valid integer"),
        ({"one": 1}, "ContentError: other: missing required argument"),
        ({"one": 1, "other": 1, "third": 1}, "ContentError: third: unexpected keyword argument"),
    ],
)
def test_bad_arguments_become_a_dead_letter(inline: Inline, kwargs: dict[str, Any], error: str) -> None:
    """At once, with the reason, and without a retry."""
    result = current_app.send_task("inline.add", kwargs=kwargs)
    (letter,) = inline.dead_letters
    assert (letter.reason, letter.task, letter.task_id) == ("failed", "inline.add", result.id)
    assert letter.error.startswith(error)
    assert len(inline.sent) == 1
    with pytest.raises(ContentError):
        result.get()


def test_a_message_no_worker_takes_becomes_a_dead_letter(inline: Inline) -> None:
    """Its headers are checked as a worker checks them, and its size."""
    add.apply_async((1, 2), headers={"stamped_headers": 3})
    where.delay("x" * config.load().limits.max_message_bytes)
    assert [each.reason for each in inline.dead_letters] == ["invalid", "invalid"]
    assert "stamped_headers: must be a list" in inline.dead_letters[0].error
    assert "limits.max_message_bytes" in inline.dead_letters[1].error


def test_retries_do_not_wait(inline: Inline) -> None:
    """They follow the task's policy; the delays are noted."""
    assert fail.delay(2).get() == "done"
    assert runs == [0, 1, 2]
    assert [each.retries for each in inline.sent] == [0, 1, 2]
    first, second = (each.delay_seconds or 0 for each in inline.sent[1:])
    assert inline.sent[0].delay_seconds is None
    assert 60 <= first <= 60 + POLICY.jitter_seconds
    assert 120 <= second <= 120 + POLICY.jitter_seconds
    assert not inline.dead_letters


def test_used_up_retries_become_a_dead_letter(inline: Inline) -> None:
    """After 1 + 3 runs of a `BaseTask`."""
    with pytest.raises(RuntimeError, match="on request"):
        fail.delay(100).get()
    assert runs == [0, 1, 2, 3]
    (letter,) = inline.dead_letters
    assert (letter.reason, letter.retries, letter.queue) == ("retries exhausted", 3, "celery")
    assert letter.error == "RuntimeError: on request"
    assert "on request" in letter.traceback


def test_a_critical_task_runs_once(inline: Inline) -> None:
    """Its failure is final."""
    pay.delay()
    assert runs == ["paid"]
    assert [(each.reason, each.critical) for each in inline.dead_letters] == [("failed", True)]


def test_a_tasks_own_delay_is_noted(inline: Inline) -> None:
    """`self.retry(countdown=…)`, and a countdown of the sender."""
    retry.apply_async(countdown=30)
    assert [each.delay_seconds for each in inline.sent] == [30, 1000]


def test_what_a_task_sends_runs_after_it(inline: Inline) -> None:
    """As in a worker, never within."""
    send.delay(2)
    assert runs == ["begin 2", "end 2", "begin 1", "end 1", "begin 0", "end 0"]


def test_a_unique_task_runs_each_time(inline: Inline) -> None:
    """Its locks are in Redis, and `inline` has none."""

    @inline.app.task(
        base=BaseTask, name="inline.index", shared=False, unique={"key": ["page"], "replace": True}
    )
    def index(page: int) -> int:
        return page

    assert [index.delay(1).get(), index.delay(1).get()] == [1, 1]


def test_canvas(inline: Inline) -> None:
    """A chain, a group and a chord come to their ends."""
    assert chain(add.s(1, 2), add.s(3)).delay().get() == 6
    assert group(add.s(1, 2), add.s(3, 4)).delay().get() == [3, 7]
    assert chord([add.s(1, 2), add.s(3, 4)])(add_all.s()).get() == 10
    assert chain(add.s(1, 2), group(add.s(1), add.s(2)), add_all.s()).delay().get() == 9


def test_held_messages_wait(inline: Inline) -> None:
    """To see what is sent without running it; a result that cannot come says so instead of waiting."""
    inline.hold()
    result = add.delay(1, 2)
    assert [each.task for each in inline.sent] == ["inline.add"]
    assert result.state == "PENDING"
    with pytest.raises(pytest.fail.Exception, match=r"call inline\.drain\(\) first"):
        result.get()
    inline.drain()
    assert result.get() == 3


@pytest.mark.parametrize(
    ("send_it", "said"),
    [
        (
            lambda _: current_app.send_task("inline.ad"),
            "there is no task 'inline.ad'; did you mean inline.add?",
        ),
        (
            lambda _: ask_redis.delay(),
            "has no Redis: `app.backend.client` needs one. Use the fixture `worker`",
        ),
        (lambda inline: inline.app.connect_redis(), "has no Redis: `app.connect_redis` needs one"),
        (lambda _: for_ever.delay(), "still not done after 1000 messages; the last was for inline.for_ever"),
    ],
    ids=["unknown", "redis", "connection", "endless"],
)
def test_misuse_fails_the_test_and_says_why(inline: Inline, send_it: Any, said: str) -> None:
    """At once, although errors of tasks are retried."""
    with pytest.raises(pytest.fail.Exception) as caught:
        send_it(inline)
    assert said in str(caught.value)


def test_a_task_may_not_wait_for_another(inline: Inline) -> None:
    """In production that can block all processes of a worker; Celery refuses it."""
    wait.delay()
    assert "Never call result.get() within a task" in inline.dead_letters[0].error


def test_another_thread_sends_too(inline: Inline) -> None:
    """A web framework's, for one."""
    thread = threading.Thread(target=lambda: add.delay(1, 2))
    thread.start()
    thread.join()
    assert len(inline.sent) == 1


def test_nothing_stays_behind() -> None:
    """Each test has an application of its own; the one before is current again."""
    from contentworker.testing import inline

    before = current_app.main
    with inline.entered() as first:
        health_check.delay()
    with inline.entered() as second:
        assert not second.sent
        assert second.app is not first.app
    assert current_app.main == before


def test_a_date_arrives_as_the_hints_say(inline: Inline) -> None:
    """Celery's JSON marks a date; a worker makes one of it again."""
    inline.hold()
    where.delay(date(2026, 1, 2))
    assert inline.sent[0].args == [{"__type__": "date", "__value__": "2026-01-02"}]
