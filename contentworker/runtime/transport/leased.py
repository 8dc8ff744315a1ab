"""kombu channels that take messages by lease.

kombu's event loop sends one blocking command, polls the socket, and reads the answer. That is kept; the
command is another: a script that moves messages into this worker's record, and, where there was none, a
wait that takes nothing.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from queue import Empty
from typing import Any

from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from redis.exceptions import ConnectionError, NoScriptError, OutOfMemoryError

from contentworker.runtime.transport import plain
from contentworker.runtime.transport.holder import Delivery, Fetch, Holder, holder_of
from contentworker.runtime.transport.protocol import DELAYED, IDLE, REPLACES, Protocol, record

__all__ = ["Channel", "SentinelTransport", "Transport"]

logger = logging.getLogger(__name__)

FETCHED_AT_A_TIME = 100
WAIT_SECONDS = 1.0
"""Longest wait for a queue's list; a message in one of its priority lists is seen after it."""
SHARED_WAIT_SECONDS = 0.1
"""The same for a worker of several queues, since Redis can wait for one list without taking from it."""


class LeasedMessage(virtual.Message):
    """A message that knows under which delivery it is held."""

    properties: dict[str, Any]
    delivery_info: dict[str, Any] | None

    def __init__(self, payload: Any, channel: Any = None, **options: Any) -> None:
        super().__init__(payload, channel=channel, **options)
        self.delivery: Delivery | None = None
        count = payload.get("deliveries")
        self.deliveries: int = count if isinstance(count, int) else 0
        """Deliveries that ended in the death of a worker."""
        self.eta: str | None = None
        """When it was due, where it was sent for later."""

    def held_as(self, delivery: Delivery, holder: Holder) -> None:
        """Be delivered as this; `_raw` stays as it lay in Redis."""
        self.delivery = delivery
        self.delivery_tag = delivery.tag
        self.properties = {
            **self.properties,
            "held": [holder.uid, delivery.epoch, delivery.holder, delivery.tag],
        }
        self.delivery_info = {**(self.delivery_info or {})}
        if self.deliveries:
            self.delivery_info["redelivered"] = True


class QoS(virtual.QoS):
    """Passes on what becomes of a delivery to the holder, which outlives the channel."""

    def can_consume(self) -> bool:
        return not self.prefetch_count or self.channel.holder.held < self.prefetch_count

    def can_consume_max_estimate(self) -> int:
        if not self.prefetch_count:
            return FETCHED_AT_A_TIME
        free: int = self.prefetch_count - self.channel.holder.held
        return max(0, min(FETCHED_AT_A_TIME, free))

    def append(self, message: LeasedMessage, delivery_tag: str) -> None:
        self._delivered[delivery_tag] = message

    def ack(self, delivery_tag: str) -> None:
        message = self._delivered.pop(delivery_tag, None)
        if message is not None:
            self.channel.holder.acknowledge(message.delivery)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if not requeue:
            self.ack(delivery_tag)
            return
        message = self._delivered.pop(delivery_tag, None)
        if message is not None:
            # To the back, as kombu does: else one task that is always rejected would stop the queue.
            self.channel.holder.give_back(message.delivery, front=False)

    def restore_unacked(self) -> list[Any]:
        while self._delivered:
            _, message = self._delivered.popitem()
            self.channel.holder.give_back(message.delivery, front=True)
        return []

    def restore_unacked_once(self, stderr: Any = None) -> None:
        self._on_collect.cancel()
        if not self.channel.hold_across_connections:
            self.restore_unacked()

    def restore_visible(self, start: int = 0, num: int = 10, interval: int = 10) -> None:
        """Put back what plain workers left unacknowledged, as they would: after the visibility timeout."""
        if self._plain is None:
            self._plain = kombu_redis.QoS(self.channel)
            self._plain._on_collect.cancel()
        self._plain.restore_visible(start, num, interval)

    _plain: kombu_redis.QoS | None = None


class Channel(plain.Channel):
    """A channel whose acknowledged consumers take messages by lease."""

    QoS = QoS
    Message = LeasedMessage
    _holder: Holder | None = None
    _fetch: Fetch | None = None
    _may_have_more = True
    _met_a_pause = False
    _is_reconciled = False
    _memory_is_full = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._leased_queues: set[str] = set()
        super().__init__(*arguments, **options)
        if self.global_keyprefix:
            raise ValueError("global_keyprefix is not supported; give this application a database of its own")

    @property
    def holder(self) -> Holder:
        """Whatever holds this channel's deliveries."""
        if self._holder is None:
            self._holder = holder_of(self)
        return self._holder

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Callable[[Any], Any], consumer_tag: str, **options: Any
    ) -> Any:
        # Not by `plain`, which would only look after what others left.
        result = super(plain.Channel, self).basic_consume(queue, no_ack, callback, consumer_tag, **options)
        if not no_ack and queue not in self.active_fanout_queues:
            self._leased_queues.add(queue)

            def on_message(message: LeasedMessage) -> Any:
                self.qos.append(message, message.delivery_tag)
                return callback(message)

            self.connection._callbacks[queue] = on_message
        return result

    def basic_get(self, queue: str, no_ack: bool = False, **options: Any) -> Any:
        if no_ack:
            return super().basic_get(queue, no_ack, **options)
        self.holder.start()
        fetch = self.holder.next_fetch()
        try:
            answer = self.holder.protocol.fetch(
                fetch.holder, fetch.number, 1, self._lists([queue]), fetch.acknowledged
            )
        except (*self.connection_errors, self.ResponseError):
            self.holder.cancel_fetch(fetch)
            raise
        for delivery, raw in self.holder.take(fetch, answer):
            message = self._message(delivery, raw)
            if message is not None:
                self.qos.append(message, message.delivery_tag)
            return message
        return None

    def _lists(self, queues: Sequence[str]) -> list[str]:
        return [self._q_for_pri(queue, priority) for priority in self.priority_steps for queue in queues]

    def _brpop_start(self, timeout: float | None = None) -> None:
        if not self._leased_queues:
            super()._brpop_start(timeout)
            return
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        self._cancel_lost_fetch()
        try:
            self.holder.start()
            self._is_reconciled = self._is_reconciled or self.holder.reconcile()
        except self.ResponseError as error:
            raise ConnectionError(str(error)) from error
        if self._may_have_more:
            self._fetch = fetch = self.holder.next_fetch()
            limit = self.qos.can_consume_max_estimate()
            command = self.holder.protocol.fetch_command(
                fetch.holder, fetch.number, limit, self._lists(queues), fetch.acknowledged
            )
        elif len(queues) == 1 and not (self._memory_is_full or self._met_a_pause):
            # Moves the last message onto itself: returns once there is one, and takes nothing.
            command = ["BLMOVE", queues[0], queues[0], "RIGHT", "RIGHT", WAIT_SECONDS]
        else:
            command = ["BRPOP", IDLE, SHARED_WAIT_SECONDS]
        self._in_poll = self.client.connection
        self._brpop_sent_at = time.monotonic()
        self.client.connection.send_command(*command)

    def flush(self) -> None:
        """Acknowledge, unless a fetch is under way: the next one will take it along."""
        if self._holder is not None and self._fetch is None:
            self._holder.flush()

    def _cancel_lost_fetch(self) -> None:
        fetch, self._fetch = self._fetch, None
        if fetch is not None:
            self.holder.cancel_fetch(fetch)

    def _brpop_read(self, **options: Any) -> bool:
        if not self._leased_queues:
            return bool(super()._brpop_read(**options))
        try:
            answer = self._read_answer()
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        if self._fetch is None:  # a wait is over
            self._may_have_more = True
            raise Empty
        fetch, self._fetch = self._fetch, None
        deliveries = self.holder.take(fetch, answer)
        self._may_have_more = bool(deliveries)
        # A wait for a list that has messages would be over at once.
        self._met_a_pause = self.holder.protocol.met_a_pause(answer)
        if not deliveries:
            raise Empty
        self._deliver_all(deliveries)
        return True

    def _read_answer(self) -> Any:
        try:
            # Not by the command's own name, which has redis-py and `plain` look into the answer.
            return self.client.parse_response(self.client.connection, "")
        except NoScriptError:
            self.holder.protocol.load_fetch()
            self._cancel_lost_fetch()
            raise Empty from None
        except OutOfMemoryError:
            # A wait by BLMOVE is refused on a full server, though messages can still be taken.
            self._memory_is_full = True
            raise Empty from None
        except self.connection_errors:
            self.client.connection.disconnect()
            self._cancel_lost_fetch()
            raise
        except self.ResponseError as error:
            # A replica during a failover, or a server whose disk is full: to be waited for, as an outage is.
            self._cancel_lost_fetch()
            raise ConnectionError(str(error)) from error

    def _deliver_all(self, deliveries: Sequence[tuple[Delivery, bytes]]) -> None:
        left = list(reversed(deliveries))
        try:
            while left:
                delivery, raw = left[-1]
                queue = delivery.list_key.rsplit(self.sep, 1)[0]
                self._queue_cycle.rotate(queue)
                message = self._message(delivery, raw)
                if message is not None and queue in self.connection._callbacks:
                    left.pop()
                    self.connection._deliver(message, queue)
                elif message is not None:  # the consumer was cancelled meanwhile
                    break
                else:
                    left.pop()
        finally:
            for delivery, _ in left:
                self.holder.give_back(delivery, front=True)

    def _message(self, delivery: Delivery, raw: bytes) -> LeasedMessage | None:
        """Make a message; None where it is not due yet, and so went to the delayed ones."""
        try:
            message = self.Message(loads(bytes_to_str(raw)), channel=self)
            if not isinstance(message.delivery_info, dict):
                raise TypeError("delivery_info is no object")
        except Exception:  # whatever foreign bytes make kombu raise
            message = self.Message(loads(self.wrap(delivery.list_key.encode(), raw)), channel=self)
        due = due_milliseconds(message.headers)
        if due is not None:
            if due > time.time() * 1000 and self.holder.delay(delivery, due):
                return None
            message.eta = message.headers["eta"]
            message.headers = {**message.headers, "eta": None}  # else Celery would wait for it again
        message.held_as(delivery, self.holder)
        return message

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        replaces = message["properties"].pop(REPLACES, None)
        due = due_milliseconds(message.get("headers"))
        if due is not None and due <= time.time() * 1000:
            due = None
        if due is None and not replaces:
            super()._put(queue, message, **options)
            return
        key = self._q_for_pri(queue, self._get_message_priority(message, reverse=False))
        text = dumps(message)
        member = text if due is None else record(key, message["properties"]["delivery_tag"], text)
        if replaces:
            holder, tag = replaces
            with self.conn_or_acquire() as client:
                if not Protocol(client).replace(holder, tag, key, member, due):
                    logger.warning("A retry is not sent: another worker has the message that it replaces")
            return
        batch = options.get("_publish_batch")
        if batch is not None:
            batch.add("zadd", DELAYED, {member: due})
            return
        with self.conn_or_acquire() as client:
            client.zadd(DELAYED, {member: due})

    def _purge(self, queue: str) -> int:
        waiting: int = super()._purge(queue)
        delayed = self.holder.protocol.purge_delayed(self._lists([queue]))
        if delayed:
            logger.warning("Purged %d delayed messages of queue %s with the others", delayed, queue)
        return waiting + delayed

    def close(self) -> None:
        """Close without reading what is under way: a fetch is cancelled in Redis, a wait takes nothing."""
        if self._leased_queues:
            self._in_poll = None
        closed = self.closed
        super().close()
        if closed or self._holder is None:
            return
        self._cancel_lost_fetch()
        if not self.hold_across_connections:
            self._holder.stop()


class Poller(kombu_redis.MultiChannelPoller):
    """Also acknowledges, once in each turn of the event loop."""

    def on_poll_start(self) -> None:
        super().on_poll_start()
        for channel in self._channels:
            channel.flush()


class SentinelChannel(Channel, plain.SentinelChannel):
    """The same by way of Redis Sentinel."""


class Transport(kombu_redis.Transport):
    """The transport of `redis://` and `rediss://` where leases are registered."""

    Channel = Channel

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cycle = Poller()


class SentinelTransport(kombu_redis.SentinelTransport):
    """That of `sentinel://`."""

    Channel = SentinelChannel

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cycle = Poller()


def due_milliseconds(headers: Any) -> int | None:
    """When a task message is to run, in milliseconds since 1970; None where it says nothing readable."""
    if not isinstance(headers, dict) or not isinstance(eta := headers.get("eta"), str):
        return None
    try:
        moment = datetime.fromisoformat(eta)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
