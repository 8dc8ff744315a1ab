"""When a real worker tries again: errors raised, `self.retry()`, and pool processes that died."""

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import WorkerLostError

from contentworker import config
from contentworker.errors import ContentError
from tests.support import (
    PATIENCE,
    PROBE_APP,
    SOON,
    StartWorker,
    Worker,
    executions,
    wait_until,
    waiting_messages,
)

pytestmark = pytest.mark.every_python

POLICY = config.load(environ={}).retries
MAX_RETRIES = {"base": 3, "idempotent": 5, "critical": 0}
DOCUMENTED_DELAYS = {0: 60, 1: 120, 2: 240, 3: 480, 4: 600}


@pytest.fixture(scope="module", autouse=True)
def patient(module_worker: StartWorker) -> Worker:
    """A worker with the project's own delays."""
    return module_worker("--queues=celery", app=PROBE_APP)


@pytest.fixture(scope="module")
def quick(module_worker: StartWorker) -> Worker:
    """A worker whose retries come within hundredths of a second, on a queue of its own."""
    return module_worker("--queues=escalation", app=PROBE_APP, **SOON)


def next_try(client: redis.Redis, task_id: str, retries: int) -> dict[str, Any]:
    """The message of a retry, which waits in the worker."""

    def find() -> dict[str, Any] | None:
        for message in waiting_messages(client):
            if message["headers"]["id"] == task_id and message["headers"]["retries"] == retries:
                return message
        return None

    return wait_until(find, f"retry {retries} of {task_id}")


@pytest.mark.parametrize("retries", [0, 1, 2])
@pytest.mark.parametrize(
    "task",
    [
        "probe.base.fail",
        "probe.base.retry",
        "probe.base.die",
        "probe.idempotent.fail",
        "probe.idempotent.die",
    ],
)
def test_delay_is_in_the_documented_window(
    client: Celery, redis_client: redis.Redis, tmp_path: Path, task: str, retries: int
) -> None:
    """An error, a hand-written retry and a lost child all wait 60 s * 2**n, plus at most the jitter."""
    sent = client.send_task(task, kwargs={"folder": str(tmp_path)}, retries=retries)
    headers = next_try(redis_client, sent.id, retries + 1)["headers"]
    (failed,) = executions(tmp_path)
    eta = datetime.fromisoformat(headers["eta"]).timestamp()
    published = datetime.fromisoformat(headers["sent_at"]).timestamp()
    assert failed["retries"] == retries
    assert eta >= failed["time"] + DOCUMENTED_DELAYS[retries]
    assert eta <= published + DOCUMENTED_DELAYS[retries] + POLICY.jitter_seconds


def test_retry_keeps_the_task_as_it_was(client: Celery, redis_client: redis.Redis, tmp_path: Path) -> None:
    """A retry has the id, the arguments and the queue of the first try."""
    sent = client.send_task("probe.base.die", kwargs={"folder": str(tmp_path)})
    message = next_try(redis_client, sent.id, 1)
    assert message["properties"]["delivery_info"]["routing_key"] == "celery"
    _, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert kwargs == {"folder": str(tmp_path)}
    # Celery sends the message of a retry first and stores the state afterwards.
    wait_until(lambda: sent.state == "RETRY", "the state RETRY in the result")


def test_own_countdown_is_respected(client: Celery, redis_client: redis.Redis, tmp_path: Path) -> None:
    """`self.retry(countdown=…)` waits for exactly that."""
    sent = client.send_task("probe.base.retry", kwargs={"folder": str(tmp_path), "countdown": 1000})
    headers = next_try(redis_client, sent.id, 1)["headers"]
    (failed,) = executions(tmp_path)
    eta = datetime.fromisoformat(headers["eta"]).timestamp()
    published = datetime.fromisoformat(headers["sent_at"]).timestamp()
    assert failed["time"] + 1000 <= eta <= published + 1000


@pytest.mark.parametrize(
    ("task", "error"),
    [
        ("fail", "RuntimeError: on request"),
        ("retry", "MaxRetriesExceededError"),
        ("die", "WorkerLostError"),
    ],
)
@pytest.mark.parametrize("kind", MAX_RETRIES)
def test_last_try_ends_as_failure(client: Celery, tmp_path: Path, kind: str, task: str, error: str) -> None:
    """After 3 (BaseTask), 5 (IdempotentTask) or 0 (CriticalTask) retries a task fails with its error."""
    sent = client.send_task(
        f"probe.{kind}.{task}", kwargs={"folder": str(tmp_path)}, retries=MAX_RETRIES[kind]
    )
    found = sent.get(timeout=PATIENCE, propagate=False)
    assert sent.state == "FAILURE"
    assert error in f"{type(found).__name__}: {found}"
    assert len(executions(tmp_path)) == 1


@pytest.mark.parametrize(("kind", "retries"), [("base", 2), ("idempotent", 4)])
def test_last_but_one_try_is_followed_by_another(
    client: Celery, redis_client: redis.Redis, tmp_path: Path, kind: str, retries: int
) -> None:
    """The documented number of retries is not cut short."""
    sent = client.send_task(f"probe.{kind}.fail", kwargs={"folder": str(tmp_path)}, retries=retries)
    next_try(redis_client, sent.id, MAX_RETRIES[kind])


@pytest.mark.parametrize(
    "error", ["ValidationError", "ContentError", "PermanentError", "SoftTimeLimitExceeded"]
)
@pytest.mark.parametrize("kind", MAX_RETRIES)
def test_hopeless_errors_fail_at_once(client: Celery, tmp_path: Path, kind: str, error: str) -> None:
    """What trying again cannot help is never retried."""
    kwargs = {"folder": str(tmp_path), "kind": error}
    sent = client.send_task(f"probe.{kind}.raise_permanent", kwargs=kwargs)
    found = sent.get(timeout=PATIENCE, propagate=False)
    assert sent.state == "FAILURE"
    # A client can rebuild each but pydantic's error, which takes more than text.
    assert type(found).__name__ == error or error in str(sent.traceback)
    assert [line["retries"] for line in executions(tmp_path)] == [0]


def test_rejected_task_is_gone(
    client: Celery, redis_client: redis.Redis, patient: Worker, tmp_path: Path
) -> None:
    """A task that raises `Reject` is neither retried nor kept."""
    kwargs = {"folder": str(tmp_path), "kind": "Reject"}
    sent = client.send_task("probe.base.raise_permanent", kwargs=kwargs)
    wait_until(lambda: f"[{sent.id}] reject requeue=False" in patient.log(), "the rejection")
    wait_until(
        lambda: sent.id not in [message["headers"]["id"] for message in waiting_messages(redis_client)],
        "the end of the message",
    )
    assert len(executions(tmp_path)) == 1
    assert "ETA" not in "".join(line for line in patient.log().splitlines() if sent.id in line)


def test_content_error_survives_the_result_backend(client: Celery, tmp_path: Path) -> None:
    """A client gets back the type, the field and the reason."""
    kwargs = {"folder": str(tmp_path), "kind": "ContentError"}
    with pytest.raises(ContentError) as caught:
        client.send_task("probe.base.raise_permanent", kwargs=kwargs).get(timeout=PATIENCE)
    assert (caught.value.field, caught.value.expected) == ("content", "a reason")


def test_permanent_error_is_one_line_in_the_log(client: Celery, patient: Worker, tmp_path: Path) -> None:
    """An expected error makes no traceback."""
    kwargs = {"folder": str(tmp_path), "kind": "ContentError"}
    sent = client.send_task("probe.base.raise_permanent", kwargs=kwargs)
    sent.get(timeout=PATIENCE, propagate=False)
    said = f"[{sent.id}] raised expected"
    wait_until(lambda: said in patient.log(), "the line")
    (line,) = [line for line in patient.log().splitlines() if said in line]
    assert "traceback" not in json.loads(line)


def test_lost_critical_task_is_not_repeated(client: Celery, tmp_path: Path) -> None:
    """A CriticalTask whose process dies is a visible failure, and runs once."""
    sent = client.send_task("probe.critical.die", kwargs={"folder": str(tmp_path)})
    with pytest.raises(WorkerLostError):
        sent.get(timeout=PATIENCE)
    assert len(executions(tmp_path)) == 1


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", ["base", "idempotent"])
def test_third_try_succeeds(client: Celery, tmp_path: Path, kind: str) -> None:
    """A task that fails twice gives its result the third time."""
    kwargs = {"folder": str(tmp_path), "times": 2}
    sent = client.send_task(f"probe.{kind}.fail_until", kwargs=kwargs, queue="escalation")
    assert sent.get(timeout=PATIENCE) == 3
    assert [line["retries"] for line in executions(tmp_path)] == [0, 1, 2]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("task", ["fail", "retry", "die"])
@pytest.mark.parametrize("kind", MAX_RETRIES)
def test_all_tries_are_used_and_no_more(
    client: Celery, redis_client: redis.Redis, tmp_path: Path, kind: str, task: str
) -> None:
    """A task that fails, retries or loses its process every time runs 1 + its retries, then fails."""
    sent = client.send_task(f"probe.{kind}.{task}", kwargs={"folder": str(tmp_path)}, queue="escalation")
    sent.get(timeout=PATIENCE, propagate=False)
    assert sent.state == "FAILURE"
    assert [line["retries"] for line in executions(tmp_path)] == [*range(MAX_RETRIES[kind] + 1)]
    wait_until(
        lambda: sent.id not in [message["headers"]["id"] for message in waiting_messages(redis_client)],
        "the acknowledgement",
    )
    assert sent.id not in json.dumps([str(raw) for raw in redis_client.lrange("escalation", 0, -1)])
