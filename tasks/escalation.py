"""Queue `escalation`: a person is asked, told, and heard."""

import os
import time
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from celery import current_app, shared_task
from celery.signals import heartbeat_sent, worker_init, worker_ready
from pydantic import Field, StrictStr

from contentworker import config
from contentworker.editorial.escalations.result import (
    Announced,
    ArticleId,
    EscalationRef,
    Notified,
    Reason,
    Settled,
)
from contentworker.errors import ConfigError, ContentWorkerError
from contentworker.runtime import single_host
from contentworker.runtime.local_redis import state_folder
from contentworker.runtime.routing import queue_of
from tasks.base import IdempotentTask

if TYPE_CHECKING:
    from contentworker.editorial.escalations.store import Store

__all__ = ["announce", "escalate_to_human", "notify", "settle"]

RENEWAL_SECONDS = single_host.LEASE_SECONDS / 4

EscalationId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
RunId = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9._:/@-]*$")]


class NotifyRefusedError(ContentWorkerError):
    """Channels that did not take a notification; they alone are sent to again."""


@cache
def _store() -> "Store":
    from contentworker.editorial.escalations.opening import open_store

    return open_store(config.load().escalations, state_folder(config.ROOT))


@shared_task(base=IdempotentTask)
def escalate_to_human(
    article_id: ArticleId,
    reason: Reason,
    evidence: dict[str, Any] | None = None,
    content: StrictStr | None = None,
    media_type: Annotated[str, Field(max_length=20)] | None = None,
    rewrite: StrictStr | None = None,
    run_id: RunId | None = None,
) -> EscalationRef:
    """Record that a person is to decide on an article, once for each reason, and have people told.

    Args:
        article_id: 1 to 200 characters of `A-Z a-z 0-9 . _ : / @ -`.
        reason: At most 50 of `a-z 0-9 _`, such as `ai_suspected`.
        evidence: What led here: any JSON object of at most 200,000 bytes.
        content: The article. A text that the record has not had opens it again.
        media_type: `html`, `markdown` or `text`.
        rewrite: What it was rewritten to.
        run_id: Of the run that asks.

    Raises:
        ContentError: an argument that cannot be worked on, by name. Never retried.
    """
    found = _store().escalate(
        article_id,
        reason,
        evidence=evidence or {},
        content=content,
        media_type=media_type,
        rewrite=rewrite,
        run_id=run_id,
    )
    # Each time: a crash before it would else leave a record that nobody is told of.
    notify.delay(escalation_id=found.id)
    return found


@shared_task(base=IdempotentTask)
def notify(escalation_id: EscalationId) -> Notified:
    """Tell each channel of NOTIFY_URLS of a record, once; only one that refused is tried again."""
    from contentworker.editorial import notifications

    store = _store()
    by_key = {each.key: each for each in notifications.channels(os.environ.get("NOTIFY_URLS", ""))}
    chosen, round_number = store.begin_sending(
        escalation_id, {key: each.label for key, each in by_key.items()}
    )
    refused = []
    record = store.find(escalation_id) if chosen else None
    if record is not None:
        title, body = notifications.message(record)
        for key in chosen:
            outcome = notifications.send(by_key[key], title, body)
            store.end_sending(escalation_id, round_number, key, outcome.state, outcome.detail)
            if outcome.state == "refused":
                refused.append(f"{by_key[key].label} ({outcome.detail})")
    if refused:
        raise NotifyRefusedError(f"not taken by {', '.join(refused)}")
    found = store.find(escalation_id)
    return Notified(
        id=escalation_id, channels={each.channel: each.state for each in found.notifications} if found else {}
    )


@shared_task(base=IdempotentTask)
def settle(
    escalation_id: EscalationId,
    decision: StrictStr,
    by: StrictStr,
    note: Annotated[str, Field(max_length=10_000)] = "",
    text: StrictStr | None = None,
) -> Settled:
    """Settle a record and have the platform told. Again with the same decision it changes nothing.

    Raises:
        ContentError: no such record, or one settled otherwise. Never retried.
    """
    settled = _store().settle(escalation_id, decision, by, note, text)
    announce.delay()
    return settled


@shared_task(base=IdempotentTask)
def announce() -> Announced:
    """Deliver the events of settled records that are not delivered yet, at least once each."""
    from contentworker.editorial import webhook

    settings, store, failures, done = config.load().escalations, _store(), [], []
    for event in store.pending_events():
        try:
            if settings.settled_task and not event.task_at:
                options = {"queue": settings.settled_queue} if settings.settled_queue else {}
                current_app.send_task(
                    settings.settled_task, kwargs={"event_id": event.id, "event": event.payload}, **options
                )
                store.mark_event(event.id, "task_at")
            if settings.settled_webhook_url and not event.webhook_at:
                secret = os.environ["SETTLED_WEBHOOK_SECRET"]
                timeout_seconds = settings.webhook_timeout_seconds
                webhook.post(settings.settled_webhook_url, secret, event.id, event.payload, timeout_seconds)
                store.mark_event(event.id, "webhook_at")
        except webhook.WebhookError as error:
            failures.append(str(error))
            break  # the others would fail as well, each after its time-out
        store.mark_event(event.id, "done_at")
        done.append(event.id)
    if failures:
        raise webhook.WebhookError("; ".join(failures))
    return Announced(events=tuple(done))


def _serves(app: Any) -> bool:
    return queue_of(notify.name, config.load().queues) in app.amqp.queues.consume_from


@worker_init.connect
def _check(sender: Any = None, **_: Any) -> None:
    """Refuse to start with what would fail in each task."""
    if not _serves(sender.app):
        return
    try:
        _check_configuration()
        _keep_host(sender.app)
    except ConfigError as error:
        # Celery logs any other exception of a signal's receiver, and goes on.
        raise SystemExit(f"Configuration error\n{error}") from None


def _check_configuration() -> None:
    settings = config.load().escalations
    if settings.settled_webhook_url and not os.environ.get("SETTLED_WEBHOOK_SECRET"):
        raise ConfigError("SETTLED_WEBHOOK_SECRET: is required with escalations.settled_webhook_url")
    if urls := os.environ.get("NOTIFY_URLS", ""):
        from contentworker.editorial.notifications import channels

        channels(urls)
    if url := os.environ.get("DATABASE_URL", ""):
        from contentworker.editorial.escalations.schema import open_engine

        open_engine(url, config.ROOT).dispose()


@worker_ready.connect
def _send_what_is_left(sender: Any = None, **_: Any) -> None:
    """Events whose sending was lost, by a Redis that was away when a person settled."""
    if _serves(sender.app):
        announce.delay()


_renewed_at = 0.0


@heartbeat_sent.connect
def _renew(sender: Any = None, **_: Any) -> None:
    app = current_app._get_current_object()
    if time.monotonic() - _renewed_at > RENEWAL_SECONDS and _serves(app):
        try:
            _keep_host(app)
        except ConfigError as error:
            raise SystemExit(str(error)) from None


def _keep_host(app: Any) -> None:
    """Take, or keep, the queue for this host; with PostgreSQL any number may serve it."""
    global _renewed_at
    _renewed_at = time.monotonic()
    if os.environ.get("DATABASE_URL"):
        return
    import redis

    try:
        queue = queue_of(notify.name, config.load().queues)
        single_host.register(app.backend.client, str(queue), single_host.host_id())
    except redis.exceptions.RedisError:
        pass  # the worker waits for Redis; the next beat tries again
