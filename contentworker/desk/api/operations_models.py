"""What programs send about runs, articles, dead letters and queues, and what they get."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from contentworker.desk.api.models import AFTER, NEXT, Body, Cursor, Limit, Output, Query, Word
from contentworker.editorial.escalations.result import ArticleId, Forgotten
from contentworker.editorial.settings import MOST_REWRITES
from contentworker.runtime.records.runs import State

__all__ = [
    "Argument",
    "Batch",
    "BatchBody",
    "Batches",
    "CancelBody",
    "CancelledRun",
    "ForgetBody",
    "ForgottenArticle",
    "Letter",
    "LetterDone",
    "LetterFilterFields",
    "LetterPage",
    "LetterQuery",
    "LetterShown",
    "Queue",
    "Queues",
    "RunPage",
    "RunQuery",
    "RunShown",
    "RunStep",
    "RunSummary",
    "Schedule",
    "ScheduleRun",
    "Schedules",
]

LetterId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,19}-[0-9]{1,19}$")]


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


class LetterFilterFields(BaseModel):
    """What letters must be."""

    task: Word | None = Field(default=None, description="A pattern of names, such as `tasks.rewrite.*`.")
    reason: Word | None = None
    queue: Word | None = None
    exception: Word | None = Field(default=None, description="The type of the error.")
    text: Word | None = Field(default=None, description="A part of the letter's or the task's id.")
    critical: bool | None = Field(default=None, description="Whether the task is a `CriticalTask`.")


class LetterQuery(LetterFilterFields, Query):
    """Which dead letters."""

    after: LetterId | None = Field(default=None, description=AFTER)
    limit: Limit = 50


class Letter(Output):
    """A dead letter without its arguments."""

    id: str
    arrived: AwareDatetime
    task: str
    task_id: str
    queue: str
    reason: str
    error: str = Field(description="Its beginning.")
    exception: str
    is_critical: bool
    is_risky: bool = Field(description="Whether a replay may repeat an effect that must not be repeated.")
    replayed_before: bool
    size_bytes: int


class LetterPage(Output):
    """A page of the list of dead letters, the newest first."""

    items: tuple[Letter, ...]
    next: str | None = Field(description=NEXT)
    total: int = Field(description="How many match.")


class Argument(Output):
    """An argument of a task, folded."""

    name: str
    what: str = Field(description="Its kind and size.")


class LetterShown(Letter):
    """A dead letter with the names and sizes of its arguments."""

    arguments: tuple[Argument, ...] | None = Field(description="Null: the message does not say.")


class LetterDone(Output):
    """A letter that was replayed or discarded."""

    id: str


class BatchFilter(LetterFilterFields, Body):
    """What the letters of a batch must be."""


class BatchBody(Body):
    """A batch to begin."""

    action: Literal["replay", "discard"]
    filter: BatchFilter = BatchFilter()
    expected: int = Field(ge=1, description="How many letters it is about. If others match, nothing is done.")
    include_risky: bool = Field(
        default=False,
        description="Also replay critical and interrupted tasks. They may have had their effect.",
    )
    one_first: bool = Field(default=True, description="Replay one, and the others once that has succeeded.")


class Batch(Output):
    """A batch of dead letters that are replayed or discarded."""

    id: str
    action: Literal["replay", "discard"]
    by: str
    filter: dict[str, str]
    created: AwareDatetime
    state: Literal["running", "waiting", "stopped", "failed", "done"]
    why: str
    one_first: bool
    total: int
    done: int
    gone: int = Field(description="Letters that somebody else replayed or discarded first.")
    refused: int


class Batches(Output):
    """The newest batches, the newest first."""

    items: tuple[Batch, ...]


class Queue(Output):
    """A queue."""

    name: str
    ready: int = Field(description="Messages that any worker may take.")
    delayed: int = Field(description="Messages that are not due, with retries.")
    held: int = Field(description="Messages that workers have taken.")
    oldest_message_seconds: float | None
    is_paused: bool
    paused_by: str | None = Field(description="Null: it is not paused, or its pause has no name.")
    paused_since: AwareDatetime | None


class Queues(Output):
    """All queues."""

    items: tuple[Queue, ...]


class Schedule(Output):
    """A task that beat sends by the clock."""

    name: str
    task: str
    rhythm: str = Field(description="Its crontab with the time zone, or its interval.")
    timezone: str
    is_enabled: bool
    last_sent: AwareDatetime | None = Field(description="Null: never, or before 0.2.0.")
    next: AwareDatetime | None = Field(description="Null: it is off or paused, or no beat knows it yet.")
    is_paused: bool
    paused_by: str | None = Field(description="Null: it is not paused, or its pause has no name.")
    paused_since: AwareDatetime | None


class Schedules(Output):
    """All schedules."""

    items: tuple[Schedule, ...]


class ScheduleRun(Output):
    """A schedule whose task was sent now."""

    id: str
    task_id: str
