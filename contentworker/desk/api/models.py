"""What programs send to the API and what they get. The OpenAPI document is made from these models."""

from typing import Annotated, Any, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    StringConstraints,
    model_validator,
)

from contentworker.editorial.escalations.reading import Order
from contentworker.editorial.escalations.result import (
    ArticleId,
    ChoiceKind,
    Comment,
    Escalation,
    EscalationLine,
    Finding,
    Forgotten,
)
from contentworker.editorial.rewriting.result import Outcome, Refusal
from contentworker.editorial.settings import MOST_REWRITES
from contentworker.runtime.records.runs import State

__all__ = [
    "Body",
    "CancelBody",
    "CancelledRun",
    "Change",
    "ChoicesBody",
    "ChoicesMade",
    "CommentBody",
    "Comments",
    "Findings",
    "ForgetBody",
    "ForgottenArticle",
    "OpenApi",
    "Output",
    "PersonBody",
    "Problem",
    "Query",
    "Queue",
    "Queues",
    "Record",
    "RecordPage",
    "RecordQuery",
    "RunPage",
    "RunQuery",
    "RunShown",
    "RunStep",
    "RunSummary",
    "SettleBody",
    "TakeBackBody",
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


class RunQuery(Query):
    """Which runs."""

    state: State | None = None
    step: Word | None = Field(
        default=None,
        description=f"`evaluate:0`, `rewrite:1` and so on up to {MOST_REWRITES}, `escalate`, or an end: "
        "`passed`, `accepted`, `escalated`, `cancelled`, `failed`.",
    )
    article_id: Word | None = None
    after: Cursor | None = Field(default=None, description=AFTER)
    limit: Limit = 50


class RunSummary(Output):
    """Where a run stands."""

    id: str
    article_id: str
    step: str
    state: State
    began: AwareDatetime
    reached: AwareDatetime = Field(description="When it reached this step.")


class RunPage(Output):
    """A page of the list of runs, the latest step first."""

    items: tuple[RunSummary, ...]
    next: str | None = Field(description=NEXT)


class RunStep(Output):
    """A step that a run has reached."""

    step: str
    reached: AwareDatetime
    seconds: float | None = Field(description="How long the run was at it; null: it still is.")
    attempts: int | None = Field(description="Null: no result of the step is kept any more.")
    cost: float | None
    tokens: int | None


class RunShown(Output):
    """A run without the article's text."""

    id: str
    article_id: str
    step: str
    state: State
    reasons: tuple[str, ...]
    scores: dict[str, float] = Field(description="Points by number: 0 is the article as it came.")
    verdicts: dict[str, str]
    cost: float
    failure: dict[str, str] | None
    escalation_id: str | None
    steps: tuple[RunStep, ...]


class CancelBody(Body):
    """How to cancel a run."""

    escalate: bool = Field(default=False, description="Have a person asked to decide instead.")


class CancelledRun(Output):
    """A run that was cancelled."""

    id: str
    step: str
    messages_removed: int


class ForgetBody(Body):
    """The article to forget."""

    article_id: ArticleId


class ForgottenArticle(Output):
    """How much was removed of an article."""

    runs: int
    messages: int
    dead_letters: int
    results: int
    still_running: int = Field(description="Tasks that still run: call again when they have ended.")
    records: Forgotten


class Queue(Output):
    """A queue."""

    name: str
    ready: int = Field(description="Messages that any worker may take.")
    delayed: int = Field(description="Messages that are not due, with retries.")
    held: int = Field(description="Messages that workers have taken.")
    oldest_message_seconds: float | None
    is_paused: bool


class Queues(Output):
    """All queues."""

    items: tuple[Queue, ...]
