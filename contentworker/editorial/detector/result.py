"""The answer to who wrote an article; `Detection.model_validate_json` reads it back."""

from typing import Any, Literal

from pydantic import Field, model_validator

from contentworker.editorial import Result

__all__ = ["Abstained", "Detection", "Passage", "SentenceShare", "StyleShare", "Verdict", "renewed"]

Verdict = Literal["ai", "no_sign", "abstained"]
Abstained = Literal["too_short", "language", "quotation", "code", "no_article"]

_SHARE = "What it adds to the log odds: above 0 it speaks for a model, below 0 against one."


class SentenceShare(Result):
    """A sentence that drove the verdict."""

    text: str = Field(description="The sentence, clipped to the configured number of characters.")
    start: int = Field(ge=0, description="Where it begins: character offset into the article as given.")
    end: int = Field(ge=0, description="Where it ends: character offset into the article, exclusive.")
    share: float = Field(description=_SHARE)


class Passage(Result):
    """A passage that reads like a model's while others of the article do not."""

    start: int = Field(ge=0, description="Where it begins: character offset into the article as given.")
    end: int = Field(ge=0, description="Where it ends: character offset into the article, exclusive.")
    probability: float = Field(ge=0, le=1, description="As for the whole article, for this passage alone.")


class StyleShare(Result):
    """A trait of the writing that drove the verdict."""

    name: str = Field(description="Stable identifier, for example `sentence_deviation`.")
    value: float = Field(description="Its value in this article.")
    typical_human: float = Field(description="Its median in the human texts of the calibration.")
    typical_ai: float = Field(description="Its median in the models' texts of the calibration.")
    share: float = Field(description=_SHARE)


class Detection(Result):
    """Whether an article shows signs of the language models that the detector knows. A hint, never proof.

    `ai`: it reads like their articles. This alone never rejects anything and never accuses anybody: it is one
    reason for a person to look, beside others. docs/detector.md says for whom it errs most.

    `no_sign`: the detector found nothing that it knows. This says nothing about who wrote the article: it
    misses many articles of the models that it knows, and most of those that it does not know.

    `abstained`: the detector cannot judge this article; `abstained` says why.
    """

    verdict: Verdict = Field(
        description="`ai` from `ai_from` on, `no_sign` below it, `abstained` if the detector cannot judge. "
        "`ai` alone is no ground to reject, and `no_sign` does not say that a person wrote it."
    )
    meaning: str = Field(
        default="", description="What the verdict says and does not say: show it beside the verdict."
    )
    sufficient_to_reject: Literal[False] = Field(
        default=False, description="Always false: a person decides, and on more than this."
    )
    probability: float | None = Field(
        ge=0,
        le=1,
        description="How probably a model wrote it, if three of five articles were written by one. "
        "None if the detector abstains.",
    )
    abstained: Abstained | None = Field(description="Why the detector abstains. None if it does not.")
    ai_from: float = Field(ge=0, le=1, description="From this probability on the verdict is `ai`.")
    false_positive_rate: float = Field(
        ge=0, le=1, description="Share of people's texts that got `ai` when the threshold was set."
    )
    worst_false_positive_rate: float | None = Field(
        default=None, ge=0, le=1, description="The same, in the group of people where it was highest."
    )
    recall_known: float | None = Field(
        default=None, ge=0, le=1, description="Share of articles by known generators that got `ai`."
    )
    recall_unknown: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The same if no article of today was in the training: an unknown generator, at worst.",
    )
    knows_generators_until: str = Field(
        default="",
        description="Month (ISO 8601, `2026-12`) of the newest generator that the detector knows. Of later "
        "ones it finds fewer, or none.",
    )
    sentences: tuple[SentenceShare, ...] = Field(description="What drove it, the largest share first.")
    passages: tuple[Passage, ...] = Field(
        default=(),
        description="Passages that read like a model's while others do not: two authors may be mixed. None "
        "if all passages are alike, or the article has fewer than 400 words.",
    )
    style: tuple[StyleShare, ...] = Field(description="What drove it, the largest share first.")
    words: int = Field(ge=0, description="Words of the text that can be judged: no headings, quotes or code.")
    words_judged: int = Field(ge=0, description="How many of them were judged; fewer in a long article.")
    language: str = Field(description="ISO 639 code of the article's language, or `und`.")
    warnings: tuple[str, ...] = Field(description="What a reader of the verdict has to know.")
    model_version: str = Field(description="Probabilities of different versions are not comparable.")

    @model_validator(mode="before")
    @classmethod
    def _read_old(cls, data: Any) -> Any:
        return renewed(data) if isinstance(data, dict) else data


def renewed(record: dict[str, Any]) -> dict[str, Any]:
    """A detection as it was stored, in today's words: before 0.3 verdicts were `human`, `uncertain`, `ai`."""
    known = {name: value for name, value in record.items() if name != "human_below"}
    if known.get("verdict") in {"human", "uncertain"}:
        known["verdict"] = "abstained" if known.get("abstained") else "no_sign"
    return known
