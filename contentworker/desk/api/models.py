"""What all calls share, and what programs send about records and get. The OpenAPI document comes of it."""

from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    StringConstraints,
    model_validator,
)

from contentworker.editorial.escalations.reading import Order
from contentworker.editorial.escalations.result import (
    ChoiceKind,
    Comment,
    Escalation,
    EscalationLine,
    Finding,
)
from contentworker.editorial.rewriting.result import Outcome, Refusal

__all__ = [
    "AFTER",
    "NEXT",
    "Body",
    "Change",
    "ChoicesBody",
    "ChoicesMade",
    "CommentBody",
    "Comments",
    "Cursor",
    "Findings",
    "Limit",
    "OpenApi",
    "Output",
    "PersonBody",
    "Problem",
    "Query",
    "Record",
    "RecordPage",
    "RecordQuery",
    "SettleBody",
    "TakeBackBody",
    "Word",
    "Wrong",
]

MOST_CHOICES = 5_000
Word = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
"""A value to filter by. PostgreSQL takes no NUL."""
Cursor = Annotated[str, StringConstraints(max_length=100, pattern=r"^[0-9a-z.-]+$")]
Limit = Annotated[int, Field(ge=1, le=200)]
Person = Annotated[str, StringConstraints(max_length=90, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
AFTER = "`next` of the page before."
NEXT = "`after` of the next page; null at the end."


class Query(BaseModel):
    """Parameters in the address."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(BaseModel):
    """What is sent: a JSON object without unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Output(BaseModel):
    """What comes back."""

    model_config = ConfigDict(frozen=True)


class OpenApi(RootModel[dict[str, Any]]):
    """An OpenAPI document."""


class Wrong(Output):
    """One thing that is wrong with a call."""

    field: str = Field(description="Its name, such as `choices.0.text`, or that of a header.")
    message: str


class Problem(Output):
    """Why a call failed, as RFC 9457 has it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="What to do.")
    errors: tuple[Wrong, ...] = Field(default=(), description="What is wrong with each field.")


class PersonBody(Body):
    """The person for whom the program acts."""

    by: Person = Field(
        default="", description="Who does it; recorded as `ana via TOKEN`. Empty: the program."
    )


class TakeBackBody(PersonBody):
    """A decision to take back."""

    event_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = Field(
        default=None, description="`event_id` of the decision that you have seen. Null: whichever it is."
    )


class RecordQuery(Query):
    """Which records, and in which order."""

    state: Word | None = Field(default=None, description="`open` or `settled`.")
    reason: Word | None = None
    language: Word | None = None
    verdict: Word | None = None
    held_by: Word | None = Field(default=None, description="Who is at work on it.")
    text: Word | None = Field(default=None, description="A part of the article's id, in any case.")
    order: Order = "oldest"
    after: Cursor | None = Field(default=None, description=AFTER)
    limit: Limit = 50


class RecordPage(Output):
    """A page of the list of records."""

    items: tuple[EscalationLine, ...]
    next: str | None = Field(description=NEXT)


class Change(Output):
    """One change of the latest rewrite, and what stands in its place."""

    number: int
    outcome: Outcome
    original: str
    rewritten: str
    refusals: tuple[Refusal, ...]
    choice: ChoiceKind = Field(description="As a person chose last, or as the guard left it.")
    text: str = Field(description="A person's own words, or nothing.")


class Record(Escalation):
    """A record, and the changes to choose from."""

    changes: tuple[Change, ...] = ()


class Findings(Output):
    """Every score, detection and rewrite of the article, whole."""

    items: tuple[Finding, ...]


class ChoiceBody(Body):
    """What stands in place of one change."""

    change: int = Field(ge=1, le=1_000_000, description="Its `number`.")
    choice: ChoiceKind
    text: str = Field(default="", max_length=10_000, description="With `own`: the words.")


class ChoicesBody(PersonBody):
    """Choices for changes. Those that are not named stay."""

    choices: list[ChoiceBody] = Field(min_length=1, max_length=MOST_CHOICES)

    @model_validator(mode="after")
    def _names_each_change_once(self) -> Self:
        if len({each.change for each in self.choices}) < len(self.choices):
            raise ValueError("choices must name each change once")
        return self


class ChoicesMade(Output):
    """The record after choosing."""

    id: str
    version: int


class SettleBody(PersonBody):
    """A decision."""

    decision: str = Field(max_length=50, description="A word of `desk.decisions` in worker.toml.")
    note: str = Field(default="", max_length=10_000, description="Why.")
    text: str | None = Field(default=None, description="What to publish. Null: the text as it was chosen.")
    undo_seconds: float = Field(
        default=0, ge=0, le=600, description="How long it can be withdrawn. The platform is told after that."
    )


class CommentBody(PersonBody):
    """A comment."""

    text: str = Field(min_length=1, max_length=10_000)


class Comments(Output):
    """All comments of a record, the oldest first."""

    items: tuple[Comment, ...]
