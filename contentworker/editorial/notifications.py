"""Notifications: one channel at a time, and what is certain about each afterwards."""

import hashlib
import logging
import re
import smtplib
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from string import Template
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from contentworker.errors import ConfigError

__all__ = ["Channel", "Outcome", "channels", "message", "send"]

TEMPLATES = Path(__file__).parent / "templates"
MAX_EVIDENCE_LINES = 12
MAX_VALUE_CHARACTERS = 120
MAX_NAME_CHARACTERS = 1_000
"""Length kept of the names above a value, to bound the work; `MAX_VALUE_CHARACTERS` of it are shown."""

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
"""Errors after which the other side has certainly accepted nothing."""


class Channel(NamedTuple):
    """One address of NOTIFY_URLS. Only `label` may be shown."""

    key: str
    label: str
    url: str

    def __repr__(self) -> str:
        return f"Channel({self.label})"


class Outcome(NamedTuple):
    """`sent`; `refused`, which may be sent again; or `unknown`, which must not."""

    state: str
    detail: str


def channels(notify_urls: str) -> list[Channel]:
    """The channels of NOTIFY_URLS: Apprise addresses, separated by blanks or commas.

    Raises:
        ConfigError: Apprise does not know an address. The message gives its number: the address is a secret.
    """
    urls = _split(notify_urls)
    for number, url in enumerate(urls, 1):
        if _apprise(url) is None:
            raise ConfigError(
                f"NOTIFY_URLS: address {number} is unknown to Apprise (not shown here, because it is secret)"
            )
    return [
        Channel(hashlib.sha256(url.encode()).hexdigest(), _label(url), url) for url in dict.fromkeys(urls)
    ]


WITH_HOST = ("mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms", "ntfy", "ntfys")
"""Schemes whose host is the name of a server."""


def _split(notify_urls: str) -> list[str]:
    """A comma separates addresses only before a scheme: within an address it may list recipients."""
    return [part for part in re.split(r"\s*,\s*(?=[a-zA-Z0-9]+://)|\s+", notify_urls.strip(" ,\n\t")) if part]


def _label(url: str) -> str:
    """Scheme and host. If the scheme is a service's own, a token may stand in the host's place: not shown."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname if parts.scheme in WITH_HOST else '…'}"


def _apprise(url: str) -> Any:
    import apprise

    # Its log shows addresses, and urllib3's the paths of webhooks: both are secrets.
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)  # for the witnesses: each thread may have one
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logging.getLogger("urllib3").setLevel(logging.INFO)
    # No timeout by Apprise, which sends in a thread of its own then, and that thread may still send later.
    target = apprise.Apprise(asset=apprise.AppriseAsset(service_timeout=0))
    return target if target.add(url) else None


class _Witness(logging.Handler):
    """Catches the error that Apprise only logs, in this thread, before it returns a bare False."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.error: BaseException | None = None
        self._thread = threading.get_ident()

    def emit(self, _record: logging.LogRecord) -> None:
        if threading.get_ident() == self._thread:
            self.error = sys.exc_info()[1] or self.error


def send(channel: Channel, title: str, body: str) -> Outcome:
    """Send to one channel, and say what is certain.

    `refused`: the other side said no, or could not be reached at all. `unknown`: a timeout, or a broken
    connection, after which the message may have arrived.
    """
    target = _apprise(channel.url)
    witness, logger = _Witness(), logging.getLogger("apprise")
    logger.addHandler(witness)
    try:
        accepted = target is not None and target.notify(title=title, body=body, body_format="text")
    except Exception as error:  # noqa: BLE001 (a service's plugin may raise anything, after sending too)
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


def message(record: Any, desk_page: str = "") -> tuple[str, str]:
    """Title and body for a record: what, why, and how to answer. They never hold the article's text.

    `desk_page` is the address of the article at the desk, if people can reach that.
    """
    values = {
        "id": record.id,
        "article_id": record.article_id,
        "reason": record.reason.replace("_", " "),
        "desk": f"To decide in the browser:\n  {desk_page}\n" if desk_page else "",
        "evidence": "\n".join(_lines(record.evidence)) or "- none was given",
    }
    title, body = (
        Template((TEMPLATES / name).read_text("utf-8")).substitute(values)
        for name in ("escalation_title.txt", "escalation_body.txt")
    )
    return title.strip(), body


def _lines(evidence: Mapping[str, Any]) -> list[str]:
    """Numbers and short strings only: longer ones could be the article."""
    lines = (
        f"- {_on_one_line(name)[:MAX_VALUE_CHARACTERS]}: {_on_one_line(value)}"
        for name, value in _values(evidence)
        if isinstance(value, bool | int | float) or len(value) <= MAX_VALUE_CHARACTERS
    )
    return [*islice(lines, MAX_EVIDENCE_LINES)]


def _values(evidence: Mapping[str, Any]) -> Iterator[tuple[str, bool | int | float | str]]:
    """Numbers and strings at any depth by their dotted names, without lists."""
    waiting: list[tuple[str, Any]] = [*evidence.items()][::-1]
    while waiting:
        above, value = waiting.pop()
        if isinstance(value, dict):
            # Cut here: each name below repeats the names above it.
            above = above[:MAX_NAME_CHARACTERS]
            waiting += ((f"{above}.{name}", below) for name, below in [*value.items()][::-1])
        elif isinstance(value, bool | int | float | str):
            yield above, value


def _on_one_line(value: object) -> str:
    return " ".join(str(value).split())
