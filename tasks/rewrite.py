"""Queue `rewrite`: a language model works on an article. That costs money, so no error repeats it."""

from datetime import date
from typing import Any

from celery import shared_task
from pydantic import StrictStr

from contentworker import config
from contentworker.editorial import MediaType, Scope
from contentworker.editorial.aeo import Recommendation
from contentworker.editorial.rewriting import Mode, Rewrite
from tasks.base import CriticalTask, Question

__all__ = ["generate_rewrite"]


@shared_task(base=CriticalTask, bind=True)
def generate_rewrite(  # noqa: PLR0917 (callers may send them by position)
    self: Any,
    content: StrictStr,
    media_type: MediaType | None = None,
    mode: Mode = "edit",
    questions: list[Question] | None = None,
    url: StrictStr | None = None,
    today: date | None = None,
    recommendations: list[Recommendation] | None = None,
    scope: Scope | None = None,
) -> Rewrite:
    """Have the configured model do what the AEO score recommends; the guard refuses what changes the meaning.

    Args:
        content: The article as HTML, Markdown or plain text; at most `content.max_bytes` of UTF-8.
        media_type: `html`, `markdown` or `text`; detected if not given.
        mode: `edit` sentence by sentence; `restructure` and `answer_first` need a provider.
        questions: What the article should answer; inferred if not given.
        url: Where the article is published.
        today: The day by which freshness is judged, if the task scores the article itself.
        recommendations: From an `AeoScore` of this very content; if not given, the task scores it.
        scope: Of HTML, `whole_page` or `fragment`; `content.scope` decides if not given.

    Raises:
        ContentError: an argument that cannot be worked on, by name.
        ModelRefusesError: asking again cannot help: the key, the address, the text.
        ModelNotRunError: the model did not run, after `llm.max_retries` more tries.
        OverBudgetError: the day's money is spent, and `pipeline.over_cap` is `escalate`.
        ModelUncertainError: the model may have run, and gave no answer. Not repeated: that may cost twice.
    """
    # Imported in the process that rewrites: a process that only sends tasks stays light.
    from contentworker.articles.rewriting import rewrite_article
    from contentworker.editorial.rewriting.model import ModelNotRunError
    from contentworker.runtime.records.spending import NotAdmittedError

    client = self.app.backend.client
    try:
        return rewrite_article(
            client,
            content,
            media_type,
            mode=mode,
            questions=questions,
            url=url,
            today=today,
            recommendations=recommendations,
            scope=scope,
        )
    except NotAdmittedError as error:
        raise self.postpone(error.retry_after_seconds) from None
    except ModelNotRunError as error:
        retries = config.load().llm.max_retries
        raise self.retry(exc=error, countdown=error.retry_after_seconds, max_retries=retries) from None
