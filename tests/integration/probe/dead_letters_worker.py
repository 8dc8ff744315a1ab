"""The probe's application, and tasks that end in rarer ways: `-A dead_letters_worker.celery_app`."""

import os
import signal
from typing import Any

from celery import shared_task
from celery.exceptions import Ignore, Reject
from celery.signals import task_received
from probe_worker import celery_app, record, wait_for_release

from contentworker.errors import PermanentError
from tasks.base import BaseTask

__all__ = ["celery_app"]


@shared_task(base=BaseTask, name="probe.letters.ignore")
def ignore(folder: str) -> None:
    record(folder)
    raise Ignore


@shared_task(base=BaseTask, name="probe.letters.go_back_once")
def go_back_once(folder: str) -> None:
    raise Reject("not now", requeue=record(folder) == 1)


@shared_task(base=BaseTask, name="probe.letters.odd_error", autoretry_for=())
def odd_error() -> None:
    class OddError(Exception):  # cannot be pickled, as nobody can import it
        pass

    raise OddError("\x1b[31mred \ud800\nsecond line")


@shared_task(base=BaseTask, name="probe.letters.early", acks_late=False)
def early() -> None:
    raise PermanentError("acknowledged before")


@shared_task(base=BaseTask, name="probe.letters.hold_and_fail", bind=True)
def hold_and_fail(self: Any, folder: str) -> None:
    record(folder)
    wait_for_release(folder)
    raise PermanentError("after all")


@shared_task(base=BaseTask, name="probe.letters.fail_until", bind=True, max_retries=1)
def fail_until(self: Any, folder: str, times: int) -> int:
    count = record(folder, retries=self.request.retries, replays=getattr(self.request, "replays", 0))
    if count <= times:
        raise RuntimeError(f"failure {count}")
    return count


@shared_task(base=BaseTask, name="probe.letters.out_of_memory", autoretry_for=())
def out_of_memory() -> None:
    raise MemoryError("more than there is")


@shared_task(base=BaseTask, name="probe.letters.succeed")
def succeed(folder: str) -> int:
    return record(folder)


@task_received.connect
def die_of_it(request: Any = None, **_: Any) -> None:
    """End the worker while it receives a message that says so."""
    if request.request_dict.get("ends_its_worker"):
        os.kill(os.getpid(), signal.SIGKILL)


class DiesAfterSuccess(BaseTask):
    abstract = True

    def on_success(self, *_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@shared_task(base=DiesAfterSuccess, name="probe.letters.die_after_success")
def die_after_success(folder: str) -> str:
    record(folder)
    return "done"
