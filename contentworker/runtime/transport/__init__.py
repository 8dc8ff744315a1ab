"""A Redis transport for kombu on which no message stops a worker.

kombu decodes what it pops from Redis inside its event loop: one broken message ends the worker, and is gone.
Here such a message reaches the consumer like any other, with its bytes untouched and the content type
`UNREADABLE`, so that the consumer can keep it and go on.
"""

from kombu.transport import TRANSPORT_ALIASES

__all__ = ["UNREADABLE", "register"]

UNREADABLE = "application/x-unreadable"


def register() -> None:
    """Make this the transport of `redis://` and `rediss://` in this process.

    Under their own names, rather than as Celery's `broker_transport`, so that Flower and others that look at
    a broker's URL see what they know. Loading it is left to whoever connects.
    """
    transport = f"{__name__}.channel:Transport"
    TRANSPORT_ALIASES.update({"redis": transport, "rediss": transport})
