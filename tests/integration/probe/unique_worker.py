"""The probe's application, and tasks that are unique: `-A unique_worker.celery_app`."""

import signal
import time
from contextlib import suppress
from typing import Any

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from probe_worker import celery_app, record, wait_for_release

from contentworker.errors import PermanentError
from tasks.base import BaseTask

__all__ = ["celery_app"]


@shared_task(base=BaseTask, name="probe.unique.queued", unique={"key": ["name"]})
def queued(folder: str, name: str) -> None:
    record(folder, name=name)
    wait_for_release(folder)


@shared_task(base=BaseTask, name="probe.unique.running", unique={"key": ["name"], "while": "running"})
def running(folder: str, name: str) -> None:
    record(folder, name=name)
    wait_for_release(folder)


@shared_task(
    base=BaseTask,
    name="probe.unique.alone",
    bind=True,
    max_retries=100,
    unique={"key": ["name"], "while": "running"},
)
def alone(self: Any, folder: str, name: str, seconds: float = 0.02, fails: bool = False) -> None:
    """Note when it begins and ends; once in a while it is retried."""
    record(folder, name=name, id=self.request.id, edge="begins")
    time.sleep(seconds)
    record(folder, name=name, id=self.request.id, edge="ends")
    if fails and self.request.retries == 0:
        raise self.retry(countdown=0.2)


@shared_task(
    base=BaseTask,
    name="probe.unique.too_long",
    soft_time_limit=3,  # long enough for a busy machine to begin it
    time_limit=4,
    unique={"key": [], "while": "running"},
)
def too_long(folder: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        with suppress(SoftTimeLimitExceeded):
            record(folder)
            time.sleep(0.01)


@shared_task(base=BaseTask, name="probe.unique.newest", unique={"key": ["name"], "replace": True})
def newest(folder: str, name: str, number: int) -> int:
    record(folder, name=name, number=number)
    return number


@shared_task(
    base=BaseTask, name="probe.unique.throttled", unique={"key": ["name"], "while": "ttl", "seconds": 3600}
)
def throttled(folder: str, name: str) -> None:
    record(folder, name=name)


def pages(self: Any, folder: str, name: str, left: int) -> str:
    """Take one page, and have another call take the others."""
    record(folder, name=name, left=left)
    if not left:
        return "all"
    raise self.replace(self.si(folder=folder, name=name, left=left - 1).set(queue="celery"))


for kept in ("running", "ttl"):
    unique = {"key": ["name"], "while": kept, "seconds": 3600}
    shared_task(base=BaseTask, name=f"probe.unique.pages_{kept}", bind=True, unique=unique)(pages)


@shared_task(base=BaseTask, name="probe.unique.fails", unique={"key": [], "while": "running"})
def fails(folder: str) -> None:
    record(folder)
    raise PermanentError("on request")


@shared_task(base=BaseTask, name="probe.unique.told", bind=True)
def told(self: Any, failed_id: str, folder: str) -> None:
    record(folder, failed_id=failed_id)
