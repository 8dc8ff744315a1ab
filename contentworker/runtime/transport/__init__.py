"""kombu's Redis transport, with messages that no consumer could read made readable.

kombu decodes what it pops from Redis inside its event loop: one broken message stops the worker, and is gone.
Here such a message reaches the consumer like any other, with its bytes untouched and the content type
`UNREADABLE`, so that the consumer can keep it and go on.
"""

import base64
import binascii
import json
import uuid
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis

__all__ = ["UNREADABLE", "Channel", "Transport", "register"]

UNREADABLE = "application/x-unreadable"


class Channel(redis.Channel):
    """A channel on which every message can be delivered."""

    def _get_client(self) -> type:
        channel = self
        base: Any = super()._get_client()

        class Client(base):
            def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
                reply = super().parse_response(connection, command_name, **options)
                if command_name != "BRPOP" or not reply:
                    return reply
                key, raw = reply
                return key, raw if channel.can_deliver(raw) else channel.wrap(key, raw)

        return Client

    def can_deliver(self, raw: bytes) -> bool:
        """Whether kombu can make a message of these bytes, and record it as unacknowledged."""
        try:
            payload = json.loads(raw)
            delivery_info = self.Message(payload, channel=self).delivery_info
            (
                delivery_info["exchange"],
                delivery_info["routing_key"],
                hash(payload["properties"]["delivery_tag"]),
            )
        except (ValueError, LookupError, TypeError, AttributeError, binascii.Error, RecursionError):
            return False
        return True

    def wrap(self, key: bytes, raw: bytes) -> bytes:
        """Make a message whose body is `raw`, whole."""
        queue = key.decode(errors="replace").rsplit(self.sep, 1)[0]
        properties = {
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
        }
        return json.dumps(
            {
                "body": base64.b64encode(raw).decode(),
                "content-type": UNREADABLE,
                "content-encoding": "binary",
                "headers": {},
                "properties": properties,
            }
        ).encode()


class Transport(redis.Transport):
    """The transport of `redis://` and `rediss://` once it is registered."""

    Channel = Channel


def register() -> None:
    """Make this the transport of `redis://` and `rediss://` in this process.

    Under their own names, rather than as Celery's `broker_transport`, so that Flower and others that look at
    a broker's URL see what they know.
    """
    name = f"{__name__}:{Transport.__name__}"
    TRANSPORT_ALIASES.update({"redis": name, "rediss": name})
