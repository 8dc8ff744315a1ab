"""Which queue a task goes to, by the patterns in `worker.toml`."""

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
    """A pattern that a task's name matches: the queue's name, and the pattern's place in its `tasks`."""

    queue: str
    position: int
    pattern: str


def kombu_queues(queues: "Iterable[str]") -> "tuple[Queue, ...]":
    """Declare one direct queue per name, as Celery does by default, so that any client can publish to it."""
    from kombu import Queue  # commands that only look at the settings do without

    return tuple(Queue(name, routing_key=name) for name in queues)


def queue_of(task_name: str, settings: RuntimeSettings) -> str:
    """The queue with the most specific pattern that matches; the default queue if no pattern does.

    Raises:
        ConfigError: two queues have equally specific ones.
    """
    matches = best_matches(task_name, settings)
    if len(matches) > 1:
        shown = " and ".join(f"{each.pattern} (queue {each.queue})" for each in matches)
        raise ConfigError(f"task {task_name!r} matches equally specific patterns: {shown}")
    return matches[0].queue if matches else settings.default_queue


def best_matches(task_name: str, settings: RuntimeSettings) -> list[Match]:
    """The most specific pattern that matches, one for each queue that has one of this rank."""
    found = [
        Match(name, index, pattern)
        for name, queue in settings.queues.items()
        for index, pattern in enumerate(queue.tasks)
        if fnmatchcase(task_name, pattern)
    ]
    best = max((_rank(each.pattern) for each in found), default=None)
    return list({each.queue: each for each in found if _rank(each.pattern) == best}.values())


def _rank(pattern: str) -> tuple[bool, int]:
    """A whole name before any wildcard, then the pattern with more characters that are no wildcard."""
    literal = re.sub(r"\[[^]]*\]|[*?]", "", pattern)
    return literal == pattern, len(literal)


def limits_of(task_name: str, settings: RuntimeSettings, queue: str = "") -> list[str]:
    """The limits that apply to a task, by name, in the queue that it goes to or in this one. One is allowed.

    Celery's own tasks and the health check have none: they lack the arguments that yours have.
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
