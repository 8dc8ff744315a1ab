"""The webhook's keys: which are refused, and how one takes the place of another."""

import base64
import hashlib
import hmac
import time
from http.client import BadStatusLine
from typing import Any
from unittest.mock import Mock

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from contentworker.editorial import webhook
from contentworker.errors import ConfigError
from tests.receivers import receiver
from tests.support import ROOT

NEW = "whsec_" + base64.b64encode(b"the new key of 32 bytes length..").decode()
OLD = "an-old-key"


@pytest.mark.parametrize(
    ("secrets", "says"),
    [
        pytest.param("", "is required .* and must not be empty", id="empty"),
        pytest.param(" \n", "is required .* and must not be empty", id="blank"),
        pytest.param("whsec_", "nothing follows whsec_", id="nothing in base64"),
        pytest.param(f"{NEW} whsec_", "nothing follows whsec_", id="the second one empty"),
        pytest.param("whsec_hush!", "must be base64", id="no base64"),
        pytest.param("hush hush hush", "or the new and the old one, got 3", id="three"),
    ],
)
def test_keys_that_sign_nothing_are_refused(secrets: str, says: str) -> None:
    """In a line that names the variable and shows no secret; nothing is sent."""
    with receiver(204) as (url, got):
        with pytest.raises(ConfigError, match=f"^SETTLED_WEBHOOK_SECRET: .*{says}") as caught:
            webhook.post(url, secrets, "id", {}, 5)
        assert got == []
    assert "hush" not in str(caught.value)


def test_one_key_signs_as_before() -> None:
    """One signature of standardwebhooks.com, which is that of its text or of its base64."""
    expected = base64.b64encode(hmac.digest(OLD.encode(), b"id.12.{}", hashlib.sha256)).decode()
    assert webhook.signatures(OLD, "id", "12", b"{}") == f"v1,{expected}"
    raw = base64.b64encode(OLD.encode()).decode()
    assert webhook.signatures(f"whsec_{raw}", "id", "12", b"{}") == f"v1,{expected}"


def test_a_receiver_verifies_while_the_key_is_changed() -> None:
    """With two keys the example of the page accepts the event with either of them, and with no other."""
    example: dict[str, Any] = {}
    page = (ROOT / "docs" / "escalations.md").read_text("utf-8")
    exec(page.split("```python")[1].split("```")[0], example)
    is_ours = example["is_ours"]
    with receiver(204) as (url, got):
        webhook.post(url, f"{NEW}\n{OLD}", "id", {"a": 1}, 5)
    ((headers, body),) = got
    assert len(headers["webhook-signature"].split(" ")) == 2
    assert is_ours(headers, body, NEW)
    assert is_ours(headers, body, OLD)
    assert not is_ours(headers, body, "another")
    assert not is_ours(headers, body + b" ", NEW)
    assert not is_ours({**headers, "webhook-signature": "v1, é"}, body, NEW)
    assert not is_ours({**headers, "webhook-timestamp": str(int(time.time()) - 600)}, body, NEW)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(BadStatusLine("?"), webhook.WebhookError), (SoftTimeLimitExceeded(), SoftTimeLimitExceeded)],
)
def test_what_is_no_http_and_what_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, expected: type[Exception]
) -> None:
    """An answer in another protocol is an error that can be retried; the task's time limit ends the task."""
    monkeypatch.setattr(webhook._opener, "open", Mock(side_effect=raised))
    with pytest.raises(expected):
        webhook.post("http://127.0.0.1/hook", "secret", "id", {}, 1)
