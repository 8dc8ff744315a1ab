"""Metrics of articles: what models cost, what the guard refuses, what waits for a person."""

from contentworker.runtime.metrics import Metric

__all__ = ["METRICS"]

RULES = (
    *(
        "article",
        "chatty",
        "direction",
        "empty",
        "language",
        "length",
        "links",
        "markup",
        "modality",
        "names",
    ),
    *("negations", "number", "numbers", "order", "quotations", "repetition", "second opinion", "sentences"),
    *("tense", "too long", "unchecked", "words"),
)
"""Rules of `editorial.rewriting.guard`."""
REASONS = (
    *("ai_suspected", "below_threshold", "cancelled", "failed", "interrupted", "over_budget"),
    *("rewrite_not_better", "rewrite_reads_like_ai", "rewrite_refused"),
)
"""Reasons of escalations by this project; another application's count as `other`."""

CALLS = Metric(
    "contentworker_llm_calls_total",
    "counter",
    "Calls of the language model; `not_run` cost nothing, `uncertain` may have.",
    "What failed?",
    {"outcome": ("ok", "not_run", "refused", "uncertain", "failed")},
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
    *(CALLS, CALL_SECONDS, TOKENS, COST, SPENDING_REFUSALS),
    *(REWRITE_REFUSALS, ESCALATIONS, OPEN_ESCALATIONS),
)
"""What is counted about articles."""
