"""Telling people: one channel at a time, and what is known of each afterwards."""

import hashlib
import logging
import re
import smtplib
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from contentworker.errors import ConfigError

__all__ = ["Channel", "Outcome", "channels", "message", "send"]

TEMPLATES = Path(__file__).parent / "templates"
MAX_EVIDENCE_LINES = 12
MAX_VALUE_CHARACTERS = 120

REFUSALS: tuple[type[BaseException], ...] = (
    ConnectionRefusedError,
    socket.gaierror,
    smtplib.SMTPConnectError,
    smtplib.SMTPHeloError,
    smtplib.SMTPAuthenticationError,
    smtplib.SMTPNotSupportedError,
    smtplib.SMTPSenderRefused,
    smtplib.SMTPRecipientsRefused,
    smtplib.SMTPDataError,
)
"""Errors after which nothing was accepted for certain."""


class Channel(NamedTuple):
    """One address of NOTIFY_URLS. Only `label` may be shown."""

    key: str
    label: str
    url: str

    def __repr__(self) -> str:
        return f"Channel({self.label})"


class Outcome(NamedTuple):
    """`sent`; `refused`, so that it may be sent again; or `unknown`, so that it may not."""

    state: str
    detail: str


def channels(notify_urls: str) -> list[Channel]:
    """The channels of NOTIFY_URLS: addresses of Apprise's, separated by blanks or by commas.

    Raises:
        ConfigError: one that Apprise does not know; by its number, as the address is a secret.
    """
    found = []
    for number, url in enumerate(_split(notify_urls), 1):
        if _apprise(url) is None:
            raise ConfigError(
                f"NOTIFY_URLS: address {number} is none that Apprise knows (it is not shown, as it is secret)"
            )
        found.append(Channel(hashlib.sha256(url.encode()).hexdigest(), _label(url), url))
    return list(dict.fromkeys(found))


WITH_HOST = ("mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms", "ntfy", "ntfys")
"""Schemes of which the host is that of a server."""


def _split(notify_urls: str) -> list[str]:
    """A comma separates only before a scheme: within an address it may list recipients."""
    return [part for part in re.split(r"\s*,\s*(?=[a-zA-Z0-9]+://)|\s+", notify_urls.strip(" ,\n\t")) if part]


def _label(url: str) -> str:
    """Scheme and host; where the scheme is a service's own, a token may stand there, and is left out."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname if parts.scheme in WITH_HOST else '…'}"


def _apprise(url: str) -> Any:
    import apprise

    # Its log shows addresses, and urllib3's the paths of webhooks: both are secrets.
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)  # for the witnesses, of which each thread may have one
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logging.getLogger("urllib3").setLevel(logging.INFO)
    # In this thread: of one that Apprise gives up waiting for, nobody knows whether it still sends.
    target = apprise.Apprise(asset=apprise.AppriseAsset(service_timeout=0))
    return target if target.add(url) else None


class _Witness(logging.Handler):
    """Sees the error that Apprise handles while it logs that, in this thread: its answer is a bare False."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.error: BaseException | None = None
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if threading.get_ident() == self._thread:
            self.error = sys.exc_info()[1] or self.error


def send(channel: Channel, title: str, body: str) -> Outcome:
    """Send to one channel, and say what is certain.

    An error by which the other side said no, or could not be reached at all, is `refused`. A time-out or a
    connection that broke is `unknown`: the message may have been taken.
    """
    target = _apprise(channel.url)
    witness, logger = _Witness(), logging.getLogger("apprise")
    logger.addHandler(witness)
    try:
        accepted = target is not None and target.notify(title=title, body=body, body_format="text")
    except Exception as error:
        return Outcome("unknown", type(error).__name__)
    finally:
        logger.removeHandler(witness)
    if accepted:
        return Outcome("sent", "")
    if witness.error is None:
        return Outcome("refused", "the service said no")
    name = type(witness.error).__name__
    return Outcome("refused" if _never_arrived(witness.error) else "unknown", name)


def _never_arrived(error: BaseException) -> bool:
    import requests
    import urllib3

    if isinstance(error, (*REFUSALS, requests.exceptions.ConnectTimeout)):
        return True
    if isinstance(error, requests.exceptions.ConnectionError) and error.args:
        reason = getattr(error.args[0], "reason", None)
        return isinstance(reason, urllib3.exceptions.NewConnectionError)
    return False


def message(record: Any) -> tuple[str, str]:
    """Title and body for a record: what, why, and how to answer. The article's own text is not in it."""
    values = {
        "id": record.id,
        "article_id": record.article_id,
        "reason": record.reason.replace("_", " "),
        "evidence": "\n".join(_lines(record.evidence)) or "- none was given",
    }
    title, body = (
        Template((TEMPLATES / name).read_text("utf-8")).substitute(values)
        for name in ("escalation_title.txt", "escalation_body.txt")
    )
    return title.strip(), body


def _lines(evidence: Mapping[str, Any]) -> list[str]:
    """Numbers and short strings only: longer ones could be the article."""
    return [
        f"- {_on_one_line(name)[:MAX_VALUE_CHARACTERS]}: {_on_one_line(value)}"
        for name, value in _values(evidence)
        if isinstance(value, bool | int | float) or len(value) <= MAX_VALUE_CHARACTERS
    ][:MAX_EVIDENCE_LINES]


def _values(evidence: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, bool | int | float | str]]:
    """Numbers and strings by their dotted names; lists are left out."""
    for name, value in evidence.items():
        if isinstance(value, dict):
            yield from _values(value, f"{above}{name}.")
        elif isinstance(value, bool | int | float | str):
            yield f"{above}{name}", value


def _on_one_line(value: object) -> str:
    return " ".join(str(value).split())
