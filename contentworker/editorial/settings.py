"""The sections of `worker.toml` that say how articles are read, judged, rewritten and escalated."""

from typing import Annotated, Literal, Self
from urllib.parse import SplitResult

from pydantic import BeforeValidator, Field, model_validator

from contentworker import addresses
from contentworker.errors import ConfigError
from contentworker.sections import Section

__all__ = ["MOST_REWRITES", "ContentSettings", "EscalationSettings", "LlmSettings", "PipelineSettings"]

MOST_REWRITES = 10
"""Highest value that `pipeline.max_rewrites` may have: `forget` looks for the results of as many."""


def _parts(name: str, address: str) -> SplitResult:
    try:
        return addresses.split(name, address)
    except ConfigError as error:
        raise ValueError(str(error)) from None


class ContentSettings(Section):
    """Limits on what is read, and how much of the judgement is written out."""

    max_bytes: int = Field(
        2_000_000,
        ge=1_000,
        le=50_000_000,
        description="Largest article accepted, in bytes of UTF-8; anything larger is refused, never cut.",
    )
    scope: Literal["auto", "whole_page", "fragment"] = Field(
        "auto",
        description="What HTML holds. `whole_page`: an article with all that a site puts around it, which is "
        "left out. `fragment`: the article alone, as in a CMS; nothing is lost. `auto`: told by its tags.",
    )
    stub_words: int = Field(
        30, ge=0, le=1_000, description="An article of fewer words than this cannot score above 25 points."
    )
    low_confidence_words: int = Field(
        150,
        ge=0,
        le=10_000,
        description="An article of fewer words than this is scored with confidence `low`.",
    )
    max_questions: int = Field(
        20, ge=1, le=200, description="Most target questions accepted for one article."
    )
    encoder: bool = Field(
        default=False,
        description="Whether the AEO score also compares questions with passages by the encoder, which has "
        "to be there: `nox -s embedding-model`, and `encoder` in `services.locks` (docs/aeo.md).",
    )
    max_recommendations: int = Field(
        8,
        ge=0,
        le=50,
        description="Most recommendations in one score; the ones with the largest gain in points are kept.",
    )
    max_evidence_per_criterion: int = Field(
        5, ge=1, le=50, description="Most excerpts shown as evidence for one criterion."
    )
    max_excerpt_characters: int = Field(
        200,
        ge=40,
        le=2_000,
        description="Longest excerpt of the article in a score, in characters; longer ones are clipped.",
    )


class LlmSettings(Section):
    """The language model that rewrites (docs/rewriting.md). Its key comes from `OPENAI_API_KEY`."""

    base_url: str = Field(
        default="",
        description="Address of an OpenAI-compatible endpoint, for example `https://api.openai.com/v1`. "
        "Empty: the embedded model on this machine.",
    )
    model: str = Field(default="", description="The provider's name of the model; needed with `base_url`.")
    local_model: str = Field(
        default="", description="GGUF file to run instead of the embedded model; without `base_url` only."
    )
    timeout_seconds: float = Field(
        default=60, gt=0, le=3600, description="Longest wait for one answer. Nothing asks for it again."
    )
    token_limit_parameter: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="The endpoint's name for the limit of an answer's length."
    )
    input_price_per_million_tokens: float = Field(
        default=0, ge=0, allow_inf_nan=False, description="Price of a million tokens sent, in any currency."
    )
    output_price_per_million_tokens: float = Field(
        default=0,
        ge=0,
        allow_inf_nan=False,
        description="Price of a million tokens received, in the same currency.",
    )
    cached_input_price_share: float = Field(
        default=1,
        ge=0,
        le=1,
        description="What a token costs that the provider had in its cache, as a share of the price of one "
        "sent: 0.1 is a tenth.",
    )
    check: bool = Field(
        default=True,
        description="Whether the provider is asked in a second call if an accepted answer says the same. It "
        "can only refuse more. The embedded model is never asked.",
    )
    fallback: str = Field(
        default="",
        description="Name of a second model: for what the guard refused of the first one's answers, and for "
        "when a call of the first one no longer fits under the day's cap. Empty: none.",
    )
    fallback_base_url: str = Field(
        default="", description="Address of the second model, if it is not `base_url`. The key is the same."
    )
    fallback_input_price_per_million_tokens: float = Field(
        default=0,
        ge=0,
        allow_inf_nan=False,
        description="Price of a million tokens sent to the second model.",
    )
    fallback_output_price_per_million_tokens: float = Field(
        default=0,
        ge=0,
        allow_inf_nan=False,
        description="Price of a million tokens received from the second model.",
    )
    max_sentences: int = Field(
        default=30, ge=1, le=1000, description="Most sentences of an article that a model is asked about."
    )
    max_retries: int = Field(
        default=5,
        ge=0,
        le=100,
        description="Most retries of a rewrite while the model certainly did not run: too many requests, "
        "unavailable, unreachable.",
    )
    idle_seconds: float = Field(
        default=300, gt=0, description="The embedded model's process ends after this long without use."
    )

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        _check_endpoint("base_url", self.base_url)
        _check_endpoint("fallback_base_url", self.fallback_base_url)
        if self.base_url:
            if not self.model:
                raise ValueError("model is required with base_url")
            if self.local_model:
                raise ValueError("local_model is for the embedded model; with base_url it must be empty")
        elif self.fallback:
            raise ValueError("fallback needs base_url: the embedded model has no second one")
        if self.fallback_base_url and not self.fallback:
            raise ValueError("fallback is required with fallback_base_url")
        return self

    def second(self) -> "LlmSettings | None":
        """The settings of the second model, if there is one."""
        if not self.fallback:
            return None
        return self.model_copy(
            update={
                "base_url": self.fallback_base_url or self.base_url,
                "model": self.fallback,
                "input_price_per_million_tokens": self.fallback_input_price_per_million_tokens,
                "output_price_per_million_tokens": self.fallback_output_price_per_million_tokens,
                "fallback": "",
                "fallback_base_url": "",
            }
        )


def _check_endpoint(name: str, address: str) -> None:
    if address:
        parts = _parts(name, address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError(f"{name} must be http:// or https://, a host and a path, without a password")


class EscalationSettings(Section):
    """Records that wait for a person, and who learns of the decision (docs/escalations.md)."""

    sqlite_path: str = Field(
        default="",
        description="File of the records if `DATABASE_URL` is not set; by default "
        "`records/escalations.sqlite3` in the folder for state. The installed services can write only there; "
        "another folder needs a `ReadWritePaths=` of yours.",
    )
    retention_days: int = Field(
        default=90, ge=1, le=3_650, description="How long a settled record is kept, with its texts."
    )
    settled_task: str = Field(
        default="",
        description="Name of a task to send when a record is settled: one of this project, or with "
        "`settled_queue` one of another application.",
    )
    settled_queue: str = Field(
        default="", description="Queue of `settled_task`, if the task is not of this project."
    )
    settled_webhook_url: str = Field(
        default="",
        description="Address to call when a record is settled, signed with `SETTLED_WEBHOOK_SECRET`.",
    )
    webhook_timeout_seconds: float = Field(
        default=10, gt=0, le=120, description="How long the webhook's receiver may take to answer."
    )

    def named_tasks(self) -> dict[str, str]:
        """The settings that name a task of this project, for the check of all settings."""
        return {"settled_task": self.settled_task} if self.settled_task and not self.settled_queue else {}

    @model_validator(mode="after")
    def _webhook_has_a_host(self) -> Self:
        if self.settled_webhook_url:
            parts = _parts("settled_webhook_url", self.settled_webhook_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("settled_webhook_url must be http:// or https://, a host and a path")
        return self


OLD_VERDICTS = {"human": "no_sign", "uncertain": "abstained"}
"""Verdicts of before 0.3, which are still read for one release."""

_ReadVerdict = BeforeValidator(
    lambda value: OLD_VERDICTS.get(value, value) if isinstance(value, str) else value
)


class PipelineSettings(Section):
    """Thresholds for an article: what passes, what is rewritten, what a person sees (docs/pipeline.md)."""

    min_aeo_score: float = Field(
        default=60, ge=0, le=100, description="An article with at least this score passes as it is."
    )
    min_gain: float = Field(
        default=1, ge=0, le=100, description="Fewest points that a rewrite must win to be accepted."
    )
    max_detector_rise: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="How much higher the detector's probability may be after a rewrite; its verdict may "
        "never be worse.",
    )
    max_rewrites: int = Field(
        default=1,
        ge=0,
        le=MOST_REWRITES,
        description="Most rewrites of one article before a person is asked.",
    )
    mode: Literal["edit", "restructure", "answer_first"] = Field(
        default="edit", description="How the article is rewritten (docs/rewriting.md)."
    )
    escalated_verdicts: tuple[Annotated[Literal["ai", "no_sign", "abstained"], _ReadVerdict], ...] = Field(
        default=("ai",), description="Verdicts of the detector that send an article to a person."
    )
    over_cap: Literal["wait", "escalate"] = Field(
        default="wait", description="What happens to an article while `[spending]` allows no rewrite."
    )
