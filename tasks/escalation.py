"""Queue `escalation`: asks a person, notifies people, and tells the platform what they decided."""

import os
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from celery import shared_task
from pydantic import Field, StrictStr

from contentworker import config
from contentworker.articles import escalating
from contentworker.editorial import MediaType
from contentworker.editorial.escalations.result import (
    Announced,
    ArticleId,
    EscalationRef,
    FindingKind,
    Forgotten,
    Notified,
    Reason,
    Settled,
)
from contentworker.runtime.worker.routing import queue_of
from tasks import maintenance
from tasks.base import IdempotentTask, at_start

__all__ = ["announce", "escalate_to_human", "keep_finding", "notify", "purge", "settle"]

EscalationId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
RunId = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9._:/@-]*$")]


@shared_task(base=IdempotentTask)
def escalate_to_human(  # noqa: PLR0917 (callers may send them by position)
    article_id: ArticleId,
    reason: Reason,
    evidence: dict[str, Any] | None = None,
    content: StrictStr | None = None,
    media_type: MediaType | None = None,
    rewrite: StrictStr | None = None,
    run_id: RunId | None = None,
    title: Annotated[str, Field(max_length=10_000)] | None = None,
) -> EscalationRef:
    """Ask a person to decide on an article, once for each reason, and have people notified.

    Args:
        article_id: 1 to 200 characters of `A-Z a-z 0-9 . _ : / @ -`.
        reason: At most 50 of `a-z 0-9 _`, such as `ai_suspected`.
        evidence: What led here: any JSON object of at most 200,000 bytes.
        content: The article. A text that the record does not have yet opens it again.
        media_type: `html`, `markdown` or `text`.
        rewrite: The text that it was rewritten to.
        run_id: The run that asks.
        title: The article's title for the list, on one line and cut at 200 characters. Without it, the one
            that `content` has.

    Raises:
        ContentError: an argument that cannot be worked on, by name. Never retried.
    """
    texts = {"content": content, "media_type": media_type, "rewrite": rewrite, "title": title}
    made = escalating.escalate(article_id, reason, run_id, evidence=evidence or {}, **texts)
    # Also for a record that exists: the first worker may have died before this line.
    notify.delay(escalation_id=made.id)
    if escalating.is_anything_pending():  # settled while Redis was away
        announce.delay()
    return made


@shared_task(base=IdempotentTask)
def notify(escalation_id: EscalationId) -> Notified:
    """Send a record's notification to each channel of NOTIFY_URLS, once; retry the ones that refused it."""
    return escalating.notify(escalation_id, os.environ.get("NOTIFY_URLS", ""))


@shared_task(base=IdempotentTask)
def settle(
    escalation_id: EscalationId,
    decision: StrictStr,
    by: StrictStr,
    note: Annotated[str, Field(max_length=10_000)] = "",
    text: StrictStr | None = None,
) -> Settled:
    """Settle a record and have the platform told. Sent again with the same arguments, it changes nothing.

    Raises:
        ConflictError: the record is settled otherwise, or by somebody else. Never retried.
        ContentError: there is no such record. Never retried.
    """
    settled = escalating.store().settle(escalation_id, decision, by, note, text)
    announce.delay()
    return settled


@shared_task(base=IdempotentTask)
def announce() -> Announced:
    """Deliver the events of settled records that are not delivered yet, at least once to each target.

    If one target does not take an event it is retried, and holds up nothing else. Decisions that can still be
    withdrawn wait for a later announcement.
    """
    return escalating.announce()


@shared_task(base=IdempotentTask)
def keep_finding(
    result: dict[str, Any],
    *,
    escalation_id: EscalationId,
    kind: FindingKind,
    number: Annotated[int, Field(ge=1)],
    text_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")],
) -> None:
    """Add the result of an evaluation that a person asked for to the record; nothing if it is forgotten."""
    escalating.store().add_finding(
        escalation_id,
        kind,
        result,
        run_id=f"desk/{text_sha256}",
        number=number,
        text_sha256=text_sha256,
    )


@shared_task(base=IdempotentTask)
def purge() -> Forgotten:
    """Remove settled records past `escalations.retention_days`."""
    days = config.load().escalations.retention_days
    return escalating.store().purge(datetime.now(UTC) - timedelta(days=days))


def _prepare(app: Any) -> None:
    escalating.check_settings()
    escalating.keep_host(app, queue_of(notify.name, config.load()))


maintenance.purge_with(purge)
at_start(notify, _prepare)
