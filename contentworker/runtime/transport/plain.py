"""kombu's Redis channels, made to survive broken messages and lost connections."""

import base64
import binascii
import json
import logging
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from queue import Empty
from typing import Any

from kombu.transport import redis
from redis import Redis

from contentworker.runtime.transport import UNREADABLE, replication
from contentworker.runtime.transport.holder import holder_of

__all__ = ["Channel", "SentinelTransport", "Transport"]

logger = logging.getLogger(__package__)

OPTIONS = ("hold_across_connections", "max_message_bytes", "max_deliveries", "wait_for_replicas")
"""Transport options that are attributes of a channel."""


class Channel(redis.Channel):
    """A channel that can deliver every message, and that can be closed while Redis is unreachable."""

    hold_across_connections = False
    """Keep this process's messages when the channel is closed; call `holder.stop_all` at the end. If False,
    they go back to their queues, as with kombu."""
    max_message_bytes: float = inf
    """A longer message is delivered undecoded, like one that cannot be read."""
    max_deliveries: float = inf
    """If this many workers died while they had a message, it is delivered undecoded, too: decoding it may be
    the cause. Only leases count deaths."""
    wait_for_replicas = 0
    """How many replicas must have a message before `basic_publish` returns."""
    from_transport_options = (*redis.Channel.from_transport_options, *OPTIONS)

    @property
    def supports_batch_publish(self) -> bool:
        """Whether messages may be sent after `basic_publish` has returned."""
        return not self.wait_for_replicas and bool(super().supports_batch_publish)

    def basic_publish(self, message: Any, exchange: str, routing_key: str, **options: Any) -> Any:
        """Send a message.

        Raises:
            replication.NotReplicatedError: it is sent, but a failover may lose it.
        """
        sent = super().basic_publish(message, exchange, routing_key, **options)
        if self.wait_for_replicas and not (exchange and self.typeof(exchange).type == "fanout"):
            with self.conn_or_acquire() as client:
                replication.confirm(Redis(connection_pool=client.connection_pool), self.wait_for_replicas)
        return sent

    def basic_consume(self, queue: str, no_ack: bool, *arguments: Any, **options: Any) -> Any:
        """Consume a queue. A worker also looks after messages that workers with leases left in Redis."""
        if self.hold_across_connections and not no_ack:
            holder_of(self, leased=False).lease.start()
        return super().basic_consume(queue, no_ack, *arguments, **options)

    def close(self) -> None:
        """Close at once, even if Redis is unreachable.

        kombu first reads the answer of a BRPOP that is under way. If that fails it leaves the channel open,
        and Celery closes it again after the transport has forgotten its address. With messages unacknowledged
        that ended the worker ("'NoneType' object has no attribute 'hostname'"); a similar case is
        https://github.com/celery/kombu/issues/582.
        """
        try:
            super().close()
        except self.connection_errors:
            if self.closed:
                raise
            super().close()  # now nothing is left to read

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._connparams(asynchronous=asynchronous)
        if asynchronous:
            parameters["connection_class"] = self._unwatched_first(parameters["connection_class"])
        return parameters

    def _unwatched_first(self, base: Any) -> type:
        """A connection that leaves the event loop before its socket is closed.

        A pool process that was started later has the socket open, too. So epoll would still report it under
        its old number. The next connection gets this number, and the event loop would wait in vain.
        """
        channel = self

        class Connection(base):
            def disconnect(self, *arguments: Any, **options: Any) -> None:
                transport = channel.connection
                if self._sock is not None and transport is not None and os.getpid() == self.pid:
                    with suppress(KeyError):  # of poll(2), where epoll says nothing
                        transport.cycle._unregister_from_poll(self._sock.fileno())  # noqa: SLF001 (kombu's own, as its channels do)
                super().disconnect(*arguments, **options)

        return Connection

    def _get_client(self) -> Callable[..., Any]:
        channel = self
        client: Any = super()._get_client()  # with a key prefix, a partial of it
        base, options = (client.func, client.keywords) if isinstance(client, partial) else (client, {})

        class Client(base):  # type: ignore[misc, valid-type]
            def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
                reply = super().parse_response(connection, command_name, **options)
                if command_name != "BRPOP" or not reply:
                    return reply
                key, raw = reply
                return key, raw if channel.can_deliver(raw) else channel.wrap(key, raw)

        return partial(Client, **options) if options else Client

    def _receive(self) -> Any:
        """Receive broadcasts, if there are any.

        kombu waits for one. After a broadcast that it cannot read, Celery reopens its mailbox. If the event
        then belonged to the old socket, the worker waited for ever, and ran nothing.
        """
        try:
            connection = self.subclient.connection
            if connection is None or not connection.can_read(timeout=0):
                return False
        except self.connection_errors:
            pass  # the call below gets the same error, and handles it
        return super()._receive()

    def _receive_one(self, connection: Any) -> Any:
        """Drop a broadcast that cannot be read or handled. It would end every worker that receives it."""
        try:
            return super()._receive_one(connection)
        except (Empty, *self.connection_errors):
            raise
        except Exception:
            logger.exception("A broadcast message cannot be read and is dropped")
            raise Empty from None

    def can_deliver(self, raw: bytes) -> bool:
        """Whether kombu can make a message from these bytes, and record it as unacknowledged."""
        if len(raw) > self.max_message_bytes:
            return False
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
        """Make a message with `raw` as its body, for bytes that kombu cannot read."""
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
    """The channel of `sentinel://`."""

    from_transport_options = (*redis.SentinelChannel.from_transport_options, *OPTIONS)


class Transport(redis.Transport):
    """The transport of `redis://` and `rediss://` after `register("plain")`."""

    Channel = Channel

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._leave_event_loop: Callable[[], None] = lambda: None

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Join an event loop until the connection is closed.

        kombu never leaves it: after a thousand lost connections each turn of the loop makes a thousand calls.
        """
        before = {*loop.on_tick}
        super().register_with_event_loop(connection, loop)
        self._leave_event_loop = partial(loop.on_tick.difference_update, loop.on_tick - before)

    def close_connection(self, connection: Any) -> None:
        """Close the connection's channels, and leave the event loop."""
        self._leave_event_loop()
        super().close_connection(connection)


class SentinelTransport(Transport, redis.SentinelTransport):
    """The transport of `sentinel://` after `register("plain")`."""

    Channel = SentinelChannel
