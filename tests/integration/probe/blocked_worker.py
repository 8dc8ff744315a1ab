"""The probe's application, whose event loop can be made to hang: `-A blocked_worker.celery_app`."""

from typing import Any

from celery.worker.control import control_command
from probe_worker import celery_app, record, wait_for_release

__all__ = ["celery_app"]


@control_command()
def block(state: Any, folder: str) -> None:
    record(folder)
    wait_for_release(folder)
