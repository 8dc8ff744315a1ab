"""A signed webhook, as standardwebhooks.com describes it."""

import base64
import binascii
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from contentworker.errors import ConfigError, ContentWorkerError

__all__ = ["UnreachableError", "WebhookError", "post", "signature"]


class WebhookError(ContentWorkerError):
    """The receiver did not take the event; it may be sent again."""


class UnreachableError(WebhookError):
    """The receiver did not answer at all, so that another event would not reach it either."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The address is configuration: what answers there does not choose another."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def signature(secret: str, event_id: str, timestamp: str, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of `event_id.timestamp.body` in base64.

    The secret's bytes are those of its text, or what follows `whsec_` in base64.
    """
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise ConfigError("SETTLED_WEBHOOK_SECRET: what follows whsec_ must be base64") from None
    digest = hmac.digest(key, b".".join([event_id.encode(), timestamp.encode(), body]), hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def post(url: str, secret: str, event_id: str, payload: Mapping[str, Any], timeout_seconds: float) -> None:
    """Send an event; any answer but 2xx is a WebhookError."""
    body = json.dumps(payload).encode()
    timestamp = str(int(time.time()))
    headers = {
        "content-type": "application/json",
        "user-agent": "content-worker",
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(secret, event_id, timestamp, body),
    }
    host = urlsplit(url).hostname
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with _opener.open(request, timeout=timeout_seconds):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise WebhookError(f"the webhook at {host} answered {error.code}") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise UnreachableError(f"the webhook at {host} cannot be reached: {type(reason).__name__}") from None
    except Exception as error:  # an answer that is no HTTP
        raise WebhookError(f"the webhook at {host} answered nonsense: {type(error).__name__}") from None
