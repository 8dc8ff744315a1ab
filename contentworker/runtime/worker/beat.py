"""`celery beat`'s scheduler: each moment of a schedule is sent once, however many beats run.

A field in Redis says when a schedule was last sent. One script changes it and puts the message into its
queue, unless another beat did so since the field was read. So two beats send nothing twice, a beat that is
killed at any point neither loses nor repeats a moment, and another one takes over at once. The clock is
Redis's.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from celery import beat
from celery.utils.log import get_logger
from kombu.exceptions import KombuError
from kombu.utils.json import dumps
from redis.exceptions import RedisError

from contentworker.printable import decoded
from contentworker.runtime.records.schedules import LAST_SENT
from contentworker.runtime.transport.scripts import load

__all__ = ["LAST_SENT", "Scheduler"]

logger = get_logger(__name__)

TRY_AGAIN_SECONDS = 1.0
"""Pause between two attempts while Redis is away."""

_SEND = load(__file__, "send")


class Scheduler(beat.Scheduler):
    """Sends what is due. Moments missed while no beat ran or Redis was away are sent once, together."""

    max_interval = 60
    """Longest sleep: how late a beat may see that a clock was set or Redis lost its data."""

    _now = 0.0
    _channel: Any = None
    _is_away = False

    def setup_schedule(self) -> None:
        """Read the schedules from the application."""
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.schedule.nowfun = lambda: datetime.fromtimestamp(self._now, UTC)
            # A retry would connect again, and that channel would send by kombu's `_put`, not by ours.
            entry.options.update(retry=False, ignore_result=True)

    def tick(self, *_: Any, **__: Any) -> float:
        """Send what is due; return the seconds to sleep. While Redis is away, try again each second."""
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
        """When each schedule was last sent, by Redis's clock; a new one counts from now."""
        with client.pipeline(transaction=False) as both:
            (seconds, microseconds), raw = both.time().hgetall(LAST_SENT).execute()
        self._now = seconds + microseconds / 1_000_000
        last_sent = {decoded(name): decoded(value) for name, value in raw.items()}
        if new := [name for name in self.schedule if name not in last_sent]:
            for name in new:
                client.hsetnx(LAST_SENT, name, self._now)
            return self._read(client)
        return last_sent

    def _send(self, entry: Any, known: str) -> bool:
        """Send a schedule's task; False if another beat has sent it since `known`."""
        channel = self._channel
        answers = []

        def put(queue: str, message: Any, **_: Any) -> None:
            key = channel._q_for_pri(queue, channel._get_message_priority(message, reverse=False))  # noqa: SLF001 (as kombu's own put does)
            arguments = (entry.name, known, self._now, dumps(message))
            with channel.conn_or_acquire() as client:
                answers.append(client.eval(_SEND, 2, LAST_SENT, key, *arguments))

        # Celery and kombu make the message as for any other task; only the last step is replaced.
        channel._put = put  # noqa: SLF001 (kombu's last step)
        self.apply_async(entry, producer=self.Producer(channel, auto_declare=False), advance=False)
        return answers == [1]
