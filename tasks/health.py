"""`tasks.health_check`: proof that a worker serves a queue."""

import os
import socket
from datetime import UTC, datetime

from celery import shared_task
from pydantic import AwareDatetime, BaseModel, Field

from contentworker.version import VERSION
from tasks.base import BaseTask

__all__ = ["HealthReport", "health_check"]


class HealthReport(BaseModel):
    """Which worker ran the check, and when."""

    status: str = Field("ok", description="Always `ok`: a worker that is not does not answer.")
    host: str = Field(description="Host name of the worker's machine.")
    pid: int = Field(description="Process id of the pool process.")
    time: AwareDatetime = Field(description="When it ran, by that machine's clock, in UTC.")
    version: str = Field(description="Version of Content Worker that the worker runs.")


@shared_task(base=BaseTask, name="tasks.health_check")
def health_check() -> HealthReport:
    """Answer at once. Send it to a queue to see that a worker serves it."""
    now = datetime.now(UTC)
    return HealthReport(host=socket.gethostname(), pid=os.getpid(), time=now, version=VERSION)
