"""The result of rewriting one article; `Rewrite.model_validate_json` reads it back."""

from typing import Literal

from pydantic import Field

from contentworker.editorial import Result

__all__ = ["Change", "Left", "Mode", "Outcome", "Refusal", "Rewrite"]

Mode = Literal["edit", "restructure", "answer_first"]
Outcome = Literal["rewritten", "unchanged", "refused"]
LeftReason = Literal["budget", "markup", "quotation", "short", "time", "model"]

_START = "Where it begins in the article as given: character offset."
_END = "Where it ends in the article as given: character offset, exclusive."


class Refusal(Result):
    """One rule that an answer of the model broke."""

    rule: str = Field(description="Stable identifier, for example `numbers`.")
    detail: str = Field(description="What was wrong, in words that quote no more than single words.")


class Change(Result):
    """The rewrite of one sentence, or in the modes of a provider of one paragraph."""

    original: str = Field(description="As it stood.")
    rewritten: str = Field(description="The model's answer, also one that was refused.")
    outcome: Outcome = Field(
        description="`rewritten`: it is in the text. `unchanged`: the model gave it back. `refused`: the "
        "original stands."
    )
    refusals: tuple[Refusal, ...] = Field(description="Why it was refused; empty if it was not.")
    start: int = Field(ge=0, description=_START)
    end: int = Field(ge=0, description=_END)
    model: str = Field(default="", description="Name of the model whose answer it is.")


class Left(Result):
    """A recommended sentence or paragraph that was left as it is."""

    reason: LeftReason = Field(
        description="`budget`: past `llm.max_sentences`. `markup`, `quotation`, `short`: not for a model to "
        "touch. `time`: the task's time was over. `model`: the model failed half way."
    )
    start: int = Field(ge=0, description=_START)
    end: int = Field(ge=0, description=_END)


class Rewrite(Result):
    """An article after a model worked on it. The guard is no proof: judge the result again."""

    text: str = Field(description="The whole article, changed only where a change says so.")
    changed: bool = Field(description="Whether the text differs from what was given.")
    changes: tuple[Change, ...] = Field(description="What the model was asked, in the order of the text.")
    diff: tuple[str, ...] = Field(description="Sentence by sentence: `- ` as it was, `+ ` as it is.")
    left: tuple[Left, ...] = Field(description="What was recommended and left alone.")
    mode: Mode = Field(description="What was asked for.")
    model: str = Field(description="Name of the first model; each change names its own.")
    provider: str = Field(description="`embedded`, or the host that the model runs at.")
    prompt_tokens: int = Field(ge=0, description="Tokens sent, by the provider's count.")
    completion_tokens: int = Field(ge=0, description="Tokens received, by the provider's count.")
    cost: float = Field(ge=0, description="In the unit of the configured prices; 0 where none are.")
    seconds: float = Field(ge=0, description="How long the rewriting took.")

    @property
    def refused(self) -> int:
        """How many answers were refused."""
        return sum(change.outcome == "refused" for change in self.changes)
