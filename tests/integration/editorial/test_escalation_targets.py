"""Who is told of a settled record, each target by itself; and one host that keeps the queue."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from celery import Celery

from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from contentworker.runtime.records import single_host
from tests.receivers import receiver
from tests.support import PATIENCE, SOON, StartWorker, as_bytes, executions, wait_until

if TYPE_CHECKING:
    from contentworker.errors import ConfigError

PATIENT = {
    "WORKER__RETRIES__INITIAL_DELAY_SECONDS": "1",
    "WORKER__RETRIES__MULTIPLIER": "1",
    "WORKER__RETRIES__JITTER_SECONDS": "0",
}
KEY = "contentworker:only-host:escalation"
APP = "escalations_worker.celery_app"


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "records.sqlite3")


def settle(client: Celery, article_id: str) -> str:
    """Have a record made and settled; return its event's id."""
    made = client.send_task(
        "tasks.escalation.escalate_to_human", kwargs={"article_id": article_id, "reason": "failed"}
    ).get(timeout=PATIENCE)
    answer = {"escalation_id": made["id"], "decision": "accept", "by": "ana"}
    return str(client.send_task("tasks.escalation.settle", kwargs=answer).get(timeout=PATIENCE)["event_id"])


def test_the_platforms_task_gets_the_event(
    worker: StartWorker, client: Celery, tmp_path: Path, file: str
) -> None:
    """Run by a real worker, from the queue that is configured, with the decision."""
    worker(
        "--queues=escalation,celery",
        app=APP,
        SETTLED_FOLDER=str(tmp_path),
        WORKER__ESCALATIONS__SQLITE_PATH=file,
        WORKER__ESCALATIONS__SETTLED_TASK="probe.settled",
        WORKER__ESCALATIONS__SETTLED_QUEUE="celery",
    )
    event_id = settle(client, "a/1")
    (found,) = wait_until(lambda: executions(tmp_path), "the platform's task to run")
    assert found["event_id"] == event_id == found["event"]["event_id"]
    assert (found["event"]["article_id"], found["event"]["decision"]) == ("a/1", "accept")


def test_a_task_that_cannot_be_sent_holds_up_nothing(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, redis_url: str, file: str
) -> None:
    """Its queue is a broken key: the webhooks arrive all the same, once; mended, so do the tasks."""
    redis_client.set("platform", "no list")
    with receiver(204) as (url, got):
        options = {
            "WORKER__ESCALATIONS__SQLITE_PATH": file,
            "WORKER__ESCALATIONS__SETTLED_TASK": "platform.settled",
            "WORKER__ESCALATIONS__SETTLED_QUEUE": "platform",
            "WORKER__ESCALATIONS__SETTLED_WEBHOOK_URL": url,
            "SETTLED_WEBHOOK_SECRET": "secret",
            **PATIENT,
        }
        # One process: two that announce at the same time would tell the webhook twice.
        running = worker("--queues=escalation", "--concurrency=1", **options)
        expected = [settle(client, "t/1"), settle(client, "t/2")]
        wait_until(lambda: len(got) == 2, "the webhook of both")
        wait_until(lambda: "the task platform.settled cannot be sent" in running.log(), "the failure")
        redis_client.delete("platform")
        wait_until(lambda: redis_client.llen("platform") >= 2, "the tasks")
        running.kill()
        running.wait()
        worker("--queues=escalation", **options)
        assert client.send_task("tasks.escalation.announce").get(timeout=PATIENCE) == {"events": []}
    assert {headers["webhook-id"] for headers, _ in got} == set(expected)
    assert len(got) == 2


def test_an_event_that_the_webhook_refuses_holds_up_no_other(
    worker: StartWorker, client: Celery, redis_url: str, file: str
) -> None:
    """The first event is refused at every try; the second arrives all the same, and the first is kept."""
    with receiver(*[413] * 6, 204) as (url, got):
        options = {
            "WORKER__ESCALATIONS__SQLITE_PATH": file,
            "WORKER__ESCALATIONS__SETTLED_WEBHOOK_URL": url,
            "SETTLED_WEBHOOK_SECRET": "secret",
            **SOON,
        }
        worker("--queues=escalation", **options)
        first = settle(client, "w/1")
        wait_until(lambda: len(got) == 6, "all tries")
        assert {headers["webhook-id"] for headers, _ in got} == {first}
        second = settle(client, "w/2")
        # At least once each: the new escalation has the first one sent again as well, maybe at the same time.
        wait_until(lambda: {headers["webhook-id"] for headers, _ in got[6:]} == {first, second}, "both")


@pytest.fixture
def nobody(redis_client: redis.Redis) -> Iterator[None]:
    """The queue is no host's, before and after."""
    redis_client.delete(KEY)
    yield
    redis_client.delete(KEY)


@pytest.mark.usefixtures("nobody")
def test_a_lease_is_renewed_until_another_has_it(redis_client: redis.Redis) -> None:
    """It is put back when it was lost, and said once when another host has it."""
    lost: list[ConfigError] = []
    keeper = single_host.Keeper(
        lambda: single_host.register(redis_client, "escalation", "here 1", 1), lost.append, 1
    )
    keeper.start()
    first = int(as_bytes(wait_until(lambda: redis_client.hget(KEY, "here 1"), "the lease")))
    wait_until(lambda: int(redis_client.hget(KEY, "here 1") or 0) > first, "its renewal")
    with redis_client.pipeline() as both:
        both.delete(KEY)
        both.hset(KEY, "elsewhere 2", 2**40)
        both.execute()
    wait_until(lambda: lost, "the loss to be said")
    keeper.stop()
    assert "The host elsewhere" in str(lost[0])


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_worker_keeps_its_lease_without_heartbeat(
    worker: StartWorker, redis_client: redis.Redis, file: str, pool: str
) -> None:
    """It renews, and ends when another host has the queue."""
    running = worker(
        *("--queues=escalation", "--without-heartbeat", f"--pool={pool}"),
        app=APP,
        WORKER__ESCALATIONS__SQLITE_PATH=file,
    )
    host = single_host.host_id()
    first = int(as_bytes(wait_until(lambda: redis_client.hget(KEY, host), "the lease")))
    wait_until(lambda: int(redis_client.hget(KEY, host) or 0) > first, "its renewal")
    with redis_client.pipeline() as both:
        both.delete(KEY)
        both.hset(KEY, "elsewhere 2", 2**40)
        both.execute()
    running.wait_for_log("The host elsewhere serves the queue escalation")
    assert running.wait() == 0


def test_what_is_past_its_lifetime_is_removed(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """A settled record and its texts go with the next purge; an open one stays."""
    file = tmp_path / "records.sqlite3"
    store = Store(open_engine("", file))
    old = store.escalate("old", "failed", evidence={}, content="gone")
    store.escalate("open", "failed", evidence={}, content="kept")
    event = store.settle(old.id, "accept", "ana").event_id
    store.mark_event(event, "done_at")
    with sqlite3.connect(file) as connection:
        connection.execute(
            "UPDATE escalations SET settled_at = '2020-01-01 00:00:00' WHERE state = 'settled'"
        )
    connection.close()
    worker("--queues=celery,escalation", WORKER__ESCALATIONS__SQLITE_PATH=str(file))
    purged = client.send_task("tasks.maintenance.purge").get(timeout=PATIENCE)
    assert purged == {"dead_letters": 0, "sent": ["tasks.escalation.purge"]}
    wait_until(lambda: len(store.read().lines) == 1, "the settled record to go")
    assert [each.article_id for each in store.read().lines] == ["open"]
    store.close()
