"""The baseline: Celery as it comes, nothing set but the address of Redis."""

import os
from typing import Any

from celery import Celery

from benchmarks.transport_workers import bodies

app = Celery("bench", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])

for body in bodies.BODIES:
    app.task(name=f"bench.{body.__name__}", ignore_result=body is not bodies.work)(body)


def send(task: str, *args: Any, countdown: float | None = None) -> None:
    """Publish one call."""
    # Else the publisher would subscribe to each result.
    app.send_task(f"bench.{task}", args, countdown=countdown, ignore_result=task != "work")
