"""Sentry: a failing task is one event, that says which, and quotes nothing."""

import json
from pathlib import Path

import pytest
from celery import Celery

from tests.collector import events
from tests.receivers import receiver, silent
from tests.support import PATIENCE, PROBE_APP, SOON, StartWorker, wait_until

LIMITS = {"WORKER__LIMITS__SOFT_TIME_LIMIT_SECONDS": "5", "WORKER__LIMITS__HARD_TIME_LIMIT_SECONDS": "7"}
"""Long enough for a busy machine to end the other tasks."""


def dsn(url: str) -> str:
    return url.replace("http://", "http://key@").replace("/hook", "/1")


def test_each_final_failure_is_one_event(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """Not a retry, not an error that is expected; also of a process that was lost. No argument, no text."""
    with receiver(200) as (url, got):
        serving = worker("--queues=celery", app=PROBE_APP, SENTRY_DSN=dsn(url), **SOON, **LIMITS)
        folder = str(tmp_path)
        failing = client.send_task("probe.base.fail", args=[folder], headers={"article_id": "a-7"})
        expected = client.send_task("probe.base.raise_permanent", args=[folder, "ContentError"])
        dying = client.send_task("probe.critical.die", args=[folder])
        slow = client.send_task("probe.ignore_soft_limit", args=[folder])
        for each in (failing, expected, dying, slow):
            each.get(timeout=PATIENCE, propagate=False)
        wait_until(lambda: len(events(got)) == 3, "the events, for which its end has two seconds")
        serving.kill()
        assert serving.wait() == 0
        found = {each["tags"]["task_id"]: each for each in events(got)}
        assert len(events(got)) == len(found) == 3
        raw = json.dumps(events(got))
    event = found[failing.id]
    tags = {"task": "probe.base.fail", "queue": "celery", "attempt": "4", "article_id": "a-7"}
    assert tags.items() <= {name: str(value) for name, value in event["tags"].items()}.items()
    (error,) = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("RuntimeError", "(not shown)")
    assert error["stacktrace"]["frames"][-1]["function"] == "fail"
    assert found[dying.id]["exception"]["values"][-1]["type"] == "WorkerLostError"
    assert found[slow.id]["exception"]["values"][-1]["type"] == "TimeLimitExceeded"
    assert folder not in raw
    assert "on request" not in raw.replace('raise RuntimeError(\\"on request\\")', "")
    assert '"vars"' not in raw


def test_a_sentry_that_hangs(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """Tasks fail as ever, and the worker ends."""
    with silent() as port:
        serving = worker("--queues=celery", app=PROBE_APP, SENTRY_DSN=f"http://key@127.0.0.1:{port}/1")
        for _ in range(3):
            failing = client.send_task("probe.critical.fail", args=[str(tmp_path)])
            with pytest.raises(RuntimeError):
                failing.get(timeout=PATIENCE)
        wait_until(lambda: serving.log().count("as dead letter") == 3, "their dead letters")
        serving.kill()
        assert serving.wait() == 0
