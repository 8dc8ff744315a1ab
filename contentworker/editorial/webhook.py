"""A webhook signed as https://www.standardwebhooks.com describes."""

import base64
import binascii
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from contentworker.errors import ConfigError, ContentWorkerError

__all__ = ["SECRET", "UnreachableError", "WebhookError", "keys", "post", "signatures"]

SECRET = "SETTLED_WEBHOOK_SECRET"  # noqa: S105 (the name of the variable)
MOST_KEYS = 2
"""The old and the new key of a rotation. More are probably one text with blanks in it."""


class WebhookError(ContentWorkerError):
    """The receiver did not take the event; a later try may succeed."""


class UnreachableError(WebhookError):
    """The receiver did not answer at all, so another event would not reach it either."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: only the configuration chooses the address."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def keys(secrets: str) -> list[bytes]:
    """The keys in SETTLED_WEBHOOK_SECRET: one, or two with a blank between during a rotation.

    A key is the bytes of its text, or after `whsec_` those of its base64.

    Raises:
        ConfigError: no key, an empty one, or more than two. The message shows none.
    """
    decoded = [_key(secret) for secret in secrets.split()]
    if not decoded:
        raise ConfigError(
            f"{SECRET}: is required with escalations.settled_webhook_url, and must not be empty"
        )
    if len(decoded) > MOST_KEYS:
        raise ConfigError(f"{SECRET}: expected one secret, or the new and the old one, got {len(decoded)}")
    return decoded


def _key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ConfigError(f"{SECRET}: what follows whsec_ must be base64") from None
    if not key:
        raise ConfigError(f"{SECRET}: nothing follows whsec_; expected the key in base64")
    return key


def signatures(secrets: str, event_id: str, timestamp: str, body: bytes) -> str:
    """For each key `v1,` and the HMAC-SHA256 of `event_id.timestamp.body` in base64, with blanks between.

    Raises:
        ConfigError: see `keys`.
    """
    signed = b".".join([event_id.encode(), timestamp.encode(), body])
    digests = [hmac.digest(key, signed, hashlib.sha256) for key in keys(secrets)]
    return " ".join("v1," + base64.b64encode(digest).decode() for digest in digests)


def post(url: str, secrets: str, event_id: str, payload: Mapping[str, Any], timeout_seconds: float) -> None:
    """Send an event.

    Raises:
        WebhookError: any answer but 2xx, or none.
    """
    body = json.dumps(payload).encode()
    timestamp = str(int(time.time()))
    headers = {
        "content-type": "application/json",
        "user-agent": "content-worker",
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signatures(secrets, event_id, timestamp, body),
    }
    host = urlsplit(url).hostname
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310 (the configuration allows only HTTP)
    try:
        with _opener.open(request, timeout=timeout_seconds):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise WebhookError(f"the webhook at {host} answered {error.code}") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise UnreachableError(f"the webhook at {host} cannot be reached: {type(reason).__name__}") from None
    except (HTTPException, ValueError) as error:  # not any error: a time limit must end the task
        raise WebhookError(f"the webhook at {host} did not answer in HTTP: {type(error).__name__}") from None
