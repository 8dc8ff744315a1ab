"""Queues in the API: the list, pause, resume."""

from typing import Any

from contentworker.desk.api.base import Call, ProblemError
from contentworker.desk.api.operations_models import Queue, Queues
from contentworker.runtime.records import pauses, queue_state

__all__ = ["listed", "pause", "resume"]


def listed(call: Call) -> Queues:
    """All queues."""
    return Queues(items=tuple(_queues(call, [*call.desk.settings.queues])))


def pause(call: Call) -> Queue:
    """Pause a queue."""
    pauses.pause(_client_of(call), call.id, call.ask.name)
    return _queues(call, [call.id])[0]


def resume(call: Call) -> Queue:
    """Resume a queue."""
    pauses.resume(_client_of(call), call.id)
    return _queues(call, [call.id])[0]


def _client_of(call: Call) -> Any:
    """A client of Redis, if the queue can be paused."""
    settings = call.desk.settings
    if call.id not in settings.queues:
        raise ProblemError(404, f"There is no such queue. There are: {', '.join(settings.queues)}.")
    if settings.broker.transport == "plain":
        raise ProblemError(409, 'Workers of `broker.transport = "plain"` cannot be paused.')
    return call.desk.machinery.client()


def _queues(call: Call, names: list[str]) -> list[Queue]:
    state = queue_state.read(call.desk.machinery.client(), names)
    return [
        Queue(
            name=each.queue,
            ready=each.ready,
            delayed=each.delayed,
            held=each.held,
            oldest_message_seconds=each.oldest_message_seconds,
            is_paused=each.is_paused,
            paused_by=each.pause and each.pause.by,
            paused_since=each.pause and each.pause.since,
        )
        for each in state.queues
    ]
