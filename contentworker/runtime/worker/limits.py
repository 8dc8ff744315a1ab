"""Finds the limit of a message, and its key, for the transport: `[limits.NAME]` of worker.toml."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from inspect import Parameter, signature
from typing import Any

from celery import Celery

from contentworker.printable import encodable
from contentworker.runtime.settings import RuntimeSettings
from contentworker.runtime.transport import UNREADABLE, limits
from contentworker.runtime.transport.limits import Limit, Refusal, partition
from contentworker.runtime.worker import admission
from contentworker.runtime.worker.routing import limits_of, queue_of

__all__ = ["TaskLimiter", "apply", "key_header"]

KEY_HEADER = "limit_key"
"""Header with the value of the argument that is a limit's key, because a fetch cannot find it in the body."""
MOST_KEY_BYTES = 1024
"""Longest value of a limit's key. It becomes part of a key in Redis."""


class TaskLimiter:
    """The limits of this application's tasks: a `transport.limits.Limiter`."""

    def __init__(self, app: Celery) -> None:
        settings: RuntimeSettings = app.runtime_settings
        self._settings, self._tasks = settings, app.tasks
        self.limits: Mapping[str, Limit] = {
            name: Limit(limit.concurrency, limit.rate_number, limit.rate_seconds, limit.on_conflict)
            for name, limit in settings.limits.named.items()
        }
        self.queues: Mapping[str, bool] = _queues(app.tasks, settings)
        self._limit_of = cache(self._find)
        self.direct: Mapping[str, Mapping[str, Sequence[str]]] = {
            queue: self._find_direct(queue) for queue in self.queues
        }
        self._parameters = cache(self._find_parameters)

    def _find(self, task: str, queue: str) -> str:
        names = limits_of(task, self._settings, queue)
        return names[0] if names else ""

    def _find_direct(self, queue: str) -> dict[str, Sequence[str]]:
        named = self._settings.limits.named
        of_queue = next((name for name, limit in named.items() if queue in limit.queues), "")
        others = {task: name for task in self._tasks if (name := self._find(task, queue)) != of_queue}
        direct = {task: self._limit_and_key(name) for task, name in others.items()}
        return {"": self._limit_and_key(of_queue), **direct}

    def _limit_and_key(self, name: str) -> list[str]:
        limit = self._settings.limits.named[name] if name else None
        if limit is None:
            return []
        if limit.header:
            return [name, f"{json.dumps(limit.header)}: "]
        if not limit.key:
            return [name]
        return [name, f'"{KEY_HEADER}": ']

    def _find_parameters(self, task: str) -> Mapping[str, Parameter]:
        return signature(self._tasks[task].run).parameters

    def partition_of(self, message: Any, queue: str) -> str | Refusal | None:
        """What a message counts with; None if it has no limit, or the consumer refuses it anyway."""
        try:
            if message.content_type == UNREADABLE:
                return None
            task = message.headers.get("task")
            call = None if isinstance(task, str) else self._call_of_protocol_1(message)
            if call:
                task = call["task"]
            name = self._limit_of(task, queue) if task in self._tasks else ""
            if not name:
                return None
            limit = self._settings.limits.named[name]
            if limit.header:
                return self._with_key(name, f"header {limit.header}", message.headers.get(limit.header))
            if not limit.key:
                return partition(name, "")
            if not call:
                message.accept = {admission.CONTENT_TYPE}
                admission.check(message, self._tasks)
                args, kwargs, _ = message.payload
            else:
                args, kwargs = call.get("args") or (), call.get("kwargs") or {}
        except Exception:  # noqa: BLE001 (the consumer gets it again, and says what is wrong with the message)
            return None
        return self._with_key(name, limit.key, _argument(self._parameters(task), limit.key, args, kwargs))

    def _call_of_protocol_1(self, message: Any) -> dict[str, Any] | None:
        """The body of a message that has everything in its body, as Celery 3 sends it."""
        message.accept = {admission.CONTENT_TYPE}
        admission.check(message, self._tasks)
        body = message.payload
        return body if isinstance(body, dict) and isinstance(body.get("task"), str) else None

    def _with_key(self, limit: str, name: str, value: Any) -> str | Refusal:
        text = str(value) if isinstance(value, str | int | float) else ""
        if value is None:
            problem = "is missing"
        elif not isinstance(value, str | int | float):
            problem = f"must be text or a number, not {type(value).__name__}"
        elif encodable(text) != text:
            problem = "must be valid Unicode, not half of a surrogate pair"
        elif len(text.encode()) > MOST_KEY_BYTES:
            problem = f"must be at most {MOST_KEY_BYTES} bytes"
        else:
            return partition(limit, text)
        return Refusal(limit, "invalid", f"{name}: {problem}, as it is the key of limits.{limit}")


def _argument(parameters: Mapping[str, Parameter], name: str, args: Any, kwargs: Any) -> Any:
    """An argument's value, passed by name or by position, or its default."""
    if name in kwargs:
        return kwargs[name]
    if name not in parameters:
        return None
    place = list(parameters).index(name)
    if place < len(args):
        return args[place]
    default = parameters[name].default
    return None if default is Parameter.empty else default


def key_header(app: Any, task: str, args: Any, kwargs: Any, queue: Any) -> dict[str, str | int]:
    """The header `limit_key` for a task that is sent, if its limit's key is an argument: the fetch reads it.

    `queue`: the queue, if the sender names one.
    """
    if not app.runtime_settings.limits.named:
        return {}
    key, parameters = _key_argument(app, task, str(queue or ""))
    value = _argument(parameters, key, args or (), kwargs or {}) if key else None
    return {KEY_HEADER: value} if isinstance(value, str | int) else {}


@lru_cache
def _key_argument(app: Any, task: str, queue: str) -> tuple[str, Mapping[str, Parameter]]:
    """The name of the argument that is the key of a task's limit, or ""; and the task's known parameters."""
    settings: RuntimeSettings = app.runtime_settings
    key = next((settings.limits.named[name].key for name in limits_of(task, settings, queue)), "")
    known = app._tasks.get(task) if key else None  # noqa: SLF001 (as Celery's send_task does: `tasks` would load all of them)
    return key, signature(known.run).parameters if known else {}


def apply(app: Celery) -> None:
    """Apply the limits of `worker.toml` to the messages that this process takes."""
    if app.runtime_settings.limits.named:
        limits.use(TaskLimiter(app))


def _queues(tasks: Iterable[str], settings: RuntimeSettings) -> dict[str, bool]:
    """The queues that get tasks with a limit, and whether `on_conflict` of all these limits is `wait`."""
    waits: dict[str, bool] = {}
    for name, limit in settings.limits.named.items():
        of_tasks = [queue_of(task, settings) for task in tasks if name in limits_of(task, settings)]
        for queue in {*limit.queues, *of_tasks}:
            waits[queue] = waits.get(queue, True) and limit.on_conflict == "wait"
    return waits
