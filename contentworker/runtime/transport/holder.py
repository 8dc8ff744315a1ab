"""The messages that a process holds, from their fetch until they are acknowledged or given back."""

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from contentworker.runtime.transport.keys import is_place, place_field, started_field
from contentworker.runtime.transport.lease import STOP_SECONDS, Lease, when_moved, when_redis_answers
from contentworker.runtime.transport.messages import Delivery, delivery_of
from contentworker.runtime.transport.outbox import CONNECTION_ERRORS
from contentworker.runtime.transport.protocol import HolderGoneError, Protocol
from contentworker.runtime.transport.validity import now

__all__ = [
    "Fetch",
    "Holder",
    "holder_of",
    "stop_all",
    "when_fenced",
    "when_moved",
    "when_redis_answers",
]

logger = logging.getLogger(__package__)

TIMEOUT_SECONDS = 2.0
"""Longest wait for an answer from Redis. A later answer would not renew a lease in time."""


class Fetch(NamedTuple):
    """A fetch whose answer has not come yet, and the messages that it acknowledges."""

    holder: str
    epoch: int
    number: int
    acknowledged: tuple[str, ...]


class Holder:
    """All messages that one process holds from one Redis: fetched, and not acknowledged yet.

    `client` is a redis-py client for this holder alone, with short time-outs. Without `leased` it fetches
    nothing, but still moves due messages into their queues, and puts back those of dead workers.
    """

    def __init__(self, client: Any, *, leased: bool = True, prefix: str = "") -> None:
        self.protocol = Protocol(client, prefix)
        self.client = client
        self.lease = Lease(
            self.protocol, self.flush, self.fence, self.reconcile, self._has_work, is_wanted=leased
        )
        self._outbox = self.lease.outbox
        self.do = self._outbox.do
        """Run a step that may be repeated. If Redis is unreachable, run it later, and return None."""
        self._lock = self.lease.lock
        self._flushing = threading.RLock()  # one of Celery's signal handlers may interrupt a flush, and flush
        self._held: dict[str, Delivery] = {}
        self._acknowledged: list[str] = []
        self._noted: set[str] = set()
        self._placed: set[str] = set()
        self._unknown: set[tuple[str, str]] = set()
        """Messages that `reconcile` did not know at its last call: the holder's name, and the tag."""
        self._has_taken = False
        self._fetches = itertools.count(1)
        self._under_way: set[Fetch] = set()
        _holders[self.lease.validity.uid] = self

    @property
    def held(self) -> int:
        """Number of messages that this process holds."""
        return len(self._held)

    def next_fetch(self) -> Fetch:
        """A new fetch, which also sends the acknowledgements that are waiting."""
        with self._lock:
            acknowledged, self._acknowledged = tuple(self._acknowledged), []
            fetch = Fetch(self.lease.name, self.lease.validity.epoch, next(self._fetches), acknowledged)
            self._under_way.add(fetch)
            return fetch

    def take(self, fetch: Fetch, answer: Any) -> list[tuple[Delivery, bytes]]:
        """Make deliveries from a fetch's answer; return each with its message."""
        name, epoch, _, acknowledged = fetch
        try:
            count, messages = self.protocol.fetched(answer)
        except HolderGoneError:
            if epoch == self.lease.validity.epoch:
                self.fence("it was gone: another worker took this one for dead", overlaps=True)
            count, messages = 0, []
        if count < _counted(acknowledged):
            self._report_overlap(name, acknowledged)
        with self._lock:
            self._under_way.discard(fetch)
            if epoch != self.lease.validity.epoch:
                return []  # the lease was lost meanwhile: they go back with the rest of the old name
            deliveries = [(delivery_of(each, name, epoch), each.raw) for each in messages]
            self._held.update((each.tag, each) for each, _ in deliveries)
            self._placed.update(each.tag for each, _ in deliveries if each.partition)
        if deliveries:
            self._has_taken = True
            self.lease.hurry()
        return deliveries

    def admit(
        self,
        asked: Sequence[tuple[Delivery, str, bool]],
        room: int,
        limits: str,
        execute: Callable[[list[Any]], Any],
    ) -> list[float | None]:
        """Ask for places: at most `room` of the deliveries `asked` may start.

        Each is given with its partition (what its limit counts together), and whether it waits if it may not
        start. `execute` sends a command; on an open connection that takes half of the CPU.

        Returns, for each: 0 if it has a place; None if it is parked or gone, and so no longer held here;
        otherwise in how many seconds it may start.
        """
        name = asked[0][0].holder
        messages = [(each.tag, partition, waits) for each, partition, waits in asked]
        try:
            answer = execute(self.protocol.admit_command(name, room, limits, messages))
            verdicts = self.protocol.admitted(answer)
        except redis.exceptions.NoScriptError:
            verdicts = self.protocol.admit(name, room, limits, messages)
        for (delivery, *_), verdict in zip(asked, verdicts, strict=True):
            if verdict is None:
                self._drop(delivery)
            elif not verdict:
                self._placed.add(delivery.tag)
        return verdicts

    def cancel_fetch(self, fetch: Fetch) -> None:
        """Give back what a fetch took, because its answer never came."""
        if fetch.acknowledged:
            self.do(self.protocol.acknowledge, fetch.holder, *fetch.acknowledged)
        self.do(self.protocol.cancel_fetch, fetch.holder, fetch.number)
        with self._lock:  # `reconcile` reads them, in another thread
            self._under_way.discard(fetch)

    def acknowledge(self, delivery: Delivery) -> None:
        """Acknowledge a delivery whose work is done: with the next fetch, `flush` or beat.

        If Redis is unreachable, this happens when Redis is back.
        """
        with self._lock:  # a fence in between would give back a message that is done
            has_place, is_noted = delivery.tag in self._placed, delivery.tag in self._noted
            if self._drop(delivery):
                self._acknowledged.append(delivery.tag)
                if has_place:
                    self._acknowledged.append(place_field(delivery.tag))
                if is_noted:
                    self._acknowledged.append(started_field(delivery.tag))

    def acknowledge_in_order(self, delivery: Delivery) -> None:
        """Acknowledge a delivery after what was written through this holder, over the same connection.

        The next fetch, which has a connection of its own, could be sent first. In a failover, it could even
        reach another server: then the message would be gone, and what was written for it, too.
        """
        beside = [started_field(delivery.tag)]
        if delivery.tag in self._placed:
            beside.append(place_field(delivery.tag))
        if self._drop(delivery):
            step = self.protocol.acknowledge
            if self.do(step, delivery.holder, delivery.tag, *beside) == 0:
                self._report_overlap(delivery.holder, [delivery.tag])

    def forget(self, delivery: Delivery) -> None:
        """Stop holding a delivery that its retry has replaced in Redis.

        If Redis still has it, `reconcile` puts it back: the retry has reached only the old master, or nothing
        was replaced. An acknowledgement could lose both.
        """
        self._drop(delivery)

    def flush(self) -> None:
        """Send the acknowledgements that are waiting."""
        with self._flushing:
            with self._lock:
                name, tags, self._acknowledged = self.lease.name, tuple(self._acknowledged), []
            if tags:
                count = self.do(self.protocol.acknowledge, name, *tags)
                if count is not None and count < _counted(tags):
                    self._report_overlap(name, tags)

    def reconcile(self) -> None:
        """Put back messages that Redis has under this holder's name, but this process does not know.

        After a failover, its acknowledgement or return may have reached only the old master. A message that
        is just on its way here is unknown, too. So one goes back only if the last call did not know it, too.
        """
        with self._flushing:
            if self._outbox:
                return
            name = self.lease.name
            found = self.protocol.held(name)
            with self._lock:
                known = {*self._held, *self._acknowledged}
                known.update(*(fetch.acknowledged for fetch in self._under_way))
                coming = {str(fetch.number) for fetch in self._under_way}
            unknown = {
                (name, tag) for tag in found if tag not in known and tag.partition("-")[0] not in coming
            }
            stays, self._unknown = self._unknown & unknown, unknown
            for _, tag in sorted(stays):
                logger.warning(
                    "Message %s/%s goes back to its queue: its acknowledgement, or its retry, was lost",
                    name,
                    tag,
                )
                self.do(self.protocol.give_back, name, tag, front=True)

    def give_back(
        self, delivery: Delivery, *, front: bool, counted: bool = False, delivered: bool = True
    ) -> None:
        """Put a delivery back into its list, and mark it as delivered before.

        `counted`: count one more death, because the message ends this worker. Without `delivered`, no
        consumer has seen it, so it is not marked.
        """
        if self._drop(delivery):
            deaths = int(counted) if delivered else None
            self.do(self.protocol.give_back, delivery.holder, delivery.tag, front=front, deaths=deaths)

    def note_start(self, delivery: Delivery) -> None:
        """Note in Redis that work begins, if the message has ended a worker before; others skip the cost."""
        if self._note(self.protocol.start, delivery, delivery.tag):
            self._noted.add(delivery.tag)

    @contextmanager
    def receiving(self, delivery: Delivery) -> Iterator[None]:
        """Decode and receive a message in this block.

        If the message has ended a worker before, decoding it may be the cause. So a death within the block
        counts against it. After the block it only waits, and a death does not count until its work begins.
        """
        if delivery.deliveries:
            self._note(self.protocol.start, delivery, delivery.tag)
        yield
        if delivery.deliveries and delivery.tag in self._held and delivery.tag not in self._noted:
            self._note(self.protocol.acknowledge, delivery, started_field(delivery.tag))

    @staticmethod
    def _note(step: Callable[[str, str], object], delivery: Delivery, field: str) -> bool:
        try:
            step(delivery.holder, field)
        except redis.exceptions.RedisError as error:
            logger.warning("The start of message %s could not be noted: %s", delivery.tag, error)
            return False
        return True

    def delay(self, delivery: Delivery, due_milliseconds: int) -> bool:
        """Move a delivery to the delayed messages; return False if it is due already."""
        delayed = self.protocol.delay(delivery.holder, delivery.tag, due_milliseconds)
        if delayed:
            self._drop(delivery)
        return delayed

    def fence(self, reason: str, *, overlaps: bool) -> None:
        """Stop all work of this process, because other workers may take over its messages.

        `overlaps`: another worker may be working on them already.
        """
        with self._lock:
            lost = len(self._held)
            acknowledged, self._acknowledged = self._acknowledged, []
            worked_on = [*self._held, *acknowledged]
            self._held.clear()
            self._placed.clear()
            self._noted.clear()
            name = self.lease.end()
        if not name:
            return
        if lost:
            logger.critical(
                "Lease lost (%s): the work on %d message%s is stopped; another worker does it again",
                *(reason, lost, "" if lost == 1 else "s"),
            )
            for callback in _when_fenced:
                callback()
        if overlaps:
            self._report_overlap(name, worked_on)
        if acknowledged:
            self._outbox.add(self.protocol.acknowledge, name, *acknowledged)
        # Only now that nothing runs. It moves messages that other workers have not put back already.
        self._outbox.add(self.protocol.release, name)

    def stop(self) -> None:
        """Put back the messages that are still held, and end the lease. Call it when none of them runs."""
        self.lease.stop_threads()
        self.flush()
        with self._lock:
            self._held.clear()
            name = self.lease.end()
        deadline = now() + STOP_SECONDS
        if name:
            self._outbox.add(self.protocol.release, name)
        while self._outbox and now() < deadline:
            try:
                self._outbox.send()
            except (*CONNECTION_ERRORS, redis.exceptions.RedisError):
                time.sleep(0.1)
        if self._outbox:
            logger.warning("Redis is unreachable: unacknowledged messages will be delivered again")
        _holders.pop(self.lease.validity.uid, None)
        self.client.close()
        self.client.connection_pool.disconnect()

    def _has_work(self) -> bool:
        """Whether this process holds a message, or has taken one since the last call."""
        has_taken, self._has_taken = self._has_taken, False
        return has_taken or bool(self._held)

    def _drop(self, delivery: Delivery) -> bool:
        """Stop holding a delivery; return whether it was held."""
        with self._lock:
            self._placed.discard(delivery.tag)
            self._noted.discard(delivery.tag)
            return self._held.pop(delivery.tag, None) is not None

    @staticmethod
    def _report_overlap(name: str, tags: Sequence[str]) -> None:
        for tag in tags:
            if is_place(tag) or tag.startswith(started_field("")):
                continue
            logger.error(
                "Overlap: message %s of %s was worked on after its lease was lost; it is not acknowledged "
                "here, and another worker runs it again",
                tag,
                name,
            )


def _counted(fields: Sequence[str]) -> int:
    """How many of these fields Redis counts when they are acknowledged."""
    return sum(not is_place(field) for field in fields)


def when_fenced(callback: Callable[[], None]) -> None:
    """Have `callback` end all work of this process, from another thread, when its lease is lost."""
    _when_fenced.append(callback)


def holder_of(channel: Any, *, leased: bool = True) -> Holder:
    """The process's holder for the channel's Redis, or a new one for this channel alone."""
    prefix = channel.global_keyprefix
    key = channel.connection.client.as_uri(include_password=True), prefix
    if channel.hold_across_connections and key in _shared:
        return _shared[key]
    pool = channel._get_pool()  # noqa: SLF001 (a pool of its own, which kombu makes in no public way)
    pool.connection_kwargs.update(
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        # The holder itself repeats a step whose answer was lost: it knows that this is a repetition.
        retry=Retry(NoBackoff(), 0),
    )
    # Not the channel's own kind of client, which would add the prefix to some of the keys a second time.
    holder = Holder(redis.Redis(connection_pool=pool), leased=leased, prefix=prefix)
    if channel.hold_across_connections:
        _shared[key] = holder
    return holder


def stop_all() -> None:
    """End every lease of this process, and put back the messages that it still holds."""
    for holder in list(_holders.values()):
        holder.stop()
    _shared.clear()


_shared: dict[tuple[str, str], Holder] = {}
_holders: dict[str, Holder] = {}
_when_fenced: list[Callable[[], None]] = []
os.register_at_fork(after_in_child=_shared.clear)
