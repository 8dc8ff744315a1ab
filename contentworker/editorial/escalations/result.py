"""The results of the tasks and commands of escalations."""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

__all__ = [
    "MAX_EVIDENCE_BYTES",
    "Announced",
    "ArticleId",
    "Choice",
    "ChoiceKind",
    "Comment",
    "Escalation",
    "EscalationLine",
    "EscalationRef",
    "Finding",
    "FindingKind",
    "Forgotten",
    "HistoryEntry",
    "Hold",
    "NewFinding",
    "Notification",
    "Notified",
    "Reason",
    "Settled",
    "TextVersion",
]

MAX_EVIDENCE_BYTES = 200_000
"""Most bytes of JSON that a record takes as evidence."""

ArticleId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:/@-]+$")]
Reason = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z0-9_]+$")]
State = Literal["open", "settled"]
FindingKind = Literal["score", "detection", "rewrite"]
ChoiceKind = Literal["original", "rewrite", "own"]


class NewFinding(NamedTuple):
    """What a run has found out about an article: whole results, as JSON objects."""

    kind: FindingKind
    number: int
    """0: about the article as it came; n: the n-th rewrite, or about it."""
    text: str
    """The text that was judged or rewritten: offsets in `content` count its characters."""
    content: dict[str, Any]


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class EscalationRef(_Result):
    """The record of an escalation."""

    id: str
    created: bool = Field(description="Whether this call made the record.")


class Notified(_Result):
    """The state of the notification of each channel, which is named `scheme://host`."""

    id: str
    channels: dict[str, str]


class Settled(_Result):
    """How a record was settled."""

    id: str
    article_id: str
    reason: str
    decision: str
    by: str
    note: str
    settled_at: AwareDatetime
    event_id: str = Field(description="Id of the event for the platform, which may receive it twice.")
    changed: bool = Field(description="False if it was already settled so: the same call came twice.")
    withdrawable_until: AwareDatetime | None = Field(
        default=None, description="The platform is told after this moment; None if at once."
    )


class Announced(_Result):
    """The ids of the delivered events."""

    events: tuple[str, ...]


class TextVersion(_Result):
    """One text of the article."""

    kind: Literal["original", "rewrite", "final"]
    sha256: str
    text: str
    created_at: AwareDatetime


class HistoryEntry(_Result):
    """One thing that happened to the record."""

    at: AwareDatetime
    what: Literal["created", "text added", "reopened", "settled"]
    by: str
    decision: str
    note: str


class Notification(_Result):
    """One notification. `unknown` means that it may have arrived, so it is not sent again."""

    channel: str
    state: Literal["sending", "sent", "refused", "unknown"]
    detail: str
    updated_at: AwareDatetime


class Finding(_Result):
    """One result about a text of the article: an `AeoScore`, a `Detection` or a `Rewrite`, whole."""

    id: int
    run_id: str
    kind: FindingKind
    number: int = Field(description="0: about the article as it came; n: the n-th rewrite, or about it.")
    text_sha256: str = Field(description="The text that offsets in `content` are in.")
    content: dict[str, Any]
    created_at: AwareDatetime


class Choice(_Result):
    """What a person chose for one change of a rewrite; the latest choice for a change is in force."""

    finding_id: int = Field(description="The rewrite.")
    change: int = Field(description="The number of the change in it, from 1.")
    choice: ChoiceKind
    text: str = Field(description="The person's own words, or nothing.")
    by: str
    at: AwareDatetime


class Comment(_Result):
    """What a person said about the record without deciding."""

    at: AwareDatetime
    by: str
    text: str


class Hold(_Result):
    """Who is at work on a record, so that nobody else begins."""

    by: str
    until: AwareDatetime


class EscalationLine(_Result):
    """One record as a list shows it."""

    id: str
    article_id: str
    reason: str
    media_type: str | None
    run_id: str | None
    state: State
    decision: str
    settled_by: str
    note: str
    created_at: AwareDatetime
    updated_at: AwareDatetime
    settled_at: AwareDatetime | None
    language: str | None = Field(default=None, description="ISO 639 code of the article's language.")
    score: float | None = Field(default=None, description="Points of the article as it came, 0 to 100.")
    verdict: str | None = Field(default=None, description="The detector's, on the article as it came.")
    held_by: str | None = None
    held_until: AwareDatetime | None = None
    title: str | None = Field(default=None, description="The article's title, at most 200 characters.")
    due_at: AwareDatetime | None = Field(default=None, description="When a person should have decided.")


class Escalation(EscalationLine):
    """One record: an article, and one reason for a person to decide."""

    round: int = Field(default=1, description="How often the record was opened by a new text.")
    version: int = Field(default=0, description="Grows with each new text, each choice and each decision.")
    withdrawable_until: AwareDatetime | None = Field(
        default=None,
        description="When the platform is told of the decision; None if it is, or if it is open.",
    )
    event_id: str = Field(default="", description="Id of the event of its decision; empty while it is open.")
    evidence: dict[str, Any]
    texts: tuple[TextVersion, ...] = ()
    choices: tuple[Choice, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    comments: tuple[Comment, ...] = ()
    notifications: tuple[Notification, ...] = ()


class Forgotten(_Result):
    """The number of removed rows."""

    escalations: int = 0
    texts: int = 0
    choices: int = 0
    findings: int = 0
    history: int = 0
    comments: int = 0
    notifications: int = 0
    events: int = 0
