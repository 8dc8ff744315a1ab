"""The sections of `worker.toml` that say how articles are read, judged, rewritten and escalated."""

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["ContentSettings", "EscalationSettings", "LlmSettings", "PipelineSettings"]


class _Section(BaseModel):
    """A section: immutable, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ContentSettings(_Section):
    """Limits on what is read, and how much of the judgement is written out."""

    max_bytes: int = Field(
        default=2_000_000,
        ge=1_000,
        le=50_000_000,
        description="Largest article accepted, in bytes of UTF-8; anything larger is refused, never cut.",
    )
    stub_words: int = Field(
        default=30,
        ge=0,
        le=1_000,
        description="An article of fewer words than this cannot score above 25 points.",
    )
    low_confidence_words: int = Field(
        default=150,
        ge=0,
        le=10_000,
        description="An article of fewer words than this is scored with confidence `low`.",
    )
    max_questions: int = Field(
        default=20,
        ge=1,
        le=200,
        description="Most target questions accepted for one article.",
    )
    max_recommendations: int = Field(
        default=8,
        ge=0,
        le=50,
        description="Most recommendations in one score; the ones with the largest gain in points are kept.",
    )
    max_evidence_per_criterion: int = Field(
        default=5,
        ge=1,
        le=50,
        description="Most excerpts shown as evidence for one criterion.",
    )
    max_excerpt_characters: int = Field(
        default=200,
        ge=40,
        le=2_000,
        description="Longest excerpt of the article in a score, in characters; longer ones are clipped.",
    )


class LlmSettings(_Section):
    """The language model that rewrites (docs/rewriting.md). Its key comes from `OPENAI_API_KEY`."""

    base_url: str = Field(
        default="",
        description="Address of an OpenAI-compatible endpoint, as `https://api.openai.com/v1`. Empty: the "
        "embedded "
        "model, which runs on this machine.",
    )
    model: str = Field(default="", description="The provider's name of the model; needed with `base_url`.")
    local_model: str = Field(
        default="",
        description="Path of a GGUF file to run instead of the embedded model's own; without `base_url` "
        "only.",
    )
    timeout_seconds: float = Field(
        default=60, gt=0, le=3600, description="Longest wait for one answer. It is not asked for again."
    )
    token_limit_parameter: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="What the endpoint calls the limit of an answer's length."
    )
    input_price_per_million_tokens: float = Field(
        default=0, ge=0, allow_inf_nan=False, description="Price of a million tokens sent, in any currency."
    )
    output_price_per_million_tokens: float = Field(
        default=0, ge=0, allow_inf_nan=False, description="Price of a million tokens received, in the same."
    )
    max_sentences: int = Field(
        default=30, ge=1, le=1000, description="Most sentences of an article that a model is asked about."
    )
    max_retries: int = Field(
        default=5,
        ge=0,
        le=100,
        description="How often a rewrite is tried again where the model certainly did not run: too many "
        "requests, "
        "not available, not reachable.",
    )
    idle_seconds: float = Field(
        default=300, gt=0, description="The embedded model's process ends when it was not used for this long."
    )

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if self.base_url:
            parts = urlsplit(self.base_url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
                raise ValueError(
                    "base_url must be http:// or https://, a host and a path, without a password"
                )
            if not self.model:
                raise ValueError("model is required with base_url")
            if self.local_model:
                raise ValueError("local_model is for the embedded model; with base_url it must be empty")
        return self


class EscalationSettings(_Section):
    """Where a person decides, and who is told of it (docs/escalations.md)."""

    sqlite_path: str = Field(
        default="",
        description="File of the records where `DATABASE_URL` is not set; `escalations.sqlite3` in the "
        "folder for state by default. The sandbox of the installed service writes only there: elsewhere "
        "needs a `ReadWritePaths=` of yours.",
    )
    retention_days: int = Field(
        default=90, ge=1, le=3_650, description="A settled record, with its texts, is kept this long."
    )
    settled_task: str = Field(
        default="",
        description="Name of a task of yours that is sent when a record is settled. A queue of this file "
        "takes it, or `settled_queue` is given.",
    )
    settled_queue: str = Field(default="", description="Its queue, where none of this file's takes it.")
    settled_webhook_url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Address that is told of a settled record, signed with `SETTLED_WEBHOOK_SECRET`.",
    )
    webhook_timeout_seconds: float = Field(
        default=10, gt=0, le=120, description="How long the webhook's receiver may take to answer."
    )


class PipelineSettings(_Section):
    """The way of an article: what passes, what is rewritten, what a person sees (docs/pipeline.md)."""

    min_aeo_score: float = Field(
        default=60, ge=0, le=100, description="An article with at least this score passes as it is."
    )
    min_gain: float = Field(
        default=1, ge=0, le=100, description="Points that a rewrite must win at least to be accepted."
    )
    max_detector_rise: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="How much higher the detector's probability may be after a rewrite; its verdict "
        "may never be worse.",
    )
    max_rewrites: int = Field(
        default=1, ge=0, le=10, description="Most rewrites of one article before a person is asked."
    )
    mode: Literal["edit", "restructure", "answer_first"] = Field(
        default="edit", description="How it is rewritten (docs/rewriting.md)."
    )
    escalated_verdicts: tuple[Literal["human", "uncertain", "ai"], ...] = Field(
        default=("ai",), description="Verdicts of the detector with which an article goes to a person."
    )
    over_cap: Literal["wait", "escalate"] = Field(
        default="wait", description="What an article does that may not be rewritten now, for `[spending]`."
    )
