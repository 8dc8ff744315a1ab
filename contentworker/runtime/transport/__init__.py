"""A Redis transport for kombu that loses no message: leases, delays kept in Redis, no window.

`README.md` beside this file says what it promises and how. It imports nothing else of the project.
"""

from typing import Literal

from kombu.transport import TRANSPORT_ALIASES

__all__ = ["UNREADABLE", "TransportName", "register"]

UNREADABLE = "application/x-unreadable"
"""Content type of a message that is none: its bytes, untouched, reach the consumer, which can keep them."""

TransportName = Literal["leased", "plain"]


def register(name: TransportName) -> None:
    """Make this the transport of `redis://`, `rediss://` and `sentinel://` in this process.

    Under their own names, rather than as Celery's `broker_transport`, so that Flower and others that look at
    a broker's URL see what they know. Loading it is left to whoever connects.

    `plain` is kombu's own, which a broken message does not stop.
    """
    module = f"{__name__}.{name}"
    TRANSPORT_ALIASES.update(
        {
            "redis": f"{module}:Transport",
            "rediss": f"{module}:Transport",
            "sentinel": f"{module}:SentinelTransport",
        }
    )
