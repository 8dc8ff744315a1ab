"""A Redis transport for kombu that loses no message. It imports nothing else of this project.

`README.md` beside this file shows how to use it; docs/transport.md says what it promises and why that holds.
"""

from typing import Literal

from kombu.transport import TRANSPORT_ALIASES

__all__ = ["UNREADABLE", "TransportName", "register"]

UNREADABLE = "application/x-unreadable"
"""Content type of bytes that are not a message: the consumer gets them as they are, and can keep them."""

TransportName = Literal["leased", "plain"]


def register(name: TransportName) -> None:
    """Make this the transport of `redis://`, `rediss://` and `sentinel://` in this process.

    Call it before the first connection, which loads the transport. It replaces entries of kombu's table
    instead of setting Celery's `broker_transport`, so that Flower and other tools see an address they know.

    `plain` is kombu's own transport, made to survive broken messages.
    """
    module = f"{__name__}.{name}"
    TRANSPORT_ALIASES.update(
        {
            "redis": f"{module}:Transport",
            "rediss": f"{module}:Transport",
            "sentinel": f"{module}:SentinelTransport",
        }
    )
