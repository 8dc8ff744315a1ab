"""Queues in the API: the list, pause, resume."""

from contentworker.desk.api.base import Call, ProblemError
from contentworker.desk.api.models import Queue, Queues
from contentworker.runtime.records import queue_state
from contentworker.runtime.transport.protocol import Protocol

__all__ = ["listed", "pause", "resume"]


def listed(call: Call) -> Queues:
    """All queues."""
    return Queues(items=tuple(_queues(call, [*call.desk.settings.queues])))


def pause(call: Call) -> Queue:
    """Pause a queue."""
    _protocol(call).pause(call.id)
    return _queues(call, [call.id])[0]


def resume(call: Call) -> Queue:
    """Resume a queue."""
    _protocol(call).resume(call.id)
    return _queues(call, [call.id])[0]


def _protocol(call: Call) -> Protocol:
    settings = call.desk.settings
    if call.id not in settings.queues:
        raise ProblemError(404, f"There is no such queue. There are: {', '.join(settings.queues)}.")
    if settings.broker.transport == "plain":
        raise ProblemError(409, 'Workers of `broker.transport = "plain"` cannot be paused.')
    return Protocol(call.desk.machinery.client())


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
        )
        for each in state.queues
    ]
