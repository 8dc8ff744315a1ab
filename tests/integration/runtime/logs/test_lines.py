"""A worker's log where programs read it: each event is one line of JSON with what it belongs to."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from contentworker.version import VERSION
from tests.support import (
    PATIENCE,
    PROBE_APP,
    ROOT,
    SOON,
    Process,
    StartWorker,
    Worker,
    environment,
    wait_until,
)

WORD = "zanzibarquokka"


def events(worker: Process) -> list[dict[str, Any]]:
    """Every line of its output; one that is not JSON is an error."""
    return [json.loads(line) for line in worker.log().splitlines() if line]


def of(worker: Worker, task_id: str, logger: str = "celery.app.trace") -> list[dict[str, Any]]:
    return [each for each in events(worker) if each.get("task_id") == task_id and each["logger"] == logger]


@pytest.fixture(scope="module")
def serving(module_worker: StartWorker) -> Worker:
    """One that all tests but the last share; that one stops it."""
    return module_worker("--loglevel=debug", app=PROBE_APP, **SOON)


def test_what_a_task_says(serving: Worker, client: Celery) -> None:
    """Its log, and what it prints, are events of the task, with what it has bound; its argument is not."""
    result = client.send_task("probe.say", args=[WORD])
    result.get(timeout=PATIENCE)
    (done,) = wait_until(lambda: of(serving, result.id), "its end")
    (printed,) = of(serving, result.id, "celery.redirected")
    (logged,) = of(serving, result.id, "probe_worker")
    assert (printed["message"], logged["message"]) == ("printed", "two\nlines")
    for said in (printed, logged, done):
        assert {"article_id": "bound", "pages": 3, "task": "probe.say"}.items() <= said.items()
    assert WORD not in serving.log()


def test_a_failure_is_one_line(serving: Worker, client: Celery, tmp_path: Path) -> None:
    """With its type and its whole traceback; so is that of a process that was lost, with the task's id."""
    headers = {"article_id": "a-7", "run_id": "r-7"}
    failing = client.send_task("probe.critical.fail", args=[str(tmp_path)], headers=headers)
    (failed,) = wait_until(lambda: of(serving, failing.id), "its end")
    assert failed["exc_type"] == "builtins.RuntimeError"
    assert failed["traceback"].startswith("Traceback (most recent call last):")
    assert failed["traceback"].endswith("RuntimeError: on request")
    assert failed["duration_seconds"] > 0
    dying = client.send_task("probe.critical.die", args=[str(tmp_path)])
    (lost,) = wait_until(lambda: of(serving, dying.id, "celery.worker.request"), "its end")
    assert lost["exc_type"] == "billiard.exceptions.WorkerLostError"
    assert lost["task"] == "probe.critical.die"


def test_every_line_is_an_event(serving: Worker, client: Celery, tmp_path: Path) -> None:
    """From start to shutdown; of a task with its id, queue, attempt, duration, and what a client said."""
    headers = {"article_id": "a-7", "run_id": "r-7", "other": "not shown"}
    result = client.send_task("probe.base.fail_until", args=[str(tmp_path), 1], headers=headers)
    result.get(timeout=PATIENCE)
    retried, succeeded = wait_until(lambda: (f := of(serving, result.id))[1:] and f, "its end")
    serving.kill()
    assert serving.wait() == 0
    assert {"celery.apps.worker", "celery.worker"} <= {each["logger"] for each in events(serving)}
    (first,) = [each["message"] for each in events(serving) if " starts; " in each["message"]]
    assert f" starts; Content Worker {VERSION}; queues: " in first
    (received, *_) = of(serving, result.id, "celery.worker.strategy")
    about = {
        "task": "probe.base.fail_until",
        "task_id": result.id,
        "queue": "celery",
        "attempt": 1,
        "article_id": "a-7",
        "run_id": "r-7",
    }
    assert about.items() <= received.items()
    assert about.items() <= retried.items()
    assert {**about, "attempt": 2, "level": "info"}.items() <= succeeded.items()
    assert succeeded["time"].endswith("Z")
    assert 0 < succeeded["duration_seconds"] < PATIENCE
    assert "not shown" not in json.dumps(succeeded)


def test_the_examples_of_the_docs(serving: Worker) -> None:
    """The lines in docs/logs.md have the fields of such lines here, in their order, and say the same."""
    page = (ROOT / "docs" / "logs.md").read_text("utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    found = {(kind(each), *each) for each in events(serving)}
    shown = [json.loads(line) for line in block.splitlines()]
    assert [kind(each).split()[0] for each in shown] == ["received", "succeeded", "raised"]
    assert {(kind(each), *each) for each in shown} <= found


def kind(event: dict[str, Any]) -> str:
    """What a message says behind the task's name and id, without figures."""
    return re.sub(r"\d.*", "", event["message"].partition("] ")[2])


@pytest.mark.parametrize(
    ("options", "more", "line"),
    [
        pytest.param((), {"WORKER__LOGS__FORMAT": "text"}, " INFO    celery", id="text-asked-for"),
        pytest.param(("--logfile=LOG",), {}, '{"time": ', id="a-file-is-no-terminal"),
    ],
)
def test_other_ways(
    worker: StartWorker, tmp_path: Path, options: tuple[str, ...], more: dict[str, str], line: str
) -> None:
    """The setting decides; and Celery's own options keep their meaning."""
    file = tmp_path / "worker.log"
    serving = worker(*(option.replace("LOG", str(file)) for option in options), ready=False, **more)

    def ready() -> str:
        text = file.read_text() if file.exists() else serving.log()
        return next((each for each in text.splitlines() if each.endswith((" ready.", ' ready."}'))), "")

    assert line in wait_until(ready, "a line that says so")


def test_beat(redis_url: str, tmp_path: Path) -> None:
    """Every line of Celery's scheduler is an event as well."""
    celery = (sys.executable, "-m", "celery", "--quiet", "-A", "celery_worker.celery_app")
    command = [*celery, "beat", "--loglevel=info", f"--schedule={tmp_path / 'schedule'}"]
    beat = Process(command, tmp_path / "beat", environment(REDIS_URL=redis_url))
    try:
        beat.wait_for_log("beat: Starting...")
        beat.kill()
        beat.wait()
        assert {"celery.beat"} <= {each["logger"] for each in events(beat)}
    finally:
        beat.stop()
