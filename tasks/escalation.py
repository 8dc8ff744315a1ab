"""Queue `escalation`: a person is asked, told, and heard."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from celery import current_app, shared_task
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import worker_init, worker_shutdown
from celery.utils.log import get_logger
from kombu import Queue
from kombu.exceptions import OperationalError
from pydantic import Field, StrictStr

from contentworker import config, content_metrics
from contentworker.editorial.escalations.result import (
    Announced,
    ArticleId,
    EscalationRef,
    Notified,
    Reason,
    Settled,
)
from contentworker.errors import ConfigError, ContentWorkerError
from contentworker.runtime import single_host, state
from contentworker.runtime.routing import patterns_of, queue_of
from tasks.base import IdempotentTask

if TYPE_CHECKING:
    from contentworker.editorial.escalations.store import PendingEvent, Store

__all__ = ["announce", "escalate_to_human", "notify", "settle"]

logger = get_logger(__name__)

EscalationId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
RunId = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9._:/@-]*$")]


class NotAnnouncedError(ContentWorkerError):
    """Targets that did not take an event; they alone are sent to again."""


class NotifyRefusedError(ContentWorkerError):
    """Channels that did not take a notification; they alone are sent to again."""


@cache
def _store() -> "Store":
    from contentworker.editorial.escalations.opening import open_store

    return open_store(config.load().escalations, state.folder(config.ROOT))


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
    if found.created:
        content_metrics.escalated(reason)
    _measure_open(_store())
    # Each time: a crash before it would else leave a record that nobody is told of.
    notify.delay(escalation_id=found.id)
    if _store().pending_events(limit=1):  # left by a Redis that was away when somebody settled
        announce.delay()
    return found


@shared_task(base=IdempotentTask)
def notify(escalation_id: EscalationId) -> Notified:
    """Tell each channel of NOTIFY_URLS of a record, once; only one that refused is tried again."""
    from contentworker.editorial import notifications

    store = _store()
    refused = []
    # One after another: what was not begun when a worker dies is sent by the next.
    for channel in notifications.channels(os.environ.get("NOTIFY_URLS", "")):
        round_number = store.begin_sending(escalation_id, channel.key, channel.label)
        record = store.find(escalation_id) if round_number is not None else None
        if round_number is None or record is None:
            continue
        outcome = notifications.send(channel, *notifications.message(record))
        store.end_sending(escalation_id, round_number, channel.key, outcome.state, outcome.detail)
        if outcome.state == "refused":
            refused.append(f"{channel.label} ({outcome.detail})")
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
    """Deliver the events of settled records that are not delivered yet, at least once to each target.

    Each target by itself: what one does not take is tried again, and holds up nothing else. Settled records
    past their lifetime are removed as well.
    """
    store = _store()
    _measure_open(store)
    store.purge(datetime.now(UTC) - timedelta(days=config.load().escalations.retention_days))
    events = store.pending_events()
    missing: set[str] = set()
    failures: list[str] = []
    for column, send in _targets().items():
        waiting = [event for event in events if not getattr(event, column)]
        for number, event in enumerate(waiting):
            try:
                send(event)
            except SoftTimeLimitExceeded:
                raise
            except Exception as error:
                failures.append(str(error))
                missing.add(event.id)
                if _is_away(error):  # the others would fail as well, each after its time-out
                    missing.update(other.id for other in waiting[number:])
                    break
            else:
                store.mark_event(event.id, column)
    done = [event.id for event in events if event.id not in missing]
    for event_id in done:
        store.mark_event(event_id, "done_at")
    if failures:
        raise NotAnnouncedError("; ".join(dict.fromkeys(failures)))
    return Announced(events=tuple(done))


def _measure_open(store: "Store") -> None:
    try:
        content_metrics.open_escalations(store.open_count())
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # whatever the database has: the task is not to fail of it
        logger.warning("The open escalations could not be counted: %s", type(error).__name__)


def _targets() -> dict[str, Callable[["PendingEvent"], None]]:
    """Who is to be told: how, by the column that notes it."""
    settings = config.load().escalations
    targets: dict[str, Callable[[PendingEvent], None]] = {}
    if name := settings.settled_task:
        # An object, as the queue may be one of another application, which this one does not declare.
        queue = settings.settled_queue
        options = {"queue": Queue(queue, routing_key=queue)} if queue else {}

        def send_task(event: "PendingEvent") -> None:
            try:
                current_app.send_task(name, kwargs={"event_id": event.id, "event": event.payload}, **options)
            except OperationalError as error:
                raise OperationalError(f"the task {name} cannot be sent: {error}") from error

        targets["task_at"] = send_task
    if url := settings.settled_webhook_url:
        from contentworker.editorial import webhook

        secret, timeout_seconds = os.environ["SETTLED_WEBHOOK_SECRET"], settings.webhook_timeout_seconds
        targets["webhook_at"] = lambda event: webhook.post(
            url, secret, event.id, event.payload, timeout_seconds
        )
    return targets


def _is_away(error: Exception) -> bool:
    from contentworker.editorial.webhook import UnreachableError

    return isinstance(error, OperationalError | UnreachableError)


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
    settings, queues = config.load().escalations, config.load().queues
    name = settings.settled_task
    if name and not settings.settled_queue and queue_of(name, queues) is None:
        raise ConfigError(
            f"escalations.settled_task: no queue takes the task {name!r}: give its queue in "
            f"escalations.settled_queue (patterns now: {patterns_of(queues)})"
        )
    if settings.settled_webhook_url:
        from contentworker.editorial.webhook import signature

        if not (secret := os.environ.get("SETTLED_WEBHOOK_SECRET")):
            raise ConfigError("SETTLED_WEBHOOK_SECRET: is required with escalations.settled_webhook_url")
        signature(secret, "", "", b"")
    if urls := os.environ.get("NOTIFY_URLS", ""):
        from contentworker.editorial.notifications import channels

        channels(urls)
    if url := os.environ.get("DATABASE_URL", ""):
        from contentworker.editorial.escalations.schema import open_engine

        open_engine(url, config.ROOT).dispose()


def _keep_host(app: Any) -> None:
    """Take the queue for this host, and keep it; with PostgreSQL any number may serve it."""
    if os.environ.get("DATABASE_URL"):
        return
    import redis

    queue = str(queue_of(notify.name, config.load().queues))
    host, lease_seconds = single_host.host_id(), single_host.LEASE_SECONDS

    def keep() -> None:
        single_host.register(app.backend.client, queue, host, lease_seconds)

    def lost(error: ConfigError) -> None:
        logger.critical("%s", error)
        os.kill(os.getpid(), signal.SIGTERM)

    with suppress(redis.exceptions.RedisError):  # the worker waits for Redis; the keeper tries again
        keep()
    keeper = single_host.Keeper(keep, lost, lease_seconds)
    keeper.start()
    worker_shutdown.connect(lambda **_: keeper.stop(), weak=False)
