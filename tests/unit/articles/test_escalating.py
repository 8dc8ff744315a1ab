"""What an escalation adds to its record on a worker."""

from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from contentworker import config
from contentworker.articles import escalating
from contentworker.editorial import document, notifications
from contentworker.editorial.escalations.result import Escalation
from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from contentworker.errors import ContentError
from tasks.escalation import escalate_to_human


@pytest.mark.usefixtures("inline")
def test_a_format_that_nobody_reads_is_refused() -> None:
    """The record would have a text that the desk cannot show."""
    sent = escalate_to_human.delay("a/1", "by_hand", content="A text.", media_type="pdf")
    with pytest.raises(ContentError, match=r"media_type: input should be 'html', 'markdown' or 'text'"):
        sent.get()


@pytest.mark.parametrize("error", [RecursionError(), SoftTimeLimitExceeded()])
def test_what_cannot_be_read_has_no_title(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The same error failed the run: it must not keep a person from being asked."""

    def broken(*_: Any, **__: Any) -> None:
        raise error

    record = {"content": "# Tea", "media_type": "markdown"}
    assert escalating._title(record, config.load().content) == "Tea"
    monkeypatch.setattr(document, "parse", broken)
    assert escalating._title(record, config.load().content) is None


def test_nobody_is_notified_of_a_forgotten_record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The record was forgotten while the task waited: that is no failure."""
    engine = open_engine("", tmp_path / "records.sqlite3")
    monkeypatch.setattr(escalating, "store", lambda: Store(engine))
    assert escalating.notify("0" * 32, "json://127.0.0.1:1").channels == {}
    engine.dispose()


def test_a_record_that_is_forgotten_while_people_are_notified(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Between the look at the record and the sending: that is no failure either."""

    class Forgetful(Store):
        def find(self, escalation_id: str) -> Escalation | None:
            record = super().find(escalation_id)
            self.forget("a")
            return record

    engine = open_engine("", tmp_path / "records.sqlite3")
    made = Store(engine).escalate("a", "failed", evidence={})
    monkeypatch.setattr(escalating, "store", lambda: Forgetful(engine))
    channel = notifications.Channel("key", "json://127.0.0.1", "json://127.0.0.1:1")
    monkeypatch.setattr(notifications, "channels", lambda _: [channel])
    assert escalating.notify(made.id, "json://127.0.0.1:1").channels == {}
    engine.dispose()
