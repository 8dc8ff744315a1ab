"""`celery beat`'s scheduler: each time of a schedule is sent once, however many beats run.

A field in Redis (`HANDLED`) says up to when a schedule was sent. One script moves it forward and puts the
message into its queue, unless another beat did so since the field was read. So two beats send nothing twice.
If a beat is killed, at any point, it neither loses nor repeats a message, and another one takes over at once.
The clock is Redis's.

A second field (`SINCE`) says since when a beat has known the schedule with its current rhythm (its crontab or
interval). Earlier times are not sent: a schedule may be new, may have been off, or may have had another
rhythm. Beats with different settings each have their own field, so they do not disturb each other while they
run. But one that starts, or reads changed settings, removes the fields that it does not know. If another beat
has such a schedule, that one counts from then.
"""

import json
from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime
from typing import Any

from celery import beat
from celery.utils.log import get_logger
from kombu.exceptions import KombuError
from kombu.utils.json import dumps
from redis.exceptions import RedisError

from contentworker.runtime.records import schedules
from contentworker.runtime.records.schedules import HANDLED, PAUSED, SENT, SINCE, Schedules, since_field
from contentworker.runtime.transport.scripts import load
from contentworker.runtime.worker.reloading import take_changes

__all__ = ["Scheduler"]

logger = get_logger(__name__)

TRY_AGAIN_SECONDS = 1.0
"""Pause between two attempts while Redis is unreachable."""
AWAY = (RedisError, KombuError, OSError)
"""Errors that mean Redis is unreachable."""
AHEAD_SECONDS = 60.0
"""A time in Redis that is further ahead than this came from a wrong clock. If it is less far ahead, a replica
whose clock is a little behind may have taken over: beat waits, and so sends nothing twice."""

_SEND = load(__file__, "send")
_PUT_RIGHT = load(__file__, "put_right")


class Scheduler(beat.Scheduler):
    """Sends what is due. What was missed while no beat ran or Redis was away is sent once."""

    max_interval = 5
    """Longest sleep: how late beat may notice a changed worker.toml, a clock that was set, or lost data."""

    _now = 0.0
    _channel: Any = None
    _is_away = False
    _cannot_be_sent: frozenset[str] = frozenset()
    """Schedules whose task does not accept their arguments: logged once, and tried again."""
    _is_new = True
    """Whether Redis may still have fields of schedules that this beat does not have (any more)."""

    def setup_schedule(self) -> None:
        """Read the schedules from the application."""
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.schedule = copy(entry.schedule)  # another scheduler may use the application's own, too
            entry.schedule.nowfun = lambda: datetime.fromtimestamp(self._now, UTC)
            # A retry would connect again, and the new channel would send with kombu's `_put`, not with ours.
            # The worker that takes the message checks whether it is unique.
            entry.options.update(retry=False, ignore_result=True, unique=False)
        self._is_new = True
        self._cannot_be_sent = frozenset()

    def tick(self, *_: Any, **__: Any) -> float:
        """Send what is due; return the seconds to sleep. While Redis is away, try again each second."""
        self._take_changes()
        try:
            wait = min([self.max_interval, *self._send_due()])
        except (*AWAY, beat.SchedulingError) as error:
            if not self._is_away:
                logger.warning("Schedules wait for Redis: %s", error)
            self._is_away = True
            return TRY_AGAIN_SECONDS
        if self._is_away:
            logger.warning("Redis is back: schedules go on")
        self._is_away = False
        return wait

    def _take_changes(self) -> None:
        """Take over the schedules of worker.toml, if it was changed."""
        before, old = self.app.conf.beat_schedule, self.app.runtime_settings.schedules
        if not take_changes(self.app):
            return
        self.setup_schedule()
        ours, new = self.app.conf.beat_schedule, self.app.runtime_settings.schedules
        changes = {
            "new": [name for name in ours if name not in before],
            "changed": [name for name in ours if name in before and new.get(name) != old.get(name)],
            "removed": [name for name in before if name not in ours],
        }
        said = "; ".join(f"{what}: {', '.join(names)}" for what, names in changes.items() if names)
        logger.info("The settings were read again. Schedules: %s", said or "as before")

    def _send_due(self) -> Iterator[float]:
        """Send what is due; yield the seconds until each schedule's next time."""
        if self._channel is None:
            self._channel = self.connection.channel()
        with self._channel.conn_or_acquire() as client:
            known = self._read(client)
        for entry in self.schedule.values():
            if entry.name in known.paused:
                # After its pause it counts from then on, so be awake for its next time.
                _, wait = entry.schedule.is_due(datetime.fromtimestamp(self._now, UTC))
                yield wait
                continue
            handled = known.handled[entry.name]
            from_when = max(float(handled), float(known.since[since_field(entry.name, entry.schedule)]))
            entry.last_run_at = datetime.fromtimestamp(from_when, UTC)
            is_due, wait = entry.is_due()
            if is_due and self._is_sent(entry, handled):
                logger.info("Schedule %s: sent %s", entry.name, entry.task)
            yield wait

    def _is_sent(self, entry: Any, handled: str) -> bool:
        """Send a schedule's task. If it cannot be sent, log that once, and go on with the other schedules."""
        try:
            return self._send(entry, handled)
        except beat.SchedulingError as error:
            if isinstance(error.__context__, AWAY):
                raise
            if entry.name not in self._cannot_be_sent:
                self._cannot_be_sent |= {entry.name}
                text = "Schedule %s cannot be sent; it is tried again: %s"
                logger.error(text, entry.name, error.__context__)  # noqa: TRY400 (the message says all)
            return False

    def _read(self, client: Any) -> Schedules:
        """Read up to when each schedule was sent, by Redis's clock. A new schedule counts from now."""
        while True:
            known = schedules.read(client)
            self._now = known.now
            names = {since_field(entry.name, entry.schedule): entry.name for entry in self.schedule.values()}
            has_all = names.keys() <= known.since.keys() and {*names.values()} <= known.handled.keys()
            if self._is_new or not has_all:
                self._begin(client, known, names)
            elif not self._put_right(client, known, names):
                return known

    def _begin(self, client: Any, known: Schedules, names: dict[str, str]) -> None:
        """Note in Redis since when our schedules count; forget those that are off or have another rhythm."""
        have_a_rhythm = {_name(field) for field in known.since}
        with client.pipeline(transaction=True) as both:
            for field, name in names.items():
                # Versions before 0.2.0 did not note the rhythm. What they have not sent is still due.
                is_older = name in known.handled and name not in have_a_rhythm
                both.hsetnx(SINCE, field, known.handled[name] if is_older else known.now)
                both.hsetnx(HANDLED, name, known.now)
            if self._is_new:
                for field in known.since.keys() - names.keys():
                    both.hdel(SINCE, field)
                for name in known.handled.keys() - {*names.values()}:
                    both.hdel(HANDLED, name)
            both.execute()
        self._is_new = False

    def _put_right(self, client: Any, known: Schedules, names: dict[str, str]) -> bool:
        """Set times that lie in the future to now: a clock was ahead. Return whether there were any."""
        wrong = [
            (key, field, times[field], name)
            for each, name in names.items()
            for key, times, field in ((HANDLED, known.handled, name), (SINCE, known.since, each))
            if not _is_past(times[field], known.now)
        ]
        was_wrong = {
            name: value
            for key, field, value, name in wrong
            if client.eval(_PUT_RIGHT, 1, key, field, value, known.now)
        }
        for name, value in was_wrong.items():
            logger.warning(
                "Schedule %s counts from now: its last time in Redis is ahead of Redis's clock (%s). "
                "Was the clock corrected? What was sent too early is sent again.",
                *(name, schedules.as_time(value) or value[:50]),
            )
        return bool(wrong)

    def _send(self, entry: Any, handled: str) -> bool:
        """Send a schedule's task; return False if another beat has just sent it, or if it was paused."""
        channel = self._channel
        answers = []

        def put(queue: str, message: Any, **_: Any) -> None:
            key = channel._q_for_pri(queue, channel._get_message_priority(message, reverse=False))  # noqa: SLF001 (as kombu's own put does)
            arguments = (entry.name, handled, self._now, dumps(message))
            with channel.conn_or_acquire() as client:
                answers.append(client.eval(_SEND, 4, HANDLED, key, SENT, PAUSED, *arguments))

        # Celery and kombu build the message as for any other task; only the last step is replaced.
        channel._put = put  # noqa: SLF001 (kombu's last step)
        self.apply_async(entry, producer=self.Producer(channel, auto_declare=False), advance=False)
        return answers == [1]


def _name(field: str) -> str:
    try:
        return str(json.loads(field)[0])
    except (ValueError, TypeError, LookupError):
        return ""


def _is_past(value: str, now: float) -> bool:
    try:
        return 0 <= float(value) <= now + AHEAD_SECONDS
    except ValueError:
        return False
