"""Errors to Sentry: each final failure of a task is one event. Off, and not loaded, without SENTRY_DSN.

Not Sentry's own Celery integration: it copies a task's arguments into the event, and never hears of a process
that was lost or of a time limit, which only the worker's main process knows.
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
from contentworker.runtime import log_context
from contentworker.runtime.leases import NOT_SHOWN

__all__ = ["redacted"]

VARIABLE = "SENTRY_DSN"
FLUSH_SECONDS = 2.0
"""Longest that the end of a process waits for Sentry."""

ONCE_SECONDS = 60.0
"""Celery may tell of a lost process, or of a time limit, more than once, in seconds."""

KEPT = (
    *("environment", "event_id", "exception", "fingerprint", "level", "platform", "release"),
    *("sdk", "server_name", "tags", "timestamp", "transaction"),
)
"""What an event may say; whatever else an SDK may think of is left out."""

_reported: deque[tuple[float, tuple[str, Any]]] = deque(maxlen=100)


def redacted(event: Any, hint: dict[str, Any]) -> Any:
    """The event without what may quote an article: variables, arguments, and the text of an error.

    Only our own errors are known to quote nothing.
    """
    kept = {name: event[name] for name in KEPT if name in event}
    errors = _chain((hint.get("exc_info") or (None, None))[1])
    safe = {str(error) for error in errors if isinstance(error, ContentWorkerError)}
    for value in kept.get("exception", {}).get("values", ()):
        if value.get("value") not in safe:
            value["value"] = NOT_SHOWN
        for frame in (value.get("stacktrace") or {}).get("frames", ()):
            frame.pop("vars", None)
    return kept


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


@worker_init.connect
@worker_process_init.connect
def _begin(**_: Any) -> None:
    """In workers alone: whoever only sends tasks reports errors in a way of their own.

    Anew in each pool process: it has a copy of what its parent is about to send, and would send it as well.
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
            "services.locks, or on your own machine type `nox -s traces`"
        ) from None
    try:
        sentry_sdk.init(
            dsn,
            before_send=redacted,
            default_integrations=False,
            include_local_variables=False,
            max_breadcrumbs=0,
            max_request_body_size="never",
            send_client_reports=False,  # nor, by default, what Sentry calls personal data
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
    if isinstance(exception, sender.throws):  # expected: a dead letter says enough
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
