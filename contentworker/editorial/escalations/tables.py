"""The tables of the records, as the newest migration leaves them."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

__all__ = [
    "choices",
    "comments",
    "desk_audit",
    "desk_sessions",
    "desk_tokens",
    "due",
    "escalations",
    "events",
    "findings",
    "history",
    "metadata",
    "notifications",
    "schema_version",
    "texts",
]


class _Utc(sa.TypeDecorator[datetime]):
    """A moment, stored in UTC, because SQLite keeps no time zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Any) -> datetime | None:
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Any) -> datetime | None:
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


metadata = sa.MetaData()


def _of_escalation() -> sa.Column[str]:
    return sa.Column(
        "escalation_id", sa.ForeignKey("escalations.id", ondelete="CASCADE"), nullable=False, index=True
    )


schema_version = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, nullable=False))
escalations = sa.Table(
    "escalations",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("article_id", sa.String(200), nullable=False),
    sa.Column("reason", sa.String(50), nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("media_type", sa.String(20)),
    sa.Column("run_id", sa.String(200)),
    sa.Column("state", sa.String(10), nullable=False),
    # How often the record was opened by a new text. Each time, people are notified again.
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("decision", sa.String(50), nullable=False),
    sa.Column("settled_by", sa.String(200), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("event_id", sa.String(32), nullable=False),
    sa.Column("created_at", _Utc, nullable=False),
    sa.Column("updated_at", _Utc, nullable=False),
    sa.Column("settled_at", _Utc),
    # Of the article as it came, from its findings: the list filters by them.
    sa.Column("language", sa.String(20)),
    sa.Column("score", sa.Float),
    sa.Column("verdict", sa.String(10)),
    sa.Column("held_by", sa.String(200)),
    sa.Column("held_until", _Utc),
    sa.Column("title", sa.String(200)),
    sa.Column("due_at", _Utc),
    sa.UniqueConstraint("article_id", "reason"),
    sa.Index("ix_escalations_state_created_at", "state", "created_at", "id"),
    sa.Index("ix_escalations_created_at", "created_at", "id"),
    sa.Index("ix_escalations_updated_at", "updated_at", "id"),
)
due = sa.func.coalesce(escalations.c.due_at, escalations.c.created_at)
"""When a person should have decided. A record of an older worker has no such time: it comes first."""
sa.Index("ix_escalations_state_due", escalations.c.state, due, escalations.c.id)
texts = sa.Table(
    "escalation_texts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _of_escalation(),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("created_at", _Utc, nullable=False),
    sa.UniqueConstraint("escalation_id", "sha256"),
)
findings = sa.Table(
    "escalation_findings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _of_escalation(),
    sa.Column("run_id", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("text_sha256", sa.String(64), nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("created_at", _Utc, nullable=False),
    sa.UniqueConstraint("escalation_id", "run_id", "kind", "number"),
)
choices = sa.Table(
    "escalation_choices",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _of_escalation(),
    sa.Column(
        "finding_id", sa.Integer, sa.ForeignKey("escalation_findings.id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("change", sa.Integer, nullable=False),
    sa.Column("choice", sa.String(10), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("at", _Utc, nullable=False),
)
history = sa.Table(
    "escalation_history",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _of_escalation(),
    sa.Column("at", _Utc, nullable=False),
    # A word that version 1 knows: its workers refuse a record with another one.
    sa.Column("what", sa.String(20), nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("decision", sa.String(50), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)
comments = sa.Table(
    "escalation_comments",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _of_escalation(),
    sa.Column("at", _Utc, nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
notifications = sa.Table(
    "escalation_notifications",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _of_escalation(),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("channel_key", sa.String(64), nullable=False),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("detail", sa.String(200), nullable=False),
    sa.Column("updated_at", _Utc, nullable=False),
    sa.UniqueConstraint("escalation_id", "round", "channel_key"),
)
events = sa.Table(
    "escalation_events",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    _of_escalation(),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("created_at", _Utc, nullable=False),
    sa.Column("webhook_at", _Utc),
    sa.Column("task_at", _Utc),
    sa.Column("done_at", _Utc),
    # Set while the event is held: its decision can be withdrawn, and nothing is sent. `done_at` is set as
    # well then, so that a worker of version 1, which looks at it alone, leaves it. A claim clears both.
    sa.Column("not_before", _Utc),
)
desk_sessions = sa.Table(
    "desk_sessions",
    metadata,
    sa.Column("token_sha256", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    # Of the account's line: a changed password or role ends the session.
    sa.Column("account_sha256", sa.String(64), nullable=False),
    sa.Column("expires_at", _Utc, nullable=False),
    sa.Column("began_at", _Utc),
    # The name of a `SignedIn`; NULL: by a desk of version 4, with a password.
    sa.Column("signed_in", sa.String(10)),
    # Of a person whom no password file names, with commas between.
    sa.Column("roles", sa.String(100)),
    # Of a link in a mail: the only record that the session is for, and its round.
    sa.Column("record_id", sa.String(32)),
    sa.Column("round", sa.Integer),
)
desk_audit = sa.Table(
    "desk_audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", _Utc, nullable=False),
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("signed_in", sa.String(10), nullable=False),
    sa.Column("action", sa.String(50), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("filter", sa.Text, nullable=False),
    sa.Column("count", sa.Integer),
    sa.Column("outcome", sa.String(200), nullable=False),
)
desk_tokens = sa.Table(
    "desk_tokens",
    metadata,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("token_sha256", sa.String(64), nullable=False),
    sa.Column("roles", sa.String(100), nullable=False),
    sa.Column("created_at", _Utc, nullable=False),
    sa.Column("used_at", _Utc),
    sa.UniqueConstraint("token_sha256"),
)
