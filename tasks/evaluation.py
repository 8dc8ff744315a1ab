"""Queue `evaluation`: judging articles."""

import os
from datetime import UTC, date, datetime
from typing import Any

from celery import shared_task
from pydantic import StrictStr

from contentworker import config
from contentworker.editorial import MediaType, Scope
from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.detector import Detection
from tasks.base import IdempotentTask, Question, at_start

__all__ = ["detect_ai", "score_aeo"]


@shared_task(base=IdempotentTask)
def score_aeo(  # noqa: PLR0917 (callers may send them by position)
    content: StrictStr,
    media_type: MediaType | None = None,
    questions: list[Question] | None = None,
    url: StrictStr | None = None,
    today: date | None = None,
    scope: Scope | None = None,
) -> AeoScore:
    """Score how ready an article is to be found, quoted and attributed by answer engines (0 to 100).

    Args:
        content: The article as HTML, Markdown or plain text; at most `content.max_bytes` of UTF-8.
        media_type: `html`, `markdown` or `text`; detected if not given.
        questions: What the article should answer; inferred from its headings or title if not given.
        url: Where the article is, or will be, published; tells its own links from references, and
            the words of its last part may match a question.
        today: The day (ISO 8601) by which freshness is judged; the worker's current day in UTC by default.
        scope: Of HTML, `whole_page` or `fragment`; `content.scope` decides if not given.

    Raises:
        ContentError: an argument that cannot be worked on, by name. Never retried.
    """
    # Imported in the process that scores: a process that only sends tasks stays light.
    from contentworker.editorial.aeo.scoring import score
    from contentworker.editorial.document import parse

    settings = config.load().content
    return score(
        parse(content, media_type=media_type, scope=scope, settings=settings),
        questions=tuple(questions or ()),
        url=url,
        today=today or datetime.now(UTC).date(),
        settings=settings,
    )


@shared_task(base=IdempotentTask)
def detect_ai(
    content: StrictStr, media_type: MediaType | None = None, scope: Scope | None = None
) -> Detection:
    """Look for signs of the language models that the detector knows: `ai`, `no_sign` or `abstained`.

    An `ai` verdict alone is no ground to reject an article, and `no_sign` does not say that a person wrote
    it. What cannot be judged (fewer than 75 words, not English, mostly quotation or code) is `abstained`,
    with the reason.

    Args:
        content: The article as HTML, Markdown or plain text; at most `content.max_bytes` of UTF-8.
        media_type: `html`, `markdown` or `text`; detected if not given.
        scope: Of HTML, `whole_page` or `fragment`; `content.scope` decides if not given.

    Raises:
        ContentError: an argument that cannot be worked on, by name. Never retried.
    """
    # Imported in the process that judges: a process that only sends tasks needs no numpy.
    from contentworker.editorial.detector.judging import judge
    from contentworker.editorial.detector.model import shipped
    from contentworker.editorial.document import parse

    settings = config.load().content
    document = parse(content, media_type=media_type, scope=scope, settings=settings)
    return judge(document, model=shipped(), settings=settings)


def _load_model(_app: Any) -> None:
    """Load the detector's model, so that the pool's processes share it."""
    # numpy starts a thread per core for linear algebra, which the detector does not use, and a pool that
    # forks should have one thread only.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from contentworker.editorial.detector.model import shipped

    shipped()


def _load_nearness(_app: Any) -> None:
    """Load the word vectors, and the encoder if it is on, so that the pool's processes share them."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from contentworker.editorial.aeo.nearness import prepare

    prepare(config.load().content)


at_start(detect_ai, _load_model)
at_start(score_aeo, _load_nearness)
