"""Ask the workers to tell the platform of a decision, as commands and the desk do after settling."""

from typing import Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

__all__ = ["ask_to_announce"]

ANNOUNCE = "tasks.escalation.announce"
CLOCK_MARGIN_SECONDS = 1.0
"""Margin after the end of an event's delay, because a worker's clock may differ."""


def ask_to_announce(app: Any, after_seconds: float = 0) -> bool:
    """Send the task that delivers decisions, once they can no longer be withdrawn.

    Returns False if Redis cannot be reached: the platform is then told with the next escalation.
    """
    countdown = after_seconds + CLOCK_MARGIN_SECONDS if after_seconds else None
    try:
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1)
        app.send_task(ANNOUNCE, retry=False, ignore_result=True, countdown=countdown)
    except (OperationalError, RedisError):
        return False
    return True
