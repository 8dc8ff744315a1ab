"""Ours: this project's application with all its settings.

`typed.*` are tasks as people write them here; `bare.*` have Celery's own `Task` as their base, which shows
the application's settings and the transport without our base class.
"""

from typing import Any

from celery import Task

from benchmarks.transport_workers import bodies
from celery_worker import celery_app as app
from tasks.base import BaseTask

for kind, base in (("typed", BaseTask), ("bare", Task)):
    for body in bodies.BODIES:
        name = f"bench.{kind}.{body.__name__}"
        app.task(base=base, name=name, ignore_result=body is not bodies.work)(body)


def send(task: str, *args: Any, countdown: float | None = None) -> None:
    """Publish one call."""
    ignored = not task.endswith(".work")
    app.send_task(f"bench.{task}", args, countdown=countdown, ignore_result=ignored)
