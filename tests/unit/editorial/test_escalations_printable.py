"""Nothing that a stranger wrote steers the terminal that shows an escalation."""

from hypothesis import given, settings

from contentworker.cli import escalations as escalations_cli
from contentworker.editorial import notifications
from contentworker.editorial.escalations.result import (
    Comment,
    Escalation,
    Finding,
    FindingKind,
    HistoryEntry,
    Notification,
    TextVersion,
)
from tests.unit.test_printable import NOW, foreign


@settings(deadline=None)
@given(foreign)
def test_escalations(text: str) -> None:
    """`show`, as a page and as JSON."""
    record, findings = _escalation(text), _findings(text)
    assert all(line.isprintable() for line in escalations_cli._page(record, findings))
    assert all(line.isprintable() for line in escalations_cli._whole_json(record, findings).split("\n"))
    assert escalations_cli._line(record).isprintable()


def _escalation(text: str) -> Escalation:
    """Not validated: pydantic would refuse half a surrogate pair."""
    return Escalation.model_construct(
        id=text, article_id=text, reason=text, evidence={text: text}, media_type=text, run_id=text,
        state="settled", decision=text, settled_by=text, note=text,
        created_at=NOW, updated_at=NOW, settled_at=NOW, language=text, verdict=text, held_by=text,
        texts=(TextVersion.model_construct(kind="original", sha256="0" * 64, text=text, created_at=NOW),),
        history=(HistoryEntry.model_construct(at=NOW, what="settled", by=text, decision=text, note=text),),
        comments=(Comment.model_construct(at=NOW, by=text, text=text),),
        notifications=(
            Notification.model_construct(channel=text, state="sent", detail=text, updated_at=NOW),
        ),
    )  # fmt: skip


def _findings(text: str) -> list[Finding]:
    given: tuple[tuple[FindingKind, dict[str, str]], ...] = (
        ("detection", {"verdict": text}),
        ("rewrite", {"model": text}),
    )
    return [
        Finding.model_construct(
            id=1, run_id=text, kind=kind, number=0, text_sha256="0" * 64, content=content, created_at=NOW
        )
        for kind, content in given
    ]


def test_the_mail_names_the_desk_if_people_can_reach_it() -> None:
    """By its address and the record's id; else only the commands."""
    record = _escalation("some_id")
    assert (
        "https://desk.example.com/review/some_id\n"
        in notifications.message(record, f"https://desk.example.com/review/{record.id}")[1]
    )
    assert "browser" not in notifications.message(record)[1]
