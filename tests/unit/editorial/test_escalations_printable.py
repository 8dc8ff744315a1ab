"""Nothing that a stranger wrote steers the terminal that shows an escalation."""

from hypothesis import given

from contentworker.cli import escalations as escalations_cli
from contentworker.editorial.escalations.result import Escalation, HistoryEntry, Notification, TextVersion
from tests.unit.test_printable import NOW, foreign


@given(foreign)
def test_escalations(text: str) -> None:
    """`show`, as a page and as JSON."""
    record = _escalation(text)
    assert all(line.isprintable() for line in escalations_cli._page(record))
    assert all(line.isprintable() for line in escalations_cli._json(record, indent=2).split("\n"))


def _escalation(text: str) -> Escalation:
    """Not validated: pydantic would refuse half a surrogate pair."""
    return Escalation.model_construct(
        id=text, article_id=text, reason=text, evidence={text: text}, media_type=text, run_id=text,
        state="settled", decision=text, settled_by=text, note=text,
        created_at=NOW, updated_at=NOW, settled_at=NOW,
        texts=(TextVersion.model_construct(kind="original", sha256="0" * 64, text=text, created_at=NOW),),
        history=(HistoryEntry.model_construct(at=NOW, what="settled", by=text, decision=text, note=text),),
        notifications=(
            Notification.model_construct(channel=text, state="sent", detail=text, updated_at=NOW),
        ),
    )  # fmt: skip
