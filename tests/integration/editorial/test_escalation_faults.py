"""Escalations while something is wrong: channels that refuse for good, a locked file, targets that fail."""

import json
import os
import sqlite3
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from contentworker.errors import ContentError
from tests.receivers import Mailbox, receiver, smtp
from tests.support import (
    PATIENCE,
    ROOT,
    SOON,
    StartWorker,
    Worker,
    environment,
    free_port,
    run_cli,
    wait_until,
)

pytestmark = pytest.mark.filterwarnings("ignore:.imghdr.:DeprecationWarning")  # in Apprise

TRIES = 6
ESCALATE = "tasks.escalation.escalate_to_human"
SETTLE = "tasks.escalation.settle"


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "records.sqlite3")


def escalate(client: Celery, article_id: str) -> str:
    """Have a record made; return its id."""
    sent = client.send_task(ESCALATE, kwargs={"article_id": article_id, "reason": "failed"})
    return str(sent.get(timeout=PATIENCE)["id"])


def dead_letters(redis_url: str) -> list[dict[str, Any]]:
    printed = run_cli("dead-letters", "list", "--json", redis_url=redis_url).stdout
    return [json.loads(line) for line in printed.splitlines()]


def test_a_channel_that_refuses_for_good(
    worker: StartWorker, client: Celery, redis_url: str, file: str
) -> None:
    """5xx at every try: `refused` in the record, and a dead letter; the other channel gets its one mail."""
    refusing, good = Mailbox(float("inf"), "554 never"), Mailbox()
    with smtp(refusing) as first, smtp(good) as second:
        options = {"NOTIFY_URLS": f"{first} {second}", "WORKER__ESCALATIONS__SQLITE_PATH": file, **SOON}
        worker("--queues=escalation", **options)
        escalation_id = escalate(client, "refused")

        def letters() -> list[dict[str, Any]]:
            return [each for each in dead_letters(redis_url) if "not taken by" in each["error"]]

        (letter,) = wait_until(letters, "the dead letter")
    assert "not taken by mailto://127.0.0.1 (SMTPDataError)" in letter["error"]
    shown = run_cli("escalations", "show", escalation_id, redis_url=redis_url, **options).stdout
    notes = shown.split("notifications\n")[1].split("history\n")[0].splitlines()
    assert [line.split()[:2] for line in notes] == [
        ["mailto://127.0.0.1", "refused"],
        ["mailto://127.0.0.1", "sent"],
    ]
    assert (refusing.asked, len(good.mails)) == (TRIES, 1)


def test_no_secret_in_the_log_of_a_worker_that_debugs(worker: StartWorker, client: Celery, file: str) -> None:
    """Of addresses that work, that refuse, and where nobody listens."""
    mail = f"mailto://hush-user:hush-word@127.0.0.1:{free_port()}?from=a@site.test&to=hush-to@site.test"
    with receiver(200) as (taken, got), receiver(500) as (refused, _):
        addresses = [
            taken.replace("http://", "json://hush-user:hush-word@") + "/hush-path?+X-Token=hush-token",
            refused.replace("http://", "json://hush-user:hush-word@") + "/hush-path?-query=hush-query",
            f"json://hush-user:hush-word@127.0.0.1:{free_port()}/hush-path",
            f"{mail}&mode=insecure",
        ]
        options = {"NOTIFY_URLS": " ".join(addresses), "WORKER__ESCALATIONS__SQLITE_PATH": file, **SOON}
        running = worker("--queues=escalation", "--loglevel=debug", **options)
        escalate(client, "secrets")
        wait_until(lambda: "NotifyRefusedError" in running.log(), "the refusals to be logged")
        assert got
        running.kill()
        running.wait()
    assert '"level": "debug"' in running.log()
    assert "hush" not in running.log()


def test_a_file_that_may_only_be_read(file: str, redis_url: str) -> None:
    """To settle is one line of what is wrong, and nothing is settled."""
    Path(file).parent.chmod(0o755)
    store = Store(open_engine("", Path(file)))
    found = store.escalate("read only", "failed", evidence={})
    store.close()
    Path(file).chmod(0o444)
    Path(file).parent.chmod(0o555)
    command = [sys.executable, "-m", "contentworker", "escalations", "settle", found.id]
    # Root may write whatever the file's mode says, unless that capability is gone.
    prefix = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    try:
        done = subprocess.run(
            [*(prefix if os.geteuid() == 0 else []), *command, "--decision=accept", "--by=ana"],
            env=environment(REDIS_URL=redis_url, WORKER__ESCALATIONS__SQLITE_PATH=file),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        Path(file).parent.chmod(0o755)
        Path(file).chmod(0o644)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert "the database of the escalations cannot be used: " in line
    assert "readonly" in line or "unable to open" in line
    record = store.find(found.id)
    assert record is not None
    assert record.state == "open"
    store.close()


@pytest.fixture(scope="module")
def shared(module_worker: StartWorker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Worker, str]:
    """A worker with nothing wrong, and its file; for the last tests, as it would take the others' tasks."""
    path = str(tmp_path_factory.mktemp("records") / "records.sqlite3")
    return module_worker("--queues=escalation", WORKER__ESCALATIONS__SQLITE_PATH=path, **SOON), path


def test_two_workers_make_one_record(shared: tuple[Worker, str], worker: StartWorker, client: Celery) -> None:
    """Two workers of one host are sent the same article twenty times at once."""
    worker("--queues=escalation", WORKER__ESCALATIONS__SQLITE_PATH=shared[1])
    arguments = {"article_id": "both", "reason": "failed", "content": "words"}
    with ThreadPoolExecutor(10) as pool:
        sent = list(pool.map(lambda _: client.send_task(ESCALATE, kwargs=arguments), range(20)))
    answers = [each.get(timeout=PATIENCE) for each in sent]
    assert len({each["id"] for each in answers}) == 1
    assert [each["created"] for each in answers].count(True) == 1


def test_a_file_locked_for_longer_than_the_time_out(shared: tuple[Worker, str], client: Celery) -> None:
    """The worker tries again, and records it once the lock is gone."""
    running, file = shared
    escalate(client, "before")
    other = sqlite3.connect(file, PATIENCE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    sent = client.send_task(ESCALATE, kwargs={"article_id": "locked", "reason": "failed"})
    wait_until(lambda: f"{sent.id}] retry: Retry" in running.log(), "a retry")
    other.execute("ROLLBACK")
    other.close()
    assert sent.get(timeout=PATIENCE)["created"]
    assert "database is locked" in running.log()


def test_bad_arguments_are_named(shared: tuple[Worker, str], client: Celery) -> None:
    """By a worker, in an error that is not retried and that the client can read."""
    running, _ = shared
    good, nobody = {"article_id": "a", "reason": "failed"}, uuid.UUID(int=0).hex
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("article_id", ESCALATE, {**good, "article_id": "a b"}),
        ("article_id", ESCALATE, {**good, "article_id": ""}),
        ("reason", ESCALATE, {**good, "reason": "Not So"}),
        ("run_id", ESCALATE, {**good, "run_id": "x" * 201}),
        ("evidence", ESCALATE, {**good, "evidence": ["score"]}),
        ("evidence", ESCALATE, {**good, "evidence": {"text": "x" * 200_001}}),
        ("content", ESCALATE, {**good, "content": 1}),
        ("escalation_id", "tasks.escalation.notify", {"escalation_id": "../x"}),
        ("escalation_id", SETTLE, {"escalation_id": nobody, "decision": "accept", "by": "ana"}),
        ("decision", SETTLE, {"escalation_id": nobody, "decision": "Yes!", "by": "ana"}),
    ]
    for field, task, arguments in cases:
        sent = client.send_task(task, kwargs=arguments)
        with pytest.raises(ContentError) as caught:
            sent.get(timeout=PATIENCE)
        assert caught.value.field == field
        assert f"{sent.id}] retry" not in running.log()
