"""Queue `rewrite`: a language model works on an article. That costs money: never twice by itself."""

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

from celery import shared_task
from pydantic import Field, StrictStr

from contentworker import config, content_metrics
from contentworker.editorial import MediaType
from contentworker.editorial.aeo import Recommendation
from contentworker.editorial.rewriting import Mode, Rewrite
from contentworker.runtime import state
from tasks.base import CriticalTask

__all__ = ["generate_rewrite"]

Question = Annotated[StrictStr, Field(min_length=1)]

CHARACTERS_PER_TOKEN = 3
"""Fewer than most texts have, so that an estimate is rather too high than too low."""

SHARE_OF_TIME = 0.95
"""Of the soft time limit: no sentence is begun whose answer may come later, or all would be lost."""


@shared_task(base=CriticalTask, bind=True)
def generate_rewrite(
    self: Any,
    content: StrictStr,
    media_type: MediaType | None = None,
    mode: Mode = "edit",
    questions: list[Question] | None = None,
    url: StrictStr | None = None,
    today: date | None = None,
    recommendations: list[Recommendation] | None = None,
) -> Rewrite:
    """Have the configured model do what the AEO score recommends; the guard refuses what says something else.

    Args:
        content: The article as HTML, Markdown or plain text; at most `content.max_bytes` of UTF-8.
        media_type: `html`, `markdown` or `text`; found out where it is not given.
        mode: `edit` sentence by sentence; `restructure` and `answer_first` need a provider.
        questions: What the article should answer; inferred where not given.
        url: Where the article is published.
        today: The day by which freshness is judged, where the task scores the article itself.
        recommendations: Those of an `AeoScore` of this very content; the task scores it where not given.

    Raises:
        ContentError: an argument that cannot be worked on, by name.
        ModelRefusesError: asking again cannot help: the key, the address, the text.
        ModelNotRunError: the model did not run, after `llm.max_retries` more tries.
        OverBudgetError: the day's money is spent, and `pipeline.over_cap` is not to wait.
        ModelUncertainError: the model may have run, and gave no answer. Not repeated: that may cost twice.
    """
    # In the process that rewrites: whoever only sends tasks does without.
    from contentworker.editorial.aeo.scoring import score
    from contentworker.editorial.document import parse
    from contentworker.editorial.rewriting import embedded
    from contentworker.editorial.rewriting.editing import rewrite
    from contentworker.editorial.rewriting.model import Completion, Model, ModelNotRunError
    from contentworker.runtime.spending import NotAdmittedError, OverBudgetError, Spending

    settings = config.load()
    begun = time.monotonic()
    soft_seconds = SHARE_OF_TIME * settings.limits.soft_time_limit_seconds
    longest_seconds = max(soft_seconds - settings.llm.timeout_seconds, soft_seconds / 10)
    document = parse(content, media_type=media_type, settings=settings.content)
    if recommendations is None or (mode == "answer_first" and not questions):
        scored = score(
            document,
            questions=tuple(questions or ()),
            url=url,
            today=today or datetime.now(UTC).date(),
            settings=settings.content,
        )
        recommendations = list(scored.recommendations) if recommendations is None else recommendations
        questions = questions or [item.question for item in scored.questions]
    address = None if settings.llm.base_url else embedded.base_url(settings.llm, _folder())
    model = Model(settings.llm, address)
    spending = Spending(self.app.backend.client, settings.spending)
    ask = content_metrics.measured(model)

    def pay(messages: Sequence[dict[str, str]], max_tokens: int) -> Completion:
        """Ask within the day's money and the minute's calls that all workers share."""
        sent_tokens = sum(len(message["content"]) for message in messages) // CHARACTERS_PER_TOKEN
        try:
            with spending.call(model.cost(sent_tokens, max_tokens)) as call:
                try:
                    found: Completion = ask(messages, max_tokens)
                except ModelNotRunError:
                    call.cost = 0
                    raise
                call.cost = model.cost(found.prompt_tokens, found.completion_tokens)
                return found
        except NotAdmittedError as error:
            content_metrics.spending_refused(error.reason)
            raise ModelNotRunError(str(error), error.retry_after_seconds) from error

    try:
        result = rewrite(
            document,
            recommendations,
            model=model,
            mode=mode,
            settings=settings.llm,
            question=questions[0] if questions else None,
            complete=ask if model.is_embedded else pay,
            is_time_over=lambda: time.monotonic() - begun > longest_seconds,
        )
        content_metrics.rewritten(result)
        return result
    except ModelNotRunError as error:
        if isinstance(refused := error.__cause__, NotAdmittedError):
            if refused.reason == "cap" and settings.pipeline.over_cap == "escalate":
                raise OverBudgetError(str(refused)) from None
            self.postpone(refused.retry_after_seconds)
        raise self.retry(
            exc=error, countdown=error.retry_after_seconds, max_retries=settings.llm.max_retries
        ) from None


def _folder() -> Path:
    """Where the processes of this machine that use the embedded model find each other."""
    return state.folder(config.ROOT) / "embedded-model"
