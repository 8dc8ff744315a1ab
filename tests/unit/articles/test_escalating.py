"""What an escalation adds to its record on a worker."""

from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from contentworker import config
from contentworker.articles import escalating
from contentworker.editorial import document
from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store


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
