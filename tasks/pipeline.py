"""The default queue: an article's whole way, as steps that send the next ones. No task waits for another."""

from collections.abc import Callable
from typing import Annotated, Any

from celery import Task, current_app, shared_task
from pydantic import BaseModel, Field, StrictStr

from contentworker.articles import pipeline
from contentworker.articles.outcome import open_runs, outcome
from contentworker.editorial import MediaType, Scope
from contentworker.editorial.escalations.result import ArticleId
from tasks.base import IdempotentTask, Question

__all__ = ["PipelineStart", "close", "describe", "fail", "process_content", "take_evaluation", "take_rewrite"]


class PipelineStart(BaseModel):
    """The run of an article; the same one each time that the same article is sent."""

    run_id: str
    article_id: str
    step: str = Field(description="Where it stands: `evaluate:0`, `rewrite:1`, …, or how it has ended.")


@shared_task(base=IdempotentTask)
def process_content(  # noqa: PLR0917 (callers may send them by position)
    article_id: ArticleId,
    content: StrictStr,
    media_type: MediaType | None = None,
    questions: list[Question] | None = None,
    url: StrictStr | None = None,
    scope: Scope | None = None,
) -> PipelineStart:
    """Begin an article's run and answer at once. The same text under the same thresholds has one run.

    To see how it ends: `python -m contentworker runs show RUN_ID`.

    Args:
        article_id: Whose run it is; `forget` takes it.
        content: The article as HTML, Markdown or plain text; at most `content.max_bytes` of UTF-8.
        media_type: `html`, `markdown` or `text`; detected if not given.
        questions: What the article should answer; inferred if not given.
        url: Where the article is, or will be, published.
        scope: Of HTML, `whole_page` or `fragment`; `content.scope` decides if not given. Another scope has
            another run.

    Raises:
        ContentError: an argument that cannot be worked on, by name. Never retried.
    """
    article = {"content": content, "media_type": media_type, "questions": questions, "url": url}
    if scope:
        article["scope"] = scope
    run = pipeline.begin(article_id, article)
    return PipelineStart(run_id=run.id, article_id=article_id, step=run.step)


@shared_task(base=IdempotentTask)
def describe(run_id: Annotated[StrictStr, Field(max_length=200)]) -> dict[str, Any]:
    """Say where a run stands or how it has ended, as `runs show` does; `unknown` if there is no such run."""
    run = open_runs(current_app.backend.client).find(run_id)
    return outcome(run) if run else {"run_id": run_id, "outcome": "unknown"}


def _step(function: Callable[..., None]) -> Task:
    """A task that a step of a run sends, not a client."""
    return shared_task(base=IdempotentTask, name=f"{__name__}.{function.__name__}")(function)


take_evaluation = _step(pipeline.take_evaluation)
take_rewrite = _step(pipeline.take_rewrite)
fail = _step(pipeline.fail)
close = _step(pipeline.close)
