"""The project's application with tasks that fail, wait and die on request: `-A probe_worker.celery_app`.

No pattern of worker.toml matches their names, so they go to the default queue. They speak to the tests
through files, which no fault of Redis touches: each execution is a line in `FOLDER/executions`.
"""

import gc
import json
import os
import signal
import time
from datetime import date
from pathlib import Path
from typing import Any

import redis
from celery import shared_task
from celery.exceptions import Reject, SoftTimeLimitExceeded
from celery.utils.log import get_task_logger
from pydantic import BaseModel, StrictStr, TypeAdapter

from celery_worker import celery_app
from contentworker.errors import ContentError, PermanentError
from contentworker.runtime import metrics
from contentworker.runtime.logs import context as log_context
from tasks.base import BaseTask, CriticalTask, IdempotentTask

__all__ = ["celery_app"]

PROBED = metrics.Metric("probe_total", "counter", "", "What failed?", {"kind": ("known",)})
PROBED_LEVEL = metrics.Metric("probe_level", "gauge", "", "What failed?")

CLASSES = {"base": BaseTask, "idempotent": IdempotentTask, "critical": CriticalTask}


def record(folder: str, **more: Any) -> int:
    """Note an execution; return how many there have been."""
    path = Path(folder) / "executions"
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"pid": os.getpid(), "time": time.time(), **more}) + "\n")
    return len(path.read_text("utf-8").splitlines())


def wait_for_release(folder: str) -> None:
    """Wait until the test makes the file `release`."""
    while not (Path(folder) / "release").exists():
        time.sleep(0.01)


def fail(self: Any, folder: str) -> None:
    record(folder, retries=self.request.retries)
    raise RuntimeError("on request")


def fail_until(self: Any, folder: str, times: int) -> int:
    count = record(folder, retries=self.request.retries)
    if count <= times:
        raise RuntimeError(f"failure {count}")
    return count


def retry(self: Any, folder: str, countdown: float | None = None) -> None:
    record(folder, retries=self.request.retries)
    raise self.retry(countdown=countdown)


def die(self: Any, folder: str) -> None:
    record(folder, retries=self.request.retries)
    os.kill(os.getpid(), signal.SIGKILL)


def hold(self: Any, folder: str) -> str:
    record(folder, redelivered=self.request.delivery_info.get("redelivered"))
    wait_for_release(folder)
    (Path(folder) / "finished").touch()
    return "released"


def raise_permanent(self: Any, folder: str, kind: str) -> None:
    record(folder, retries=self.request.retries)
    if kind == "ValidationError":
        TypeAdapter(int).validate_python("no number")
    raise {
        "ContentError": ContentError("content", "a reason"),
        "PermanentError": PermanentError("a reason"),
        "Reject": Reject("a reason", requeue=False),
        "SoftTimeLimitExceeded": SoftTimeLimitExceeded(),
    }[kind]


for kind, base in CLASSES.items():
    for body in (fail, fail_until, retry, die, hold, raise_permanent):
        shared_task(base=base, bind=True, name=f"probe.{kind}.{body.__name__}")(body)


class Report(BaseModel):
    day: date
    note: str | None = None


@shared_task(base=BaseTask, name="probe.typed")
def typed(text: StrictStr, count: int, day: date | None = None, tags: list[str] | None = None) -> list[Any]:
    return [text, count, type(day).__name__, tags]


@shared_task(base=BaseTask, bind=True, name="probe.bound")
def bound(self: Any, count: int) -> list[Any]:
    return [self.name, self.request.id, count]


@shared_task(base=BaseTask, name="probe.report")
def report(day: date) -> Report:
    return Report(day=day)


@shared_task(base=BaseTask, name="probe.say")
def say(text: StrictStr) -> None:
    log_context.bind(article_id="bound", pages=3)
    print("printed")
    get_task_logger(__name__).warning("two\nlines")


@shared_task(base=BaseTask, name="probe.send_another")
def send_another() -> str:
    celery_app.send_task("tasks.health_check")
    return "sent"


@shared_task(base=BaseTask, name="probe.lose_redis")
def lose_redis() -> None:
    raise redis.exceptions.ConnectionError("of the task's own\n\u202eand foreign")


@shared_task(base=BaseTask, name="probe.pid")
def pid() -> int:
    return os.getpid()


@shared_task(base=BaseTask, name="probe.frozen")
def frozen() -> tuple[int, int]:
    return os.getpid(), gc.get_freeze_count()


@shared_task(base=BaseTask, name="probe.measure")
def measure(kind: StrictStr, amount: float) -> None:
    metrics.count(PROBED, amount, kind=kind)
    metrics.set_gauge(PROBED_LEVEL, amount)
    metrics.count(PROBED, amount, colour=kind)  # a mistake is dropped, and fails no task


@shared_task(base=BaseTask, name="probe.queue", bind=True)
def queue(self: Any) -> str:
    return self.request.delivery_info["routing_key"]


@shared_task(base=BaseTask, name="probe.import_inside")
def import_inside() -> str:
    import tasks.health
    from contentworker.runtime.records import dead_letters

    return f"{dead_letters.__name__} {tasks.health.__name__}"


@shared_task(base=BaseTask, name="probe.ignore_soft_limit")
def ignore_soft_limit(folder: str) -> None:
    record(folder)
    while True:
        try:
            wait_for_release(folder)
        except SoftTimeLimitExceeded:
            continue


@shared_task(base=BaseTask, bind=True, name="probe.counted")
def counted(self: Any, folder: str, seconds: float = 0.0) -> None:
    record(folder, id=self.request.id)
    time.sleep(seconds)


@shared_task(base=BaseTask, name="probe.variables")
def variables() -> list[str]:
    return sorted(os.environ)


@shared_task(base=BaseTask, bind=True, name="probe.limited")
def limited(self: Any, content: str, folder: str, waits: bool = False) -> None:
    """Notes when it begins and ends. Every task in the queue `evaluation` has an argument `content`."""
    record(folder, id=self.request.id, key=content, what="begins")
    if waits:
        wait_for_release(folder)
    record(folder, id=self.request.id, key=content, what="ends")
