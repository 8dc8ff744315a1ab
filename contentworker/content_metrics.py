"""What is measured of the content: what models cost, what the guard refuses, what waits for a person."""

import time
from collections.abc import Callable
from typing import Any

from contentworker.runtime.metrics import Metric, count, observe, set_gauge

__all__ = ["METRICS", "escalated", "measured", "open_escalations", "rewritten", "spending_refused"]

OUTCOMES = {
    "ModelNotRunError": "not_run",
    "ModelRefusesError": "refused",
    "ModelUncertainError": "uncertain",
}
"""By the error's name; `ok` without one."""
RULES = (
    "chatty",
    "comparisons",
    "empty",
    "language",
    "length",
    "links",
    "markup",
    "names",
    "negations",
    "new words",
    "numbers",
    "quotations",
    "recall",
    "repetition",
    "sentences",
)
REASONS = (
    "ai_suspected",
    "below_threshold",
    "cancelled",
    "failed",
    "interrupted",
    "over_budget",
    "rewrite_not_better",
    "rewrite_reads_like_ai",
    "rewrite_refused",
)

CALLS = Metric(
    "contentworker_llm_calls_total",
    "counter",
    "Calls of the language model; `not_run` cost nothing, `uncertain` may have.",
    "What failed?",
    {"outcome": ("ok", *OUTCOMES.values(), "failed")},
)
CALL_SECONDS = Metric(
    "contentworker_llm_call_seconds",
    "histogram",
    "How long calls of the language model took.",
    "What is it doing?",
    {},
    (0.5, 1, 2, 5, 10, 20, 30, 60, 120),
)
TOKENS = Metric(
    "contentworker_llm_tokens_total",
    "counter",
    "Tokens that were sent to the language model, and that it answered.",
    "What does it cost?",
    {"kind": ("prompt", "completion")},
)
COST = Metric(
    "contentworker_llm_cost_total",
    "counter",
    "What calls of the language model cost, in the unit of the configured prices.",
    "What does it cost?",
)
SPENDING_REFUSALS = Metric(
    "contentworker_spending_refusals_total",
    "counter",
    "Paid calls that were not made: the day's money, the minute's calls, too many failures.",
    "What does it cost?",
    {"reason": ("cap", "rate", "breaker")},
)
REWRITE_REFUSALS = Metric(
    "contentworker_rewrite_refusals_total",
    "counter",
    "Rules that answers of the model broke; such an answer is not used.",
    "What failed?",
    {"rule": RULES},
)
ESCALATIONS = Metric(
    "contentworker_escalations_total",
    "counter",
    "Articles that a person was asked about.",
    "What failed?",
    {"reason": REASONS},
)
OPEN_ESCALATIONS = Metric(
    "contentworker_escalations_open",
    "gauge",
    "Records that wait for a person, since the last escalation or announcement.",
    "How far behind?",
)

METRICS = (
    CALLS,
    CALL_SECONDS,
    TOKENS,
    COST,
    SPENDING_REFUSALS,
    REWRITE_REFUSALS,
    ESCALATIONS,
    OPEN_ESCALATIONS,
)


def measured(model: Any) -> Callable[..., Any]:
    """The model's `complete`, with each call measured."""

    def complete(*arguments: Any) -> Any:
        begun = time.monotonic()
        outcome = "ok"
        try:
            found = model.complete(*arguments)
        except Exception as error:
            outcome = OUTCOMES.get(type(error).__name__, "failed")
            raise
        finally:
            count(CALLS, outcome=outcome)
            observe(CALL_SECONDS, time.monotonic() - begun)
        count(TOKENS, found.prompt_tokens, kind="prompt")
        count(TOKENS, found.completion_tokens, kind="completion")
        count(COST, model.cost(found.prompt_tokens, found.completion_tokens))
        return found

    return complete


def spending_refused(reason: str) -> None:
    """A paid call was not admitted."""
    count(SPENDING_REFUSALS, reason=reason)


def rewritten(result: Any) -> None:
    """A rewrite has ended: what the guard refused of it."""
    for change in result.changes:
        for refusal in change.refusals:
            count(REWRITE_REFUSALS, rule=refusal.rule)


def escalated(reason: str) -> None:
    """A person is asked."""
    count(ESCALATIONS, reason=reason)


def open_escalations(number: int) -> None:
    """So many wait now."""
    set_gauge(OPEN_ESCALATIONS, number)
