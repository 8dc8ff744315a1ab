"""Finds the queue of a task by the patterns in `worker.toml`."""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from contentworker.errors import ConfigError
from contentworker.runtime.health import HEALTH_TASK
from contentworker.runtime.settings import RuntimeSettings
from contentworker.runtime.worker.task_names import CELERYS_OWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kombu import Queue

__all__ = ["Match", "best_matches", "kombu_queues", "limits_of", "queue_of", "router"]


class Match(NamedTuple):
    """A pattern that matches a task's name: the queue's name, and the pattern's position in its `tasks`."""

    queue: str
    position: int
    pattern: str


def kombu_queues(queues: "Iterable[str]") -> "tuple[Queue, ...]":
    """Declare a direct queue for each name, as Celery does by default: any client can publish to it."""
    from kombu import Queue  # commands that only read the settings do not load it

    return tuple(Queue(name, routing_key=name) for name in queues)


def queue_of(task_name: str, settings: RuntimeSettings) -> str:
    """The queue with the most specific pattern that matches; the default queue if no pattern matches.

    Raises:
        ConfigError: two queues have equally specific patterns.
    """
    matches = best_matches(task_name, settings)
    if len(matches) > 1:
        shown = " and ".join(f"{each.pattern} (queue {each.queue})" for each in matches)
        raise ConfigError(f"task {task_name!r} matches equally specific patterns: {shown}")
    return matches[0].queue if matches else settings.default_queue


def best_matches(task_name: str, settings: RuntimeSettings) -> list[Match]:
    """The most specific patterns that match; more than one if several queues have equally specific ones."""
    found = [
        Match(name, index, pattern)
        for name, queue in settings.queues.items()
        for index, pattern in enumerate(queue.tasks)
        if fnmatchcase(task_name, pattern)
    ]
    best = max((_rank(each.pattern) for each in found), default=None)
    return list({each.queue: each for each in found if _rank(each.pattern) == best}.values())


def _rank(pattern: str) -> tuple[bool, int]:
    """How specific a pattern is: first a whole name, then the pattern with the most literal characters."""
    literal = re.sub(r"\[[^]]*\]|[*?]", "", pattern)
    return literal == pattern, len(literal)


def limits_of(task_name: str, settings: RuntimeSettings, queue: str = "") -> list[str]:
    """The names of the limits that apply to a task in this queue, or in the one it goes to. One is allowed.

    Celery's own tasks and the health check have no limits: they lack the arguments of your tasks.
    """
    if task_name.startswith(CELERYS_OWN) or task_name == HEALTH_TASK:
        return []
    if not queue:
        matches = best_matches(task_name, settings)
        queue = matches[0].queue if matches else settings.default_queue
    return [
        name
        for name, limit in settings.limits.named.items()
        if queue in limit.queues or any(fnmatchcase(task_name, pattern) for pattern in limit.tasks)
    ]


def router(settings: RuntimeSettings) -> Callable[..., dict[str, str]]:
    """An entry of Celery's `task_routes`: the queue of a task."""

    def route(name: str, *_: Any, **__: Any) -> dict[str, str]:
        return {"queue": queue_of(name, settings)}

    return route
