"""Escalations on a worker: what it checks when it starts, who is notified, and how the platform is told."""

import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from celery import current_app
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import worker_shutdown
from kombu import Queue
from kombu.exceptions import OperationalError

from contentworker import config
from contentworker.articles import metrics
from contentworker.articles.outcome import findings, open_runs
from contentworker.editorial.escalations.result import Announced, EscalationRef, Notified
from contentworker.errors import ConfigError, ContentError, ContentWorkerError
from contentworker.runtime import environment
from contentworker.runtime.logs import context as log_context
from contentworker.runtime.metrics import count, set_gauge
from contentworker.runtime.records import single_host

if TYPE_CHECKING:
    from contentworker.editorial.escalations.store import PendingEvent, Store

__all__ = [
    "announce",
    "check_settings",
    "escalate",
    "is_anything_pending",
    "keep_host",
    "notify",
    "store",
]

logger = logging.getLogger(__name__)

Send = Callable[["PendingEvent"], None]


class NotAnnouncedError(ContentWorkerError):
    """Targets did not take an event; a retry sends to them alone."""


class NotifyRefusedError(ContentWorkerError):
    """Channels did not take a notification; a retry sends to them alone."""


@cache
def store() -> "Store":
    """The records, opened once in each process."""
    from contentworker.editorial.escalations.opening import open_store

    return open_store(config.load().escalations, environment.folder(config.ROOT))


def escalate(article_id: str, reason: str, run_id: str | None, **record: Any) -> EscalationRef:
    """Record an escalation, once for each article and reason, and count it.

    What its run has found out is read here, not sent: Redis forgets it after `retention.runs_seconds`.
    """
    log_context.bind(article_id=article_id, run_id=run_id)
    run = open_runs(current_app.backend.client).find(run_id) if run_id else None
    found = findings(run) if run and run.subject == article_id else ()
    settings = config.load()
    made = store().escalate(
        article_id,
        reason,
        run_id=run_id,
        findings=found,
        due_hours=settings.desk.hours_until_due(reason),
        **{**record, "title": record.get("title") or _title(record, settings.content)},
    )
    if made.created:
        count(metrics.ESCALATIONS, reason=reason)
    _measure_open()
    return made


def _title(record: dict[str, Any], settings: Any) -> str | None:
    """The title that the article has, if it can be read."""
    from contentworker.editorial.document import parse

    if record.get("content") is None:
        return None
    try:
        title = parse(record["content"], media_type=record.get("media_type"), settings=settings).title
    except Exception:  # noqa: BLE001 (what fails here failed the run: a person decides all the more)
        return None
    return title.text if title else None


def notify(escalation_id: str, notify_urls: str) -> Notified:
    """Send a record's notification to each channel, once. If the record was forgotten, send nothing.

    Raises:
        NotifyRefusedError: some did not take it.
    """
    from contentworker.editorial import notifications

    records = store()
    if records.find(escalation_id) is None:
        return Notified(id=escalation_id, channels={})
    refused = []
    # One after another: if a worker dies, the next one sends what this one has not begun.
    for channel in notifications.channels(notify_urls):
        try:
            round_number = records.begin_sending(escalation_id, channel.key, channel.label)
        except ContentError:  # forgotten a moment ago
            break
        record = records.find(escalation_id) if round_number is not None else None
        if round_number is None or record is None:
            continue
        log_context.bind(article_id=record.article_id)
        outcome = notifications.send(
            channel, *notifications.message(record, _desk_page(record.id, round_number))
        )
        records.end_sending(escalation_id, round_number, channel.key, outcome.state, outcome.detail)
        if outcome.state == "refused":
            refused.append(f"{channel.label} ({outcome.detail})")
    if refused:
        raise NotifyRefusedError(f"notification not taken by {', '.join(refused)}")
    record = records.find(escalation_id)
    sent = record.notifications if record else ()
    return Notified(id=escalation_id, channels={each.channel: each.state for each in sent})


def _desk_page(escalation_id: str, round_number: int) -> str:
    """The address of a record at the desk; nothing if browsers reach no desk."""
    settings = config.load().desk
    if not settings.public_url or settings.mail_link == "login":
        return settings.public_url and f"{settings.public_url}/review/{escalation_id}"
    from contentworker.editorial.escalations import links

    link = links.Link(escalation_id, round_number, datetime.now(UTC) + links.VALID)
    return f"{settings.public_url}/l/{links.made(links.secret_of(os.environ), link)}"


def is_anything_pending() -> bool:
    """Whether the platform has not been told of every settled record."""
    return next(store().pending_events(), None) is not None


def announce() -> Announced:
    """Deliver the pending events, to each target on its own.

    Raises:
        NotAnnouncedError: some were not taken.
    """
    _measure_open()
    targets = _targets()
    away: set[str] = set()
    done: list[str] = []
    failures: list[str] = []
    for event in store().pending_events():
        is_complete = True
        for column, send in targets.items():
            if getattr(event, column):
                continue
            if column in away or not _delivered(event, column, send, failures, away):
                is_complete = False
        if is_complete:
            store().mark_event(event.id, "done_at")
            done.append(event.id)
    if failures:
        raise NotAnnouncedError("; ".join(dict.fromkeys(failures)))
    return Announced(events=tuple(done))


def _delivered(event: "PendingEvent", column: str, send: Send, failures: list[str], away: set[str]) -> bool:
    from contentworker.editorial.webhook import UnreachableError

    try:
        send(event)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # noqa: BLE001 (whatever one channel raises, the others are told)
        failures.append(str(error))
        if isinstance(error, OperationalError | UnreachableError):
            away.add(column)  # other events would fail as well, each after its time-out
        return False
    store().mark_event(event.id, column)
    return True


def _targets() -> dict[str, Send]:
    """How each target is told, by the column that notes it."""
    settings = config.load().escalations
    targets: dict[str, Send] = {}
    if name := settings.settled_task:
        # An object, because the queue may be another application's, which this one does not declare.
        queue = settings.settled_queue
        options = {"queue": Queue(queue, routing_key=queue)} if queue else {}

        def send_task(event: "PendingEvent") -> None:
            arguments = {"event_id": event.id, "event": event.payload}
            # The event may have the article's text, and `forget` finds it by this.
            headers = {"article_id": event.payload["article_id"]}
            try:
                current_app.send_task(name, kwargs=arguments, headers=headers, **options)
            except OperationalError as error:
                raise OperationalError(f"the task {name} cannot be sent: {error}") from error

        targets["task_at"] = send_task
    if url := settings.settled_webhook_url:
        from contentworker.editorial import webhook

        secrets, timeout_seconds = os.environ.get(webhook.SECRET, ""), settings.webhook_timeout_seconds
        webhook.keys(secrets)  # refuse a wrong key before anything is sent
        targets["webhook_at"] = lambda event: webhook.post(
            url, secrets, event.id, event.payload, timeout_seconds
        )
    return targets


def _measure_open() -> None:
    try:
        set_gauge(metrics.OPEN_ESCALATIONS, store().open_count())
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # noqa: BLE001 (a metric must not fail the task)
        logger.warning("The open escalations could not be counted: %s", type(error).__name__)


def check_settings() -> None:
    """Raise a `ConfigError` for settings that would make each task fail."""
    _targets()
    if urls := os.environ.get("NOTIFY_URLS", ""):
        from contentworker.editorial.notifications import channels

        channels(urls)
    if config.load().desk.mail_link == "open":
        from contentworker.editorial.escalations import links

        links.secret_of(os.environ)
    if url := os.environ.get("DATABASE_URL", ""):
        from contentworker.editorial.escalations.schema import open_engine

        open_engine(url, config.ROOT).dispose()


def keep_host(app: Any, queue: str) -> None:
    """Take the queue for this host until the worker ends. With PostgreSQL any number of hosts may serve it.

    Raises:
        ConfigError: another host has it.
    """
    if os.environ.get("DATABASE_URL"):
        return
    import redis

    host, lease_seconds = single_host.host_id(), single_host.LEASE_SECONDS

    def keep() -> None:
        single_host.register(app.backend.client, queue, host, lease_seconds)

    def lost(error: ConfigError) -> None:
        logger.critical("%s", error)
        os.kill(os.getpid(), signal.SIGTERM)

    with suppress(redis.exceptions.RedisError):  # the worker waits for Redis, and the keeper tries again
        keep()
    keeper = single_host.Keeper(keep, lost, lease_seconds)
    keeper.start()
    worker_shutdown.connect(lambda **_: keeper.stop(), weak=False)
