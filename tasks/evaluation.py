"""Queue `evaluation`: judging articles."""

from datetime import UTC, date, datetime
from typing import Annotated

from celery import shared_task
from pydantic import Field, StrictStr

from contentworker import config
from contentworker.editorial import MediaType
from contentworker.editorial.aeo import AeoScore
from tasks.base import IdempotentTask

__all__ = ["score_aeo"]

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
