"""What an escalation adds to its record on a worker."""

from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from contentworker import config
from contentworker.articles import escalating
from contentworker.editorial import document


@pytest.mark.parametrize("error", [RecursionError(), SoftTimeLimitExceeded()])
def test_what_cannot_be_read_has_no_title(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The same error failed the run: it must not keep a person from being asked."""

    def broken(*_: Any, **__: Any) -> None:
        raise error

    record = {"content": "# Tea", "media_type": "markdown"}
    assert escalating._title(record, config.load().content) == "Tea"
    monkeypatch.setattr(document, "parse", broken)
    assert escalating._title(record, config.load().content) is None
