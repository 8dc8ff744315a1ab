"""Sends each final failure of a task to Sentry as one event. Without SENTRY_DSN nothing is loaded.

This replaces Sentry's own Celery integration, which copies a task's arguments into the event, and misses lost
processes and time limits: only the worker's main process knows of those.
"""

import os
import time
from collections import deque
from typing import Any

from celery.signals import (
    task_failure,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_shutdown,
)

from contentworker.errors import ContentWorkerError
from contentworker.runtime.logs import context as log_context
from contentworker.runtime.logs.context import NOT_SHOWN

__all__ = ["redacted"]

VARIABLE = "SENTRY_DSN"
FLUSH_SECONDS = 2.0
"""Longest time that a process which ends waits for Sentry."""

ONCE_SECONDS = 60.0
"""Time in which a failure is reported once: Celery may signal a lost process or a time limit repeatedly."""

KEPT = (
    *("environment", "event_id", "exception", "fingerprint", "level", "platform", "release"),
    *("sdk", "server_name", "tags", "timestamp", "transaction"),
)
"""Parts of an event that are sent. All others, also those of later versions of the SDK, are removed."""

_reported: deque[tuple[float, tuple[str, Any]]] = deque(maxlen=100)


def redacted(event: Any, hint: dict[str, Any]) -> Any:
    """The event without anything that may quote an article: variables, arguments, texts of errors.

    The text of our own errors stays, because they quote nothing.
    """
    kept = {name: event[name] for name in KEPT if name in event}
    error = (hint.get("exc_info") or (None, None))[1]
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    safe = {str(each) for each in chain if isinstance(each, ContentWorkerError)}
    for value in kept.get("exception", {}).get("values", ()):
        if value.get("value") not in safe:
            value["value"] = NOT_SHOWN
        for frame in (value.get("stacktrace") or {}).get("frames", ()):
            frame.pop("vars", None)
    return kept


@worker_init.connect
@worker_process_init.connect
def _begin(**_: Any) -> None:
    """Start reporting, in workers only: a program that sends tasks has its own error reporting.

    Each pool process starts its own client. With its parent's it would send a copy of the parent's queue.
    """
    dsn = os.environ.get(VARIABLE)
    if not dsn:
        return
    try:
        import sentry_sdk
        from sentry_sdk.utils import BadDsn
    except ImportError:
        raise SystemExit(
            f"Configuration error\n{VARIABLE}: is set, but sentry-sdk is not installed: add `traces` to "
            "services.locks, or on your own machine run `nox -s traces`"
        ) from None
    try:
        sentry_sdk.init(
            dsn,
            before_send=redacted,
            default_integrations=False,
            include_local_variables=False,
            max_breadcrumbs=0,
            max_request_body_size="never",
            send_client_reports=False,  # personal data is off by default
            shutdown_timeout=FLUSH_SECONDS,
        )
    except BadDsn:
        raise SystemExit(
            f"Configuration error\n{VARIABLE}: must be https://KEY@HOST/PROJECT, as Sentry shows it"
        ) from None
    task_failure.connect(_report)
    worker_process_shutdown.connect(_flush)
    worker_shutdown.connect(_flush)


def _report(sender: Any = None, task_id: str = "", exception: Any = None, **_: Any) -> None:
    if isinstance(exception, sender.throws):  # expected: the dead letter is enough
        return
    fields = {**log_context.fields(), "task_id": task_id}
    now, attempt = time.monotonic(), fields.get("attempt")
    if any(told == (task_id, attempt) and now - at < ONCE_SECONDS for at, told in _reported):
        return
    _reported.append((now, (task_id, attempt)))
    import sentry_sdk

    with sentry_sdk.new_scope() as scope:
        scope.set_transaction_name(sender.name)
        for name, value in fields.items():
            scope.set_tag(name, value)
        scope.capture_exception(exception)


def _flush(**_: Any) -> None:
    import sentry_sdk

    sentry_sdk.flush(FLUSH_SECONDS)
