"""Queue `evaluation`: judging articles."""

import os
from datetime import UTC, date, datetime
from typing import Annotated, Any

from celery import shared_task
from celery.signals import worker_init
from pydantic import Field, StrictStr

from contentworker import config
from contentworker.editorial import MediaType
from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.detector import Detection
from contentworker.errors import ConfigError
from contentworker.runtime.routing import queue_of
from tasks.base import IdempotentTask

__all__ = ["detect_ai", "score_aeo"]

Question = Annotated[StrictStr, Field(min_length=1)]


@shared_task(base=IdempotentTask)
def score_aeo(
    content: StrictStr,
    media_type: MediaType | None = None,
    questions: list[Question] | None = None,
    url: StrictStr | None = None,
    today: date | None = None,
) -> AeoScore:
    """Score how ready an article is to be found, quoted and attributed by answer engines (0 to 100).

    Args:
        content: The article as HTML, Markdown or plain text; at most `content.max_bytes` of UTF-8.
        media_type: `html`, `markdown` or `text`; found out where it is not given.
        questions: What the article should answer; inferred from its headings or title where not given.
        url: Where the article is, or will be, published; tells its own links from references.
        today: The day (ISO 8601) by which freshness is judged; the worker's current day in UTC by default.

    Raises:
        ContentError: an argument that cannot be worked on, by name. Never retried.
    """
    # In the process that scores: whoever only sends tasks, or waits for them, does without.
    from contentworker.editorial.aeo.scoring import score
    from contentworker.editorial.document import parse

    settings = config.load().content
    document = parse(content, media_type=media_type, settings=settings)
    return score(
        document,
        questions=tuple(questions or ()),
        url=url,
        today=today or datetime.now(UTC).date(),
        settings=settings,
    )


@shared_task(base=IdempotentTask)
def detect_ai(content: StrictStr, media_type: MediaType | None = None) -> Detection:
    """Judge whether a language model wrote an article: `human`, `uncertain` or `ai`, and what drove it.

    An `ai` verdict alone is no ground to reject an article. What cannot be judged (fewer than 75 words, not
    English, mostly quotation or code) is `uncertain`, with the reason.

    Args:
        content: The article as HTML, Markdown or plain text; at most `content.max_bytes` of UTF-8.
        media_type: `html`, `markdown` or `text`; found out where it is not given.

    Raises:
        ContentError: an argument that cannot be worked on, by name. Never retried.
    """
    # In the process that judges: whoever only sends tasks does without numpy.
    from contentworker.editorial.detector.judging import judge
    from contentworker.editorial.detector.model import shipped
    from contentworker.editorial.document import parse

    settings = config.load().content
    return judge(parse(content, media_type=media_type, settings=settings), model=shipped(), settings=settings)


@worker_init.connect
def _load_model(sender: Any = None, **_: Any) -> None:
    """Load the detector's model before the pool forks, so that its processes share it.

    A worker that serves another queue does without. One whose model cannot be read does not start.
    """
    if queue_of(detect_ai.name, config.load().queues) not in sender.app.amqp.queues.consume_from:
        return
    # numpy starts a thread a core for linear algebra, none of which is used here, and a pool that forks
    # should have one thread only.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from contentworker.editorial.detector.model import shipped

    try:
        shipped()
    except ConfigError as error:
        # Celery logs any other exception of a signal's receiver, and goes on.
        raise SystemExit(f"Configuration error\n{error}") from None
