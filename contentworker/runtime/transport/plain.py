"""kombu's Redis channels, made to survive broken messages and lost connections."""

import base64
import binascii
import json
import uuid
from typing import Any

from kombu.transport import redis

from contentworker.runtime.transport import UNREADABLE
from contentworker.runtime.transport.holder import holder_of

__all__ = ["Channel", "SentinelTransport", "Transport"]


class Channel(redis.Channel):
    """A channel on which every message can be delivered, and which can be closed without Redis."""

    hold_across_connections = False
    """Whether this process goes on with its deliveries when the channel is closed; who says so calls
    `holder.stop_all` in the end. Else they go back to their queues, as with kombu."""
    from_transport_options = (*redis.Channel.from_transport_options, "hold_across_connections")

    def basic_consume(self, queue: str, no_ack: bool, *arguments: Any, **options: Any) -> Any:
        """Consume; a worker also looks after what workers with leases have left behind in Redis."""
        if self.hold_across_connections and not no_ack:
            holder_of(self, leased=False).start()
        return super().basic_consume(queue, no_ack, *arguments, **options)

    def close(self) -> None:
        """Close in one go, also where Redis is away.

        kombu first reads the answer of a BRPOP that is under way. If that fails it leaves the channel open,
        and Celery closes it again, after the transport has forgotten its address: where messages are still
        unacknowledged that ended the worker ("'NoneType' object has no attribute 'hostname'").
        """
        try:
            super().close()
        except self.connection_errors:
            if self.closed:
                raise
            super().close()  # nothing is left to be read

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


class SentinelChannel(Channel, redis.SentinelChannel):
    """The same by way of Redis Sentinel."""

    from_transport_options = (*redis.SentinelChannel.from_transport_options, "hold_across_connections")


class Transport(redis.Transport):
    """The transport of `redis://` and `rediss://` where the plain one is registered."""

    Channel = Channel


class SentinelTransport(redis.SentinelTransport):
    """That of `sentinel://`."""

    Channel = SentinelChannel
