"""Queue `celery`: what the schedules remove."""

from celery import Task, current_app, shared_task
from pydantic import BaseModel, Field

from contentworker import config
from contentworker.runtime.records import dead_letters
from tasks.base import IdempotentTask

__all__ = ["Purged", "purge", "purge_with"]

_others: list[Task] = []


class Purged(BaseModel):
    """What was removed."""

    dead_letters: int = Field(description="How many were past `[dead_letters]`.")
    sent: tuple[str, ...] = Field(description="Tasks sent to remove what only their own queue can reach.")


def purge_with(task: Task) -> None:
    """Have `purge` send this task, without arguments, for what only the task's own queue can reach."""
    _others.append(task)


@shared_task(base=IdempotentTask)
def purge() -> Purged:
    """Remove what is past its lifetime and does not expire in Redis on its own."""
    dropped = dead_letters.drop_old(current_app.backend.client, config.load().dead_letters)
    for task in _others:
        task.delay()
    return Purged(dead_letters=dropped, sent=tuple(task.name for task in _others))
