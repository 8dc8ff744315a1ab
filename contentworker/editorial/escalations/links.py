"""Links in notifications that let whoever has them decide on one record, for one round, for three days."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from contentworker.errors import ConfigError

__all__ = ["VALID", "Link", "fingerprint", "made", "read", "secret_of"]

SECRET = "DESK_SECRET"  # noqa: S105 (its name)
SHORTEST_SECRET = 32
VALID = timedelta(hours=72)
PURPOSE = b"desk link 1\0"
"""What else is ever signed with the secret begins otherwise."""
FORM = re.compile(r"([0-9a-f]{32})-([0-9]{1,9})-([0-9]{1,11})-([A-Za-z0-9_-]{43})", re.ASCII)


class Link(NamedTuple):
    """What a link is for."""

    record_id: str
    round: int
    expires_at: datetime


def secret_of(environ: Mapping[str, str]) -> str:
    """The secret that links are signed with.

    Raises:
        ConfigError: it is missing, or so short that it could be guessed.
    """
    secret = environ.get(SECRET, "")
    if len(secret) < SHORTEST_SECRET:
        raise ConfigError(
            f'{SECRET}: must have at least {SHORTEST_SECRET} characters, with desk.mail_link = "open": '
            "`openssl rand -base64 32`"
        )
    return secret


def made(secret: str, link: Link) -> str:
    """The token for the address."""
    signed = f"{link.record_id}-{link.round}-{int(link.expires_at.timestamp())}"
    return f"{signed}-{_signature(secret, signed)}"


def read(secret: str, token: str, now: datetime) -> Link | None:
    """What a token is for; None if it is no token of this secret, or too old."""
    parts = FORM.fullmatch(token)
    if parts is None:
        return None
    signed = token[: parts.start(4) - 1]
    if not hmac.compare_digest(_signature(secret, signed), parts[4]) or int(parts[3]) <= now.timestamp():
        return None
    return Link(parts[1], int(parts[2]), datetime.fromtimestamp(int(parts[3]), UTC))


def fingerprint(secret: str) -> str:
    """What a session by a link keeps of the secret: one that began under another secret is over."""
    return hmac.digest(secret.encode(), b"desk link session 1", hashlib.sha256).hex()


def _signature(secret: str, signed: str) -> str:
    digest = hmac.digest(secret.encode(), PURPOSE + signed.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
