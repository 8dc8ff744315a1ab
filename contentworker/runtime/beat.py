"""`celery beat`'s scheduler: each moment of a schedule is sent once, by however many beats.

When a schedule was last sent is a field in Redis, and not a file of one machine. One script changes it and
puts the message into its queue, if nobody did since it was read: so two beats send nothing twice, one that is
killed at any point neither loses nor repeats a moment, and any other goes on at once. All of it by Redis's
clock.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from celery import beat
from celery.utils.log import get_logger
from kombu.exceptions import KombuError
from kombu.utils.json import dumps
from redis.exceptions import RedisError

__all__ = ["LAST_SENT", "Scheduler"]

logger = get_logger(__name__)

LAST_SENT = "contentworker:schedules"
"""A hash: name of a schedule → when it was last sent, in seconds since 1970."""

TRY_AGAIN_SECONDS = 1.0

# KEYS: hash, list. ARGV: name, when it was last sent as far as is known, now, message. The push comes first:
# it is what a full server refuses.
_SEND = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[4])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class Scheduler(beat.Scheduler):
    """Sends what is due. What was missed, while no beat ran or Redis was away, is sent once."""

    max_interval = 60
    """Longest sleep: so late at most it sees that a clock was set, or that Redis has forgotten."""

    _now = 0.0
    _channel: Any = None
    _is_away = False

    def setup_schedule(self) -> None:
        """Read the schedules from the application."""
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.schedule.nowfun = lambda: datetime.fromtimestamp(self._now, UTC)
            # On a new connection, as of a retry, the last step of sending would be kombu's own.
            entry.options.update(retry=False, ignore_result=True)

    def tick(self, *_: Any, **__: Any) -> float:
        """Send what is due; return how many seconds to sleep. A Redis that is away is waited for."""
        try:
            wait = min([self.max_interval, *self._send_due()])
        except (RedisError, KombuError, OSError, beat.SchedulingError) as error:
            if not self._is_away:
                logger.warning("Schedules wait for Redis: %s", error)
            self._is_away = True
            return TRY_AGAIN_SECONDS
        if self._is_away:
            logger.warning("Redis is back: schedules go on")
        self._is_away = False
        return wait

    def _send_due(self) -> Iterator[float]:
        """Yield the seconds until each schedule's next moment."""
        if self._channel is None:
            self._channel = self.connection.channel()
        with self._channel.conn_or_acquire() as client:
            last_sent = self._read(client)
        for entry in self.schedule.values():
            known = last_sent[entry.name]
            entry.last_run_at = datetime.fromtimestamp(float(known), UTC)
            is_due, wait = entry.is_due()
            if is_due and self._send(entry, known):
                logger.info("Schedule %s: sent %s", entry.name, entry.task)
            yield wait

    def _read(self, client: Any) -> dict[str, str]:
        """When each was last sent, by Redis's clock; one that is new counts from now."""
        with client.pipeline(transaction=False) as both:
            (seconds, microseconds), raw = both.time().hgetall(LAST_SENT).execute()
        self._now = seconds + microseconds / 1_000_000
        found = {_text(name): _text(value) for name, value in raw.items()}
        if new := [name for name in self.schedule if name not in found]:
            for name in new:
                client.hsetnx(LAST_SENT, name, self._now)
            return self._read(client)
        return found

    def _send(self, entry: Any, known: str) -> bool:
        """Send one; False if another beat has sent it since `known`."""
        channel = self._channel
        answers = []

        def put(queue: str, message: Any, **_: Any) -> None:
            key = channel._q_for_pri(queue, channel._get_message_priority(message, reverse=False))
            arguments = (entry.name, known, self._now, dumps(message))
            with channel.conn_or_acquire() as client:
                answers.append(client.eval(_SEND, 2, LAST_SENT, key, *arguments))

        # kombu makes the message, as of any other task; only the last step is ours.
        channel._put = put
        self.apply_async(entry, producer=self.Producer(channel, auto_declare=False), advance=False)
        return answers == [1]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
