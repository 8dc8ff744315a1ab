"""Which queue a task goes to, read off the patterns in `worker.toml`."""

from collections.abc import Iterable, Mapping
from typing import Any

from kombu import Queue

from contentworker.errors import ConfigError
from contentworker.runtime.settings import QueueSettings

__all__ = ["Router", "check_every_task_has_one_queue", "kombu_queues", "patterns_of", "queue_of"]

CELERY_OWN_TASKS = "celery."
"""Prefix of the tasks that Celery itself brings; they go to the default queue."""


def kombu_queues(queues: Mapping[str, QueueSettings]) -> tuple[Queue, ...]:
    """Declare one direct queue per name, as Celery would by itself, so that any client can publish to it."""
    return tuple(Queue(name, routing_key=name) for name in queues)


def queue_of(task_name: str, queues: Mapping[str, QueueSettings]) -> str | None:
    """The queue whose pattern matches, or None where none does.

    Raises:
        ConfigError: where more than one does.
    """
    found = [name for name, queue in queues.items() if queue.matches(task_name)]
    if len(found) > 1:
        raise ConfigError(
            f"worker.toml: queues.{found[1]}.tasks: task {task_name!r} also matches a pattern of queue "
            f"{found[0]!r}; a task belongs to exactly one queue"
        )
    return found[0] if found else None


def patterns_of(queues: Mapping[str, QueueSettings]) -> str:
    """Every pattern there is, for an error message."""
    return ", ".join(pattern for queue in queues.values() for pattern in queue.tasks)


def check_every_task_has_one_queue(task_names: Iterable[str], queues: Mapping[str, QueueSettings]) -> None:
    """Raise a `ConfigError` for a registered task that no pattern matches, or more than one."""
    for name in sorted(task_names):
        if not name.startswith(CELERY_OWN_TASKS) and queue_of(name, queues) is None:
            raise ConfigError(
                f"worker.toml: queues: no pattern matches the task {name!r}; add it to the `tasks` of a "
                f"queue (patterns now: {patterns_of(queues)})"
            )


class Router:
    """Celery's `task_routes` entry: names the queue of a task, or leaves it to the default queue."""

    def __init__(self, queues: Mapping[str, QueueSettings]) -> None:
        self._queues = queues

    def __call__(
        self, name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any
    ) -> dict[str, str] | None:
        queue = queue_of(name, self._queues)
        return {"queue": queue} if queue else None
