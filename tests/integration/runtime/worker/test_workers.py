"""Real workers: queues, arguments, and what is left of a task when its worker goes."""

import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import QueueNotFound

from contentworker.errors import ContentError
from contentworker.runtime.worker.claims import InterruptedTaskError
from tests.support import (
    PATIENCE,
    PROBE_APP,
    StartWorker,
    Worker,
    executions,
    wait_until,
    waiting_messages,
)

pytestmark = pytest.mark.every_python

QUEUES = ("evaluation", "rewrite", "escalation", "celery")


@pytest.fixture(scope="module")
def serving(module_worker: StartWorker) -> Worker:
    """A worker of every queue but `rewrite` and `escalation`, which other tests use."""
    return module_worker("--queues=celery,evaluation", app=PROBE_APP)


@pytest.mark.parametrize(
    ("task", "queue"),
    [
        ("tasks.rewrite.rewrite_article", "rewrite"),
        ("tasks.escalation.notify", "escalation"),
    ],
)
def test_task_lies_in_its_queue(client: Celery, redis_client: redis.Redis, task: str, queue: str) -> None:
    """Before any worker looks, the message lies in the list of the queue's name."""
    client.send_task(task)
    assert {name: redis_client.llen(name) for name in QUEUES} == {name: int(name == queue) for name in QUEUES}
    redis_client.delete(queue)


def test_unmatched_task_goes_to_the_default_queue(client: Celery, serving: Worker) -> None:
    """A name that no pattern matches is routed to `celery`."""
    assert client.send_task("probe.queue").get(timeout=PATIENCE) == "celery"


def test_queue_can_be_named(client: Celery, serving: Worker) -> None:
    """Any task can be sent through any queue."""
    assert client.send_task("probe.queue", queue="evaluation").get(timeout=PATIENCE) == "evaluation"


def test_misspelt_queue_is_an_error(client: Celery, redis_client: redis.Redis) -> None:
    """Otherwise it would be a new queue without a worker."""
    with pytest.raises(QueueNotFound):
        client.send_task("probe.queue", queue="evaluatoin")
    assert not redis_client.exists("evaluatoin")


def test_worker_refuses_a_misspelt_queue(worker: StartWorker) -> None:
    """`celery worker --queues=nope` ends with an error."""
    refused = worker("--queues=nope", ready=False)
    assert refused.wait() != 0
    assert "nope" in refused.log()


def test_import_inside_a_task_works(client: Celery, serving: Worker) -> None:
    """The celery command takes the working directory off sys.path; the project stays importable."""
    found = client.send_task("probe.import_inside").get(timeout=PATIENCE)
    assert found == "contentworker.runtime.records.dead_letters tasks.health"


class TestArguments:
    """Typed arguments, through the queue."""

    @pytest.mark.parametrize(
        ("args", "kwargs", "expected"),
        [
            pytest.param(["a", 1], {}, ["a", 1, "NoneType", None], id="positional"),
            pytest.param(
                [], {"text": "a", "count": 1, "day": "2026-01-02"}, ["a", 1, "date", None], id="date"
            ),
            pytest.param(
                ["\u5929"], {"count": 2, "tags": ["x"]}, ["\u5929", 2, "NoneType", ["x"]], id="mixed"
            ),
        ],
    )
    def test_good(
        self, client: Celery, serving: Worker, args: list[Any], kwargs: dict[str, Any], expected: list[Any]
    ) -> None:
        """They arrive as what the hints say."""
        assert client.send_task("probe.typed", args, kwargs).get(timeout=PATIENCE) == expected

    @pytest.mark.parametrize(
        ("args", "kwargs", "field", "expected"),
        [
            pytest.param([], {"text": "a"}, "count", "missing required argument", id="missing"),
            pytest.param(["a", 1], {"x": 1}, "x", "unexpected keyword argument", id="unknown"),
            pytest.param([3, 1], {}, "text", "input should be a valid string, not int", id="positional"),
            pytest.param(["a"], {"count": "b"}, "count", "input should be a valid integer", id="ill-typed"),
        ],
    )
    def test_wrong(
        self,
        client: Celery,
        serving: Worker,
        args: list[Any],
        kwargs: dict[str, Any],
        field: str,
        expected: str,
    ) -> None:
        """One ContentError comes back with field and reason; it is not retried."""
        with pytest.raises(ContentError) as caught:
            client.send_task("probe.typed", args, kwargs).get(timeout=PATIENCE)
        assert caught.value.field == field
        assert caught.value.expected.startswith(expected)

    def test_model_becomes_json(self, client: Celery, serving: Worker) -> None:
        """A pydantic result arrives as an object."""
        result = client.send_task("probe.report", kwargs={"day": "2026-01-02"}).get(timeout=PATIENCE)
        assert result == {"day": "2026-01-02", "note": None}

    def test_bound_task(self, client: Celery, serving: Worker) -> None:
        """bind=True tasks know their name and id."""
        sent = client.send_task("probe.bound", kwargs={"count": 3})
        assert sent.get(timeout=PATIENCE) == ["probe.bound", sent.id, 3]


def test_sigterm_finishes_the_running_task(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """A warm shutdown lets the task end, keeps its result, and exits with 0."""
    leaving = worker("--queues=escalation", app=PROBE_APP)
    kwargs = {"folder": str(tmp_path)}
    sent = client.send_task("probe.base.hold", kwargs=kwargs, queue="escalation")
    wait_until(lambda: executions(tmp_path), "the task to start")
    leaving.kill(signal.SIGTERM)
    leaving.wait_for_log("Warm shutdown")
    (tmp_path / "release").touch()
    assert leaving.wait() == 0
    assert sent.get(timeout=PATIENCE) == "released"
    assert len(executions(tmp_path)) == 1


@pytest.mark.parametrize("kind", ["base", "idempotent"])
def test_killed_worker(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path, kind: str
) -> None:
    """The whole worker is killed: its task runs again on another, and is marked as redelivered."""
    dying = worker("--queues=rewrite", app=PROBE_APP)
    sent = client.send_task(f"probe.{kind}.hold", kwargs={"folder": str(tmp_path)}, queue="rewrite")
    wait_until(lambda: executions(tmp_path), "the task to start")
    assert [message["headers"]["id"] for message in waiting_messages(redis_client)] == [sent.id]
    dying.kill(signal.SIGKILL, group=True)
    dying.wait()
    (tmp_path / "release").touch()
    worker("--queues=rewrite", app=PROBE_APP)
    assert sent.get(timeout=PATIENCE) == "released"
    assert [line["redelivered"] for line in executions(tmp_path)] == [False, True]
    wait_until(lambda: not waiting_messages(redis_client), "every message to be settled")


def test_killed_worker_with_a_critical_task(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """A CriticalTask is not run again when its worker is killed: it fails for all to see."""
    dying = worker("--queues=rewrite", app=PROBE_APP)
    sent = client.send_task("probe.critical.hold", kwargs={"folder": str(tmp_path)}, queue="rewrite")
    wait_until(lambda: executions(tmp_path), "the task to start")
    dying.kill(signal.SIGKILL, group=True)
    dying.wait()
    worker("--queues=rewrite", app=PROBE_APP)
    with pytest.raises(InterruptedTaskError, match="the worker that ran it died"):
        sent.get(timeout=PATIENCE)
    assert len(executions(tmp_path)) == 1
    wait_until(lambda: not waiting_messages(redis_client), "every message to be settled")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("WORKER__LIMITS__SOFT_TIME_LIMIT_SECONDS", "400", "soft_time_limit_seconds: must be less"),
        ("WORKER__NO__SUCH", "1", "WORKER__NO__SUCH: no: unknown key"),
        ("WORKER__SCHEDULES__PURGE__TASK", "tasks.no", "there is no task 'tasks.no'"),
        ("WORKER__QUEUES__REWRITE__TASKS", '["tasks.evaluation.*"]', "is already in queue 'evaluation'"),
    ],
    ids=["limits", "unknown", "schedule-without-task", "pattern-of-two"],
)
def test_wrong_configuration_stops_the_worker_before_anything_starts(
    worker: StartWorker, variable: str, value: str, message: str
) -> None:
    """One message, no traceback, exit code 1, and Redis was not even asked."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.setblocking(False)
        address = f"redis://127.0.0.1:{stranger.getsockname()[1]}/0"
        refused = worker(ready=False, redis_url=address, **{variable: value})
        assert refused.wait() == 1
        with pytest.raises(BlockingIOError):
            stranger.accept()
    assert message in refused.log()
    assert "Configuration error" in refused.log()
    assert "Traceback" not in refused.log()


@pytest.mark.parametrize(
    "signals", [[signal.SIGQUIT], [signal.SIGINT, signal.SIGINT]], ids=["SIGQUIT", "SIGINT-twice"]
)
def test_cold_shutdown_gives_the_task_back(
    worker: StartWorker,
    client: Celery,
    redis_client: redis.Redis,
    tmp_path: Path,
    signals: list[signal.Signals],
) -> None:
    """A worker that is told to end at once puts what it runs back at once; the next worker runs it."""
    leaving = worker("--queues=escalation", app=PROBE_APP)
    kwargs = {"folder": str(tmp_path)}
    sent = client.send_task("probe.base.hold", kwargs=kwargs, queue="escalation")
    wait_until(lambda: executions(tmp_path), "the task to start")
    first, *second = signals
    leaving.kill(first)
    for signum in second:
        leaving.wait_for_log("Warm shutdown")
        leaving.kill(signum)
    leaving.wait()
    # What a worker of the test before held may be there by now, too.
    waiting = [raw for raw in redis_client.lrange("escalation", 0, -1) if sent.id.encode() in raw]
    assert len(waiting) == 1
    (tmp_path / "release").touch()
    worker("--queues=escalation", app=PROBE_APP)
    assert sent.get(timeout=PATIENCE) == "released"
    assert len(executions(tmp_path)) == 2
