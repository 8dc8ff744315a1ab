"""A short lease of the host, and a platform's task: `-A escalations_worker.celery_app`."""

import os
from typing import Any

from celery import shared_task

from contentworker.runtime.records import single_host

single_host.LEASE_SECONDS = 2

from probe_worker import celery_app, record  # noqa: E402

from tasks.base import BaseTask  # noqa: E402

__all__ = ["celery_app"]


@shared_task(base=BaseTask, name="probe.settled")
def settled(event_id: str, event: dict[str, Any]) -> None:
    record(os.environ["SETTLED_FOLDER"], event_id=event_id, event=event)
