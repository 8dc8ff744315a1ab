"""Asks the workers to tell the platform of decisions: what a command and the desk do after settling."""

from typing import Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

__all__ = ["ask_to_announce"]

ANNOUNCE = "tasks.escalation.announce"
CLOCK_MARGIN_SECONDS = 1.0
"""Later than the end of a hold, because a worker's clock may be another one."""


def ask_to_announce(app: Any, after_seconds: float = 0) -> bool:
    """Send the task that delivers decisions, once they can be withdrawn no more.

    Returns False if Redis cannot be reached: the next escalation has the platform told.
    """
    countdown = after_seconds + CLOCK_MARGIN_SECONDS if after_seconds else None
    try:
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1)
        app.send_task(ANNOUNCE, retry=False, ignore_result=True, countdown=countdown)
    except (OperationalError, RedisError):
        return False
    return True
