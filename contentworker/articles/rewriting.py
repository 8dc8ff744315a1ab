"""Has the configured model rewrite an article: each call admitted, traced and measured."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from contentworker import config
from contentworker.articles import metrics
from contentworker.editorial import MediaType, Scope
from contentworker.editorial.aeo import Recommendation
from contentworker.editorial.aeo.scoring import score
from contentworker.editorial.document import parse
from contentworker.editorial.rewriting import Mode, Rewrite, embedded
from contentworker.editorial.rewriting.editing import rewrite
from contentworker.editorial.rewriting.model import (
    Completion,
    Model,
    ModelNotRunError,
    ModelRefusesError,
    ModelUncertainError,
)
from contentworker.runtime import environment
from contentworker.runtime.logs import traces
from contentworker.runtime.metrics import count, observe
from contentworker.runtime.records.spending import NotAdmittedError, OverBudgetError, Spending

__all__ = ["rewrite_article"]

CHARACTERS_PER_TOKEN = 3
"""Fewer than most texts have, so that an estimate is too high rather than too low."""
SHARE_OF_TIME = 0.95
"""Part of the soft time limit in which questions are asked: an answer after the limit loses all answers."""

OUTCOMES = {ModelNotRunError: "not_run", ModelRefusesError: "refused", ModelUncertainError: "uncertain"}
"""Labels of calls that failed, by their errors; other errors are `failed`."""

Messages = Sequence[dict[str, str]]
Ask = Callable[[Messages, int, dict[str, Any] | None], Completion]


def rewrite_article(
    client: Any,
    content: str,
    media_type: MediaType | None,
    *,
    mode: Mode,
    questions: list[str] | None,
    url: str | None,
    today: date | None,
    recommendations: list[Recommendation] | None,
    scope: Scope | None,
) -> Rewrite:
    """Rewrite an article within the budget that all workers share in Redis (`client`).

    Raises:
        NotAdmittedError: the budget allows no call now; nothing was asked.
        OverBudgetError: the same for the day's cap, where `pipeline.over_cap` is `escalate`.
        ModelNotRunError, ModelRefusesError, ModelUncertainError: see `editorial.rewriting.model`.
    """
    begun = time.monotonic()
    settings = config.load()
    soft_seconds = SHARE_OF_TIME * settings.limits.soft_time_limit_seconds
    longest_seconds = max(soft_seconds - settings.llm.timeout_seconds, soft_seconds / 10)
    document = parse(content, media_type=media_type, scope=scope, settings=settings.content)
    if recommendations is None or (mode == "answer_first" and not questions):
        day = today or datetime.now(UTC).date()
        asked = tuple(questions or ())
        # Only the advice counts here, which the encoder does not change enough to load it in these workers.
        plain = settings.content.model_copy(update={"encoder": False})
        scored = score(document, questions=asked, url=url, today=day, settings=plain)
        recommendations = list(scored.recommendations) if recommendations is None else recommendations
        questions = questions or [item.question for item in scored.questions]
    # Processes of this machine that use the embedded model find its server by this folder.
    folder = environment.folder(config.ROOT) / "embedded-model"
    model = Model(settings.llm, None if settings.llm.base_url else embedded.base_url(settings.llm, folder))
    ask, fallback = _measured(model), None
    if not model.is_embedded:
        spending = Spending(client, settings.spending)
        if second := settings.llm.second():
            cheaper = Model(second)
            fallback = _paid(cheaper, _measured(cheaper), spending)
        ask = _paid(model, ask, spending, over_cap=fallback)
    try:
        result = rewrite(
            document,
            recommendations,
            model=model,
            mode=mode,
            settings=settings.llm,
            question=questions[0] if questions else None,
            complete=ask,
            fallback=fallback,
            is_time_over=lambda: time.monotonic() - begun > longest_seconds,
        )
    except ModelNotRunError as error:
        if not isinstance(refusal := error.__cause__, NotAdmittedError):
            raise
        if refusal.reason == "cap" and settings.pipeline.over_cap == "escalate":
            raise OverBudgetError(str(refusal)) from None
        raise refusal from None
    for broken in (broken for change in result.changes for broken in change.refusals):
        count(metrics.REWRITE_REFUSALS, rule=broken.rule)
    return result


def _measured(model: Model) -> Ask:
    """Calls of the model that count, each a span by OpenTelemetry's conventions, without any text.

    https://opentelemetry.io/docs/specs/semconv/gen-ai/
    """
    about = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": model.provider,
        "gen_ai.request.model": model.name,
    }

    def ask(messages: Messages, max_tokens: int, schema: dict[str, Any] | None) -> Completion:
        begun = time.monotonic()
        outcome = "ok"
        try:
            with traces.span(f"chat {model.name}", about) as say:
                answer = model.complete(messages, max_tokens, schema)
                say({"gen_ai.usage.input_tokens": answer.prompt_tokens})
                say({"gen_ai.usage.output_tokens": answer.completion_tokens})
        except Exception as error:
            outcome = OUTCOMES.get(type(error), "failed")
            raise
        finally:
            count(metrics.CALLS, outcome=outcome)
            observe(metrics.CALL_SECONDS, time.monotonic() - begun)
        count(metrics.TOKENS, answer.prompt_tokens, kind="prompt")
        count(metrics.TOKENS, answer.completion_tokens, kind="completion")
        count(metrics.COST, answer.cost)
        return answer

    return ask


def _paid(model: Model, ask: Ask, spending: Spending, over_cap: Ask | None = None) -> Ask:
    """Calls within the day's money and the minute's calls.

    What no longer fits under the day's cap is asked of `over_cap`, a cheaper model, if that one fits.
    """

    def pay(messages: Messages, max_tokens: int, schema: dict[str, Any] | None) -> Completion:
        sent_tokens = sum(len(message["content"]) for message in messages) // CHARACTERS_PER_TOKEN
        try:
            with spending.call(model.cost(sent_tokens, max_tokens)) as call:
                try:
                    answer = ask(messages, max_tokens, schema)
                except ModelNotRunError:
                    call.cost = 0
                    raise
                call.cost = answer.cost
                return answer
        except NotAdmittedError as error:
            count(metrics.SPENDING_REFUSALS, reason=error.reason)
            if error.reason == "cap" and over_cap is not None:
                return over_cap(messages, max_tokens, schema)
            # `editing.rewrite` keeps earlier answers, which are paid for, only on an error of the model.
            raise ModelNotRunError(str(error), error.retry_after_seconds) from error

    return pay
