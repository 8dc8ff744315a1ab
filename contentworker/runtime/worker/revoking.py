"""Revocations that last: written to Redis by the program that revokes, looked up when a message is taken.

Celery's `revoke` tells the workers that listen at that moment, and each remembers the id in its memory. Here
`Control` writes the id to Redis first, and so does each worker that is told by another client. When a worker
takes a message of a revoked id, it adds the id to its memory, and Celery does the rest: the message is
acknowledged, the result is REVOKED, the signal is sent.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from celery import Celery
from celery.app import control
from celery.utils.log import get_logger
from redis.exceptions import RedisError

from contentworker.runtime.records import revocations

__all__ = ["Control", "Revocations", "begin"]

logger = get_logger(__name__)

COMMANDS = ("revoke", "terminate")


class Control(control.Control):
    """Writes revocations to Redis before it tells the workers, so that none of them needs to listen."""

    def broadcast(
        self, command: str, arguments: dict[str, Any] | None = None, *args: Any, **options: Any
    ) -> Any:
        """Send a control command to the workers.

        Raises:
            ValueError: an id to revoke is no text, or too long.
        """
        if command in COMMANDS:
            _write(self.app, {**(arguments or {}), **options})
        return super().broadcast(command, arguments, *args, **options)


def begin() -> None:
    """Have this worker write each revocation that it is told of: the sender may be any Celery client."""
    from celery.worker.control import Panel

    for name in COMMANDS:
        if not hasattr(Panel.data[name], "__wrapped__"):
            Panel.data[name] = _lasting(Panel.data[name])


def _lasting(handle: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(handle)
    def command(state: Any, **arguments: Any) -> Any:
        _write(state.app, arguments)
        return handle(state, **arguments)

    return command


def _write(app: Any, arguments: dict[str, Any]) -> None:
    ids = arguments.get("task_id") or []
    lifetime_seconds = app.runtime_settings.retention.revocations_seconds
    revocations.revoke(app.backend.client, [ids] if isinstance(ids, str) else [*ids], lifetime_seconds)


class Revocations:
    """The revoked ids in Redis that a worker's main process knows."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._known: set[str] = set()
        """Ids that may be revoked: Redis is asked about them once more, as they may have expired."""
        self._seen = 0.0

    def look_up(self, message: Any, task_id: str) -> None:
        """Put the id of a message that was taken into the worker's memory if it is revoked, else out of it.

        Raises:
            redis.exceptions.RedisError: it could not be looked up.
        """
        from celery.worker import state

        if getattr(message, "delivery", None) is None:  # the plain transport: it tells nothing
            self._decide(self._app.backend.client, task_id)
            return
        client, newest = message.channel.holder.client, message.channel.newest_revocation
        if newest != self._seen:
            self._read(client, newest)
        if task_id in self._known or task_id in state.revoked:
            self._decide(client, task_id)

    def look_up_held(self, task_ids: Sequence[str]) -> None:
        """The same for messages that wait in this worker: while it was disconnected, no one could tell it."""
        try:
            for task_id in task_ids:
                self._decide(self._app.backend.client, task_id)
        except RedisError as error:
            logger.warning("Tasks that wait in this worker were not looked up as revoked: %s", error)

    def _read(self, client: Any, newest: float) -> None:
        if newest < self._seen or len(self._known) > 2 * revocations.MOST:
            self._known.clear()
            self._seen = 0.0
        for task_id, score in revocations.since(client, self._seen):
            self._known.add(task_id)
            self._seen = score
        self._seen = max(self._seen, newest)

    def _decide(self, client: Any, task_id: str) -> None:
        from celery.worker import state

        lifetime_seconds = self._app.runtime_settings.retention.revocations_seconds
        if revocations.is_revoked(client, task_id, lifetime_seconds):
            state.revoked.add(task_id)
        else:  # expired, or replayed from its dead letter
            state.revoked.discard(task_id)
            self._known.discard(task_id)
