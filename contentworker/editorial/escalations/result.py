"""The results of the tasks and commands of escalations."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

__all__ = [
    "Announced",
    "ArticleId",
    "Escalation",
    "EscalationRef",
    "Forgotten",
    "HistoryEntry",
    "Notification",
    "Notified",
    "Reason",
    "Settled",
    "TextVersion",
]

ArticleId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:/@-]+$")]
Reason = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z0-9_]+$")]
State = Literal["open", "settled"]


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
    changed: bool = Field(description="False if it was already settled with this decision.")


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


class Escalation(_Result):
    """One record: an article, and one reason for a person to decide."""

    id: str
    article_id: str
    reason: str
    evidence: dict[str, Any]
    media_type: str | None
    run_id: str | None
    state: State
    decision: str
    settled_by: str
    note: str
    created_at: AwareDatetime
    updated_at: AwareDatetime
    settled_at: AwareDatetime | None
    texts: tuple[TextVersion, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    notifications: tuple[Notification, ...] = ()


class Forgotten(_Result):
    """The number of removed rows."""

    escalations: int = 0
    texts: int = 0
    history: int = 0
    notifications: int = 0
    events: int = 0
