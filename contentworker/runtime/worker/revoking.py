"""Revocations that last: the program that revokes writes them to Redis, and workers look them up.

Celery's `revoke` tells the workers that run at that moment, and each keeps the id in its memory. Here,
`Control` first writes the id to Redis. If another client revokes, each worker that it tells does so. When a
worker takes a message with a revoked id, it adds the id to its memory, and Celery does the rest: it
acknowledges the message, stores the result REVOKED, and sends the signal.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from celery import Celery
from celery.app import control
from redis.exceptions import RedisError

from contentworker.runtime.records import revocations

__all__ = ["Control", "Revocations", "begin"]

COMMANDS = ("revoke", "terminate")


class Control(control.Control):
    """Writes revocations to Redis before it tells the workers, so that no worker needs to run."""

    def broadcast(
        self, command: str, arguments: dict[str, Any] | None = None, *args: Any, **options: Any
    ) -> Any:
        """Send a control command to the workers.

        Raises:
            ValueError: an id to revoke is not text or too long, or there are too many ids.
        """
        if command in COMMANDS:
            _write(self.app, {**(arguments or {}), **options})
        return super().broadcast(command, arguments, *args, **options)


def begin() -> None:
    """Let this worker write each revocation that it receives: the sender may be any Celery client."""
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
        """Ids that may be revoked. Redis is asked again about each of them, as it may have expired."""
        self._seen = 0.0
        """Score up to which they were read."""
        self._newest = 0.0
        """The newest of a fetch, once it was read; `_seen` is higher if more had come by then."""

    def look_up(self, message: Any, task_id: str) -> None:
        """If the id of a message is revoked, add it to the worker's memory, otherwise remove it.

        Raises:
            redis.exceptions.RedisError: the id could not be looked up.
        """
        from celery.worker import state

        if getattr(message, "delivery", None) is None:  # the plain transport does not return the newest time
            self._decide(self._app.backend.client, task_id)
            return
        client, newest = message.channel.holder.client, message.channel.newest_revocation
        if newest not in (self._seen, self._newest):
            self._read(client, newest)
        if task_id in self._known or task_id in state.revoked:
            if self._seen < newest:
                raise RedisError(
                    "Redis does not have the newest revocation: in a failover, it may be the old master"
                )
            self._decide(client, task_id)

    def _read(self, client: Any, newest: float) -> None:
        if newest < self._seen or len(self._known) > 2 * revocations.MOST:
            self._known.clear()
            self._seen = self._newest = 0.0
        # Not up to `newest`: in a failover, this may be the old master, which does not have the newest.
        for task_id, score in revocations.since(client, self._seen):
            self._known.add(task_id)
            self._seen = score
            if score == newest:
                self._newest = newest

    def _decide(self, client: Any, task_id: str) -> None:
        from celery.worker import state

        lifetime_seconds = self._app.runtime_settings.retention.revocations_seconds
        if revocations.is_revoked(client, task_id, lifetime_seconds):
            state.revoked.add(task_id)
        else:  # expired, or replayed from its dead letter
            state.revoked.discard(task_id)
            self._known.discard(task_id)
