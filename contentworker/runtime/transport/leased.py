"""kombu channels that take messages by lease.

kombu's event loop sends a blocking BRPOP, polls the socket, and reads the answer. Here a script moves
messages into the worker's hash instead. If there are none, the channel waits (`waiting.py`).
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty
from typing import Any

from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError

from contentworker.runtime.transport import limits, plain, sending
from contentworker.runtime.transport.holder import Fetch, Holder, holder_of
from contentworker.runtime.transport.keys import IDLE
from contentworker.runtime.transport.messages import Delivery, DueHeaders, LeasedMessage, due_milliseconds
from contentworker.runtime.transport.qos import QoS
from contentworker.runtime.transport.stored import line
from contentworker.runtime.transport.waiting import PAUSE_SECONDS, TOLD, Waiting

__all__ = ["Channel", "SentinelTransport", "Transport"]

logger = logging.getLogger(__package__)


@dataclass
class Taken:
    """A message that a fetch took, and that has not been delivered yet."""

    delivery: Delivery
    raw: bytes
    message: LeasedMessage | None = None
    """The decoded message, if its limit was looked up."""
    is_settled: bool = False
    """Whether there is nothing to deliver: the message waits for its ETA, or for its limit."""


class Channel(sending.Channel):
    """A channel whose consumers hold messages by lease until they acknowledge them."""

    QoS = QoS
    Message = LeasedMessage
    _holder: Holder | None = None
    _fetch: Fetch | None = None
    _room = 0
    """How many messages of the current fetch may be delivered, at most."""
    _ahead = 0
    """How many more it takes, to find some that may start."""
    _must_poll = False
    newest_revocation = 0.0
    """The highest score in `REVOKED` at the time of the last fetch."""
    _has_looked_again = False
    _sent_plainly = True
    """Whether the last command was kombu's own, because no queue needs acknowledgements."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._leased_queues: set[str] = set()
        self._waiting = Waiting()
        super().__init__(*arguments, **options)

    @property
    def holder(self) -> Holder:
        """The holder of this channel's deliveries."""
        if self._holder is None:
            self._holder = holder_of(self)
        return self._holder

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Callable[[Any], Any], consumer_tag: str, **options: Any
    ) -> Any:
        """Consume a queue; its messages come with a lease."""
        line(queue)
        # Skip the method of `plain`, which only looks after messages of dead workers.
        result = super(plain.Channel, self).basic_consume(queue, no_ack, callback, consumer_tag, **options)
        if not no_ack and queue not in self.active_fanout_queues:
            self._leased_queues.add(queue)
            self._waiting.end_soon()

        def on_message(raw: Any) -> Any:
            message = raw if isinstance(raw, LeasedMessage) else self._unheld_message(queue, raw)
            if not no_ack:
                self.qos.append(message, message.delivery_tag)
            elif message.delivery is not None:  # fetched with those of other queues of this channel
                self.holder.acknowledge(message.delivery)
            return callback(message)

        self.connection._callbacks[queue] = on_message  # noqa: SLF001 (kombu's own, as its channels do)
        return result

    def basic_get(self, queue: str, no_ack: bool = False, **options: Any) -> Any:
        """Fetch one message, with a lease."""
        line(queue)
        self.holder.lease.start()
        fetch = self.holder.next_fetch()
        try:
            answer = self.holder.protocol.fetch(
                fetch.holder, fetch.number, 1, self._lists([queue]), fetch.acknowledged
            )
        except BaseException:  # Ctrl-C or a task's time limit, too: the answer is lost
            self.holder.cancel_fetch(fetch)
            raise
        for delivery, raw in self.holder.take(fetch, answer):
            message = self._message(delivery, raw)
            if no_ack:  # by lease too, so that a repeated delivery is marked
                self.holder.acknowledge(delivery)
                self.holder.flush()
            elif message is not None:
                self.qos.append(message, message.delivery_tag)
            return message
        return None

    def _lists(self, queues: Sequence[str]) -> list[str]:
        """The Redis keys of these queues' lists."""
        return [
            self.global_keyprefix + self._q_for_pri(queue, priority)
            for priority in self.priority_steps
            for queue in queues
        ]

    def _queue(self, list_key: str) -> str:
        return list_key.removeprefix(self.global_keyprefix).rsplit(self.sep, 1)[0]

    def _brpop_start(self, timeout: float | None = None) -> None:
        self._sent_plainly = not self._leased_queues
        if self._sent_plainly:
            super()._brpop_start(timeout)
            return
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        self._cancel_lost_fetch()
        try:
            self.holder.lease.start()
            if not self._has_looked_again:
                self._has_looked_again = True
                with suppress(OutOfMemoryError):  # then some minutes later
                    self.holder.protocol.look_again(self._lists(queues))
        except self.ResponseError as error:
            raise RedisConnectionError(str(error)) from error
        self._in_poll = connection = self.client.connection
        self._brpop_sent_at = time.monotonic()
        if self._waiting.step == "fetch":
            connection.send_command(*self._fetch_command(queues))
        elif self._waiting.step == "pause":
            connection.send_command("BRPOP", self.global_keyprefix + IDLE, PAUSE_SECONDS)
        else:  # after a wait, too
            keys = self.holder.protocol.waiting_keys(self._lists(queues))
            self._waiting.send_look(
                connection,
                keys,
                in_loop=self.connection.cycle.is_in_loop,
                health_check_interval=self.health_check_interval,
            )

    def _fetch_command(self, queues: Sequence[str]) -> list[Any]:
        self._fetch = fetch = self.holder.next_fetch()
        # Without an event loop, the program may take a while until it asks for the next message.
        in_loop = self.connection.cycle.is_in_loop
        self._room = self.qos.can_consume_max_estimate() if in_loop else 1
        lists, in_json, of_queues, self._ahead = self._lists(queues), "", "", 0
        limiter, all_limits = limits.in_use()
        if limiter and in_loop and any(queue in limiter.queues for queue in queues):
            in_json, of_queues = all_limits, limits.of_queues(limiter, self.global_keyprefix)
            # Only if some messages wait: others behind them in the list may start.
            if self._must_poll and all(limiter.queues.get(queue, False) for queue in queues):
                self._ahead = limits.SORTED_AT_A_TIME
        elif not self.holder.lease.parked.isdisjoint(lists):  # parked for a limit that has been removed
            in_json = all_limits
        return self.holder.protocol.fetch_command(
            *(fetch.holder, fetch.number, self._room, lists, fetch.acknowledged),
            limits=in_json,
            ahead=self._ahead,
            of_queues=of_queues,
        )

    def end_wait(self) -> None:
        """End a wait that has lasted long enough: a look comes next."""
        if self._in_poll and self._waiting.is_over:
            self._in_poll = None
            self._flush_brpop_reauth()

    def hear(self) -> bool:
        """Read a notice of Redis, that a list has changed. Return False while an answer is expected."""
        if self._in_poll or not self._leased_queues:
            return False
        connection = self.client.connection
        try:
            self._waiting.hear(connection)
        except (*self.connection_errors, self.ResponseError):
            connection.disconnect()  # it was idle, so nothing is lost; the next fetch reconnects
        return True

    def flush(self) -> None:
        """Send acknowledgements. If a fetch is under way, the next one sends them."""
        if self._holder is not None and self._fetch is None:
            self._holder.flush()

    def _cancel_lost_fetch(self) -> None:
        fetch, self._fetch = self._fetch, None
        if fetch is not None:
            self.holder.cancel_fetch(fetch)

    def _brpop_read(self, **options: Any) -> bool:
        if self._sent_plainly:
            return bool(super()._brpop_read(**options))
        under_way, self._in_poll = self._in_poll, None
        answer, waiting = self._read_answer(), self._waiting
        if waiting.step == "look" and answer is not TOLD:
            if waiting.waits_after_look(bool(answer)):
                self._in_poll = under_way
            raise Empty
        if answer is TOLD and waiting.step in ("fetch", "pause"):
            self._in_poll = under_way  # what was asked for is not answered yet
            raise Empty
        self._flush_brpop_reauth()
        if self._fetch is None:
            waiting.after_wait(answer is TOLD)
            raise Empty
        fetch, self._fetch = self._fetch, None
        deliveries = self.holder.take(fetch, answer)
        self._must_poll = self.holder.protocol.must_poll(answer)
        self.newest_revocation = self.holder.protocol.newest_revocation(answer)
        waiting.after_fetch(bool(deliveries))
        if not deliveries:
            raise Empty
        self._deliver_all(deliveries)
        return True

    def _read_answer(self) -> Any:
        connection = self.client.connection
        try:
            return self._waiting.read(connection)
        except NoScriptError:
            self.holder.protocol.load_fetch()
            self._cancel_lost_fetch()
            raise Empty from None
        except self.connection_errors:
            connection.disconnect()
            self._cancel_lost_fetch()
            raise
        except self.ResponseError as error:
            # A replica during a failover, or a server whose disk is full: wait as in an outage.
            self._cancel_lost_fetch()
            raise RedisConnectionError(str(error)) from error

    def _deliver_all(self, deliveries: Sequence[tuple[Delivery, bytes]]) -> None:
        left = [Taken(*each) for each in reversed(deliveries)]
        try:
            self._admit(left[::-1])
            while left:
                taken = left[-1]
                queue = self._queue(taken.delivery.list_key)
                self._queue_cycle.rotate(queue)
                if queue not in self.connection._callbacks:  # noqa: SLF001 (the consumer was cancelled meanwhile)
                    break
                left.pop()
                if not taken.is_settled:
                    self._deliver_one(queue, taken)
        finally:
            for taken in left:
                self.holder.give_back(taken.delivery, front=True, delivered=False)

    def _admit(self, fetched: Sequence[Taken]) -> None:
        """Get places for messages with limits, as many as there is room for; settle those that must wait."""
        limiter, in_json = limits.in_use()
        if limiter is None or not self.connection.cycle.is_in_loop:
            return
        asked = [
            (taken, partition, limiter.limits[name].on_conflict if name else "wait")
            for taken in fetched
            if (partition := self._partition_of(taken, limiter)) and partition != taken.delivery.partition
            for name in [limits.name_of(partition)]
        ]
        if not asked:
            return
        room = self._room - sum(bool(taken.delivery.partition) for taken in fetched)
        places = [(taken.delivery, partition, conflict == "wait") for taken, partition, conflict in asked]
        try:
            verdicts = self.holder.admit(places, room, in_json, self._execute)
        except self.ResponseError as error:  # as in `_read_answer`
            raise RedisConnectionError(str(error)) from error
        for (taken, partition, conflict), wait in zip(asked, verdicts, strict=True):
            taken.is_settled = wait is None
            if wait and taken.message is not None:
                taken.message.refusal = limits.refusal(partition, conflict)

    def _execute(self, command: list[Any]) -> Any:
        """Send a command on the channel's own idle connection; return its answer."""
        connection = self.client.connection
        try:
            connection.send_command(*command)
            return self.client.parse_response(connection, "")
        except self.connection_errors:
            connection.disconnect()
            raise

    def _partition_of(self, taken: Taken, limiter: limits.Limiter) -> str | None:
        """Make the message; return what its limit counts it with, or None if it needs no place."""
        queue = self._queue(taken.delivery.list_key)
        with self._handling(queue, taken):
            taken.message = self._message(taken.delivery, taken.raw)
        if taken.message is None:
            taken.is_settled = True
            return None
        partition = limiter.partition_of(taken.message, queue)
        if isinstance(partition, limits.Refusal):
            taken.message.refusal = partition
            return None
        if partition is None and self._ahead:
            return limits.UNLIMITED  # it takes turns with messages that have a limit
        return partition

    def _deliver_one(self, queue: str, taken: Taken) -> None:
        with self._handling(queue, taken):
            message = taken.message or self._message(taken.delivery, taken.raw)
            if message is not None:
                self.connection._deliver(message, queue)  # noqa: SLF001 (likewise)

    @contextmanager
    def _handling(self, queue: str, taken: Taken) -> Iterator[None]:
        """Decode or deliver a message in this block. If that fails, or ends the process, count a death."""
        with self.holder.receiving(taken.delivery):
            try:
                yield
            except self.connection_errors:
                self.holder.give_back(taken.delivery, front=True)
                raise
            except Exception:
                logger.exception("A message of queue %s cannot be received and goes back to the queue", queue)
                self.holder.give_back(taken.delivery, front=False, counted=True)

    def _message(self, delivery: Delivery, raw: bytes) -> LeasedMessage | None:
        """Make a message; None if it is not due yet, and was moved to the delayed messages."""
        is_decodable = len(raw) <= self.max_message_bytes and delivery.deliveries < self.max_deliveries
        try:
            message = self.Message(loads(bytes_to_str(raw)) if is_decodable else None, channel=self)
            if not isinstance(message.delivery_info, dict):
                raise TypeError("delivery_info is no object")  # noqa: TRY301 (what kombu does not check is handled as what it does)
        except Exception:  # noqa: BLE001 (foreign bytes can make kombu raise anything)
            key = self._queue(delivery.list_key).encode()
            message = self.Message(loads(self.wrap(key, b"")), channel=self)
            message.body = raw
        due = due_milliseconds(message.headers)
        if due is not None:
            if due > time.time() * 1000 and self.holder.delay(delivery, due):
                return None
            message.headers = DueHeaders(message.headers)
        message.deliver_as(delivery, self.holder.lease.validity.uid, raw)
        return message

    def _unheld_message(self, queue: str, payload: Any) -> LeasedMessage:
        """Make a message that came without a lease: a broadcast, or one that needs no acknowledgement."""
        try:
            return self.Message(payload, channel=self)
        except Exception:  # noqa: BLE001 (a foreign broadcast can make kombu raise anything)
            return self.Message(loads(self.wrap(queue.encode(), dumps(payload).encode())), channel=self)

    def _purge(self, queue: str) -> int:
        waiting: int = super()._purge(queue)
        delayed = self.holder.protocol.purge(self._lists([queue]))
        if delayed:
            logger.warning("Purged queue %s with its delayed messages: %d", queue, delayed)
        return waiting + delayed

    def close(self) -> None:
        """Close without reading an answer that may come: a fetch is cancelled, a wait takes no message."""
        if not self._sent_plainly:
            self._in_poll = None
        closed = self.closed
        super().close()
        if closed or self._holder is None:
            return
        self._cancel_lost_fetch()
        if not self.hold_across_connections:
            self._holder.stop()


class Poller(kombu_redis.MultiChannelPoller):
    """kombu's poller, which also sends acknowledgements, once in each turn of the event loop."""

    is_in_loop = False

    def on_poll_init(self, poller: Any) -> Any:
        self.is_in_loop = True
        return super().on_poll_init(poller)

    def on_readable(self, fileno: int) -> None:
        """Read from a connection. kombu would close one that has data although it asked for nothing."""
        channel, kind = self._fd_to_chan.get(fileno, (None, ""))
        if kind != "BRPOP" or not channel.hear():
            super().on_readable(fileno)

    def on_poll_start(self) -> None:
        for channel in self._channels:
            channel.end_wait()
        super().on_poll_start()
        for channel in self._channels:
            channel.flush()


class SentinelChannel(Channel, plain.SentinelChannel):
    """The channel of `sentinel://`."""


class Transport(plain.Transport):
    """The transport of `redis://` and `rediss://` after `register("leased")`."""

    Channel = Channel

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cycle = Poller()


class SentinelTransport(Transport, kombu_redis.SentinelTransport):
    """The transport of `sentinel://` after `register("leased")`."""

    Channel = SentinelChannel
