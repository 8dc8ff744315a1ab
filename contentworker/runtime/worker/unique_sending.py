"""Sends a unique task, but only if no other one with its key waits or runs."""

import dataclasses
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from celery.app.task import Context
from celery.utils.functional import maybe_list

from contentworker.runtime.metrics.definitions import DUPLICATES, OTHER
from contentworker.runtime.metrics.recording import MILLION, PREFIX
from contentworker.runtime.transport import uniqueness
from contentworker.runtime.worker.unique import HEADER, Unique, header, values_of

__all__ = ["send"]

ATTEMPTS = 10
"""How often to try, at most, if the message to replace starts or is replaced at the same moment."""


def send(
    app: Any,
    send_task: Callable[..., Any],
    call: tuple[str, Sequence[Any], Mapping[str, Any]],
    unique: Unique,
    options: dict[str, Any],
) -> Any:
    """Send a task with Celery's `send_task`, or return the result of the one that has its lock.

    `call` has the task's name, its arguments by position, and those by name.

    Raises:
        ValueError: a value of the unique key is missing or cannot be used, or the transport is `plain`.
    """
    name, args, kwargs = call
    if app.runtime_settings.broker.transport == "plain":
        raise ValueError('unique: needs broker.transport = "leased"')
    task = app._tasks.get(name)  # noqa: SLF001 (as Celery's send_task does: `tasks` would load all of them)
    given_id = options.pop("task_id", None)
    headers = options.pop("headers", None) or {}
    claim = unique.claim(name, values_of(task, args, kwargs), given_id or str(uuid.uuid4()))
    own_id, owner = claim.task_id, _to_replace(app, unique, claim, given_id)
    for _ in range(ATTEMPTS):
        claim = dataclasses.replace(claim, task_id=owner or own_id, turn=uuid.uuid4().hex, replaces=owner)
        marked = {"headers": {**headers, HEADER: header(claim)}, uniqueness.UNIQUE: claim}
        try:
            result = send_task(name, args, kwargs, task_id=claim.task_id, **marked, **options)
        except uniqueness.DuplicateError as error:
            owner = error.owner
            if not unique.replace:
                break
        else:
            if owner and given_id not in (None, owner):
                app.backend.mark_as_revoked(given_id, f"sent as {owner}")
            return result
    if app.runtime_settings.metrics.enabled:
        label = name if task is not None else OTHER
        app.backend.client.hincrby(f"{PREFIX}:{DUPLICATES.name}", label, MILLION)
    if given_id not in (None, owner):
        app.backend.mark_as_revoked(given_id, f"duplicate of {owner}", request=_context(given_id, options))
    return (options.get("result_cls") or app.AsyncResult)(owner)


def _to_replace(app: Any, unique: Unique, claim: uniqueness.Claim, given_id: str | None) -> str:
    """Id of the task whose place this call takes, if any.

    A task that calls itself by `self.replace` has the lock. Its replacement, which has its id, takes it over:
    as a duplicate it would be lost.
    """
    running = app.current_worker_task
    is_replacement = given_id is not None and running is not None and running.request.id == given_id
    if not (unique.replace or is_replacement):
        return ""
    owner = uniqueness.owner(app.backend.client, claim.lock)
    return owner if unique.replace or owner == given_id else ""


def _context(task_id: str, options: Mapping[str, Any]) -> Context:
    """The request that Celery needs to call the task's errbacks, or to tell its chord."""
    return Context(
        id=task_id,
        errbacks=maybe_list(options.get("link_error")),
        chord=options.get("chord"),
        group=options.get("group_id"),
        group_index=options.get("group_index"),
        root_id=options.get("root_id"),
        delivery_info={},
    )
