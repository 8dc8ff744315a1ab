"""Prefetch and acknowledgement by lease."""

from typing import Any

from kombu.transport import redis as kombu_redis
from kombu.transport import virtual

from contentworker.runtime.transport.messages import LeasedMessage

__all__ = ["QoS"]

FETCHED_AT_A_TIME = 100
"""How many messages one fetch takes, at most: its script must not keep other clients of Redis waiting."""


class QoS(virtual.QoS):
    """Tells the holder, which outlives the channel, what happens to each delivery."""

    _plain: kombu_redis.QoS | None = None

    def can_consume(self) -> bool:
        """Whether the prefetch count allows one more message."""
        return not self.prefetch_count or self.channel.holder.held < self.prefetch_count

    def can_consume_max_estimate(self) -> int:
        """How many messages the next fetch may take."""
        if "can_consume" in vars(self):  # Celery's, for `--disable-prefetch`: it counts received messages
            return 1
        if not self.prefetch_count:
            return FETCHED_AT_A_TIME
        free: int = self.prefetch_count - self.channel.holder.held
        return max(0, min(FETCHED_AT_A_TIME, free))

    def append(self, message: LeasedMessage, delivery_tag: str) -> None:
        """Remember a message that was delivered."""
        self._delivered[delivery_tag] = message

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message; its lease ends."""
        message = self._delivered.pop(delivery_tag, None)
        if message is not None and message.delivery is not None:
            self.channel.holder.acknowledge(message.delivery)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give a message back to its queue, or drop it."""
        if not requeue:
            self.ack(delivery_tag)
        elif (message := self._delivered.pop(delivery_tag, None)) is not None:
            # To the back, as kombu does: otherwise a task that always rejects would block the queue.
            self._give_back(message, front=False)

    def restore_unacked(self) -> list[Any]:
        """Give back all messages that are not acknowledged."""
        while self._delivered:
            _, message = self._delivered.popitem()
            self._give_back(message, front=True)
        return []

    def _give_back(self, message: LeasedMessage, *, front: bool) -> None:
        if message.delivery is not None:
            self.channel.holder.give_back(message.delivery, front=front)
        else:
            self.channel.restore_unheld(message, front=front)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Give all messages back when the channel closes, unless they stay held for the next connection."""
        self._on_collect.cancel()
        if not self.channel.hold_across_connections:
            self.restore_unacked()

    def restore_visible(self, start: int = 0, num: int = 10, interval: int = 10) -> None:
        """Put back messages that plain workers left, as they would do: after the visibility timeout."""
        if self._plain is None:
            self._plain = kombu_redis.QoS(self.channel)
            self._plain._on_collect.cancel()  # noqa: SLF001 (kombu's, which only the owner of a QoS would call)
        self._plain.restore_visible(start, num, interval)
