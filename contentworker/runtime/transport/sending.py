"""Sending: delayed messages wait in Redis, and a retry replaces the message that failed."""

import logging
import time
from typing import Any

from kombu.utils.json import dumps
from redis import Redis

from contentworker.runtime.transport import plain, replication, uniqueness
from contentworker.runtime.transport.keys import DELAYED
from contentworker.runtime.transport.messages import due_milliseconds
from contentworker.runtime.transport.protocol import REPLACES, Protocol, Replaced
from contentworker.runtime.transport.stored import record

__all__ = ["Channel"]

logger = logging.getLogger(__package__)


class Channel(plain.Channel):
    """A channel that puts messages with an ETA into a sorted set, where they wait until they are due."""

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        # A copy, because kombu sends the same properties again if the connection is cut.
        properties = dict(message["properties"])
        replaces = properties.pop(REPLACES, None)
        message = {**message, "properties": properties}
        if not isinstance(replaces, Replaced):  # from another client, which may write any property
            replaces = None
        unique = properties.pop(uniqueness.UNIQUE, None)
        if not isinstance(unique, uniqueness.Claim):  # likewise
            unique = None
        due = due_milliseconds(message.get("headers"))
        if due is not None and due <= time.time() * 1000:
            due = None
        if due is None and not replaces and not unique:
            super()._put(queue, message, **options)
            return
        priority = self._get_message_priority(message, reverse=False)
        list_key = self.global_keyprefix + self._q_for_pri(queue, priority)
        text = dumps(message)
        member = text if due is None else record(list_key, message["properties"]["delivery_tag"], text)
        batch = options.get("_publish_batch")
        if batch is not None and not replaces and not unique:
            batch.add("zadd", DELAYED, {member: due})
            return
        with self.conn_or_acquire() as client:
            if not replaces and not unique:
                client.zadd(DELAYED, {member: due})
                return
            plain_client = Redis(connection_pool=client.connection_pool)  # adds no prefix of its own
            if unique:
                place = list_key if due is None else self.global_keyprefix + DELAYED
                self._send_unique(plain_client, unique, place, member, due)
                return
            protocol = Protocol(plain_client, self.global_keyprefix)
            if not protocol.replace(replaces.holder, replaces.tag, list_key, member, due):
                logger.warning(
                    "A retry is not sent: it was sent already, or another worker has the failed message now"
                )
            replaces.is_sent = True

    def _send_unique(self, client: Any, unique: uniqueness.Claim, place: str, member: Any, due: Any) -> None:
        try:
            uniqueness.send(client, unique, place, member, due, prefix=self.global_keyprefix)
        except uniqueness.DuplicateError:
            if self.wait_for_replicas:  # an old master may not know that the other task has ended
                replication.confirm(client, self.wait_for_replicas)
            raise

    def restore_unheld(self, message: Any, *, front: bool) -> None:
        """Send a message back that came without a lease. A broadcast is not repeated."""
        info = message.delivery_info or {}
        exchange, routing_key = info.get("exchange"), info.get("routing_key")
        if exchange and self.typeof(exchange).type == "fanout":
            logger.warning("A broadcast message (%s) is not delivered again", exchange)
            return
        with self.conn_or_acquire() as client:
            self._do_restore_message(message._raw, exchange, routing_key, client, leftmost=not front)  # noqa: SLF001 (as kombu's own channel does)
