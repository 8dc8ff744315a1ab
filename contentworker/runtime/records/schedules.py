"""When each schedule was last sent, as `celery beat` notes it."""

from contextlib import suppress
from typing import Any

from contentworker.printable import decoded

__all__ = ["LAST_SENT", "last_sent"]

LAST_SENT = "contentworker:schedules"
"""A hash: name of a schedule → when it was last sent, in seconds since 1970."""


def last_sent(client: Any) -> dict[str, float]:
    """When each schedule that a beat knows was last sent; one that cannot be read is left out."""
    sent = {}
    for name, value in client.hgetall(LAST_SENT).items():
        with suppress(ValueError):
            sent[decoded(name)] = float(value)
    return sent
