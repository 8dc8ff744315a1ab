"""The answer to who wrote an article; `Detection.model_validate_json` reads it back."""

from typing import Literal

from pydantic import Field

from contentworker.editorial import Result

__all__ = ["Abstained", "Detection", "SentenceShare", "StyleShare", "Verdict"]

Verdict = Literal["human", "uncertain", "ai"]
Abstained = Literal["too_short", "language", "quotation", "code", "no_article"]

_SHARE = "What it adds to the log odds: above 0 it speaks for a model, below 0 for a person."


class SentenceShare(Result):
    """A sentence that drove the verdict."""

    text: str = Field(description="The sentence, clipped to the configured number of characters.")
    start: int = Field(ge=0, description="Where it begins: character offset into the article as given.")
    end: int = Field(ge=0, description="Where it ends: character offset into the article, exclusive.")
    share: float = Field(description=_SHARE)


class StyleShare(Result):
    """A trait of the writing that drove the verdict."""

    name: str = Field(description="Stable identifier, for example `sentence_deviation`.")
    value: float = Field(description="Its value in this article.")
    typical_human: float = Field(description="Its median in the human texts of the calibration.")
    typical_ai: float = Field(description="Its median in the models' texts of the calibration.")
    share: float = Field(description=_SHARE)


class Detection(Result):
    """A probability that a language model wrote the article. It is a hint, never proof.

    An `ai` verdict alone never rejects anything and never accuses anybody: it is one reason for a person to
    look, beside others. docs/detector.md says for whom it errs most.
    """

    verdict: Verdict = Field(
        description="`ai` from `ai_from` on, `human` below `human_below`, `uncertain` between them and "
        "whenever the detector abstains. `ai` alone is no ground to reject."
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
    human_below: float = Field(ge=0, le=1, description="Below this probability the verdict is `human`.")
    ai_from: float = Field(ge=0, le=1, description="From this probability on the verdict is `ai`.")
    false_positive_rate: float = Field(
        ge=0, le=1, description="Largest share of human texts that got `ai` when the thresholds were set."
    )
    sentences: tuple[SentenceShare, ...] = Field(description="What drove it, the largest share first.")
    style: tuple[StyleShare, ...] = Field(description="What drove it, the largest share first.")
    words: int = Field(ge=0, description="Words of the text that can be judged: no headings, quotes or code.")
    words_judged: int = Field(ge=0, description="How many of them were judged; fewer in a long article.")
    language: str = Field(description="ISO 639 code of the article's language, or `und`.")
    warnings: tuple[str, ...] = Field(description="What a reader of the verdict has to know.")
    model_version: str = Field(description="Probabilities of different versions are not comparable.")
