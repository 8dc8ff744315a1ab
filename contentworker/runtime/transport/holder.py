"""What a process holds of Redis's messages, and the lease under which it holds them.

Two threads serve a holder. The keeper speaks to Redis: it renews the lease, brings delayed messages forward,
takes back what dead holders held, and repeats acknowledgements that an outage swallowed. The watchdog speaks
to nobody, so that nothing can hold it up: when the lease has not been renewed in time it fences the process.
No clock of the day is asked: a lease is a counter, and whoever sees it stand still for `LEASE_SECONDS` of an
own monotonic clock knows its holder to be gone. On the holder's own machine its process is looked for as
well, so that a death there is noticed in a second.
"""

import itertools
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from contentworker.runtime.transport import processes
from contentworker.runtime.transport.protocol import (
    PROMOTED_AT_A_TIME,
    HolderGoneError,
    Protocol,
    started_field,
)
from contentworker.runtime.transport.validity import Validity, now

__all__ = [
    "FENCE_SECONDS",
    "LEASE_SECONDS",
    "Delivery",
    "Fetch",
    "Holder",
    "holder_of",
    "stop_all",
    "when_fenced",
    "when_moved",
    "when_redis_answers",
]

logger = logging.getLogger(__name__)

LEASE_SECONDS = 12.0
"""A lease that stands still for this long is over."""
FENCE_SECONDS = 10.5
"""A holder that could not renew for this long stops its work: before anybody can give it to another."""
BEAT_SECONDS = 0.5
"""Between renewals; also how late a delayed message may be, and how often dead holders are looked for."""
TIMEOUT_SECONDS = 2.0
"""Longest wait for an answer from Redis: an answer later than that would not renew a lease in time."""
STOP_SECONDS = 3.0
"""Longest that an orderly end waits for Redis."""

CONNECTION_ERRORS = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)


@dataclass(frozen=True)
class Delivery:
    """A message in this process's hands."""

    holder: str
    epoch: int
    tag: str
    list_key: str


class Fetch(NamedTuple):
    """A fetch that is under way, and the messages that it acknowledges by the way."""

    holder: str
    epoch: int
    number: int
    acknowledged: tuple[str, ...]


class Holder:
    """Keeps the deliveries of one process from one Redis.

    `client` is a redis-py client for this holder alone, with short time-outs. Without `leased` nothing can
    be fetched; delayed messages and those of dead holders are looked after all the same.
    """

    def __init__(self, client: Any, *, leased: bool = True) -> None:
        self._validity = Validity.reserved()
        self.protocol = Protocol(client)
        self.client = client
        self._leased = leased
        self._name = ""
        self._lock = threading.RLock()
        self._flushing = threading.RLock()  # a signal handler of Celery's may come in between, and flush
        self._held: dict[str, Delivery] = {}
        self._acknowledged: list[str] = []
        self._noted: set[str] = set()
        self._refusal = ""
        self._fetches = itertools.count(1)
        self._unsent: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = []
        self._observed: dict[str, tuple[int, float]] = {}
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        _holders[self.uid] = self

    @property
    def uid(self) -> str:
        """How the messages that it delivers name it."""
        return self._validity.uid

    @property
    def name(self) -> str:
        """How Redis knows it, a new name after each lost lease; empty while it has no lease."""
        return self._name

    @property
    def epoch(self) -> int:
        """How many leases were lost."""
        return self._validity.epoch

    @property
    def held(self) -> int:
        """How many messages are in this process's hands."""
        return len(self._held)

    def covers(self, epoch: int) -> bool:
        """Whether deliveries of this epoch are still this worker's; true in forked processes as well."""
        return self._validity.covers(epoch)

    def start(self) -> None:
        """Get a lease, if there is none, and look after it. To be called before each fetch.

        Raises:
            ValueError: the records in Redis are of another version.
        """
        with self._lock:
            if not self._threads:
                self._threads = [
                    threading.Thread(target=work, name=f"transport-{name}", daemon=True)
                    for name, work in (("keeper", self._keep), ("watchdog", self._watch))
                ]
                for thread in self._threads:
                    thread.start()
            if self._leased and not self._name:
                name = f"{processes.identity()}:{uuid.uuid4().hex[:12]}"
                started = now()
                self.protocol.register(name)
                self._validity.extend(started + FENCE_SECONDS)
                self._name = name

    def next_fetch(self) -> Fetch:
        """A new fetch; it takes along what is to be acknowledged."""
        with self._lock:
            acknowledged, self._acknowledged = tuple(self._acknowledged), []
            return Fetch(self._name, self.epoch, next(self._fetches), acknowledged)

    def take(self, fetch: Fetch, answer: Any) -> list[tuple[Delivery, bytes]]:
        """Make deliveries of a fetch's answer; return each with its message."""
        name, epoch, _, acknowledged = fetch
        try:
            count, messages = self.protocol.fetched(answer)
        except HolderGoneError:
            if epoch == self.epoch:
                self.fence("its lease was gone: another worker had taken it for dead", overlaps=True)
            count, messages = 0, []
        if count < len(acknowledged):
            self._report_overlap(name, acknowledged)
        with self._lock:
            if epoch != self.epoch:
                return []  # fenced meanwhile: they go back with the rest of that name
            deliveries = [(Delivery(name, epoch, tag, key), raw) for tag, key, raw in messages]
            self._held.update((each.tag, each) for each, _ in deliveries)
        return deliveries

    def cancel_fetch(self, fetch: Fetch) -> None:
        """The answer of this fetch never came: whatever it took goes back."""
        if fetch.acknowledged:
            self.do(self.protocol.acknowledge, fetch.holder, *fetch.acknowledged)
        self.do(self.protocol.cancel_fetch, fetch.holder, fetch.number)

    def acknowledge(self, delivery: Delivery) -> None:
        """Let go of a delivery whose work is done: with the next fetch, or `flush`, or beat.

        Without Redis it is done when Redis is back.
        """
        with self._lock:  # in one, lest a fence in between gives back what is done
            if self._drop(delivery):
                self._acknowledged.append(delivery.tag)
                if delivery.tag in self._noted:
                    self._noted.remove(delivery.tag)
                    self._acknowledged.append(started_field(delivery.tag))

    def acknowledge_replaced(self, delivery: Delivery) -> None:
        """Let go of a delivery in whose place its retry may be in Redis already."""
        if self._drop(delivery):
            self.do(self.protocol.acknowledge, delivery.holder, delivery.tag, started_field(delivery.tag))

    def flush(self) -> None:
        """Tell Redis what is acknowledged."""
        with self._flushing:
            with self._lock:
                name, tags, self._acknowledged = self._name, tuple(self._acknowledged), []
            if tags:
                count = self.do(self.protocol.acknowledge, name, *tags)
                if count is not None and count < len(tags):
                    self._report_overlap(name, tags)

    def reconcile(self) -> bool:
        """Put back what Redis has under this holder's name and this process does not know of.

        After a failover that is what was acknowledged on the old master and had not reached the new one.
        To be called while no fetch is under way. False if it is too early: Redis is still to be told of
        some acknowledgements.
        """
        with self._flushing:
            if self._unsent:
                return False
            with self._lock:
                known = {*self._held, *self._acknowledged}
            for tag in self.protocol.held(self._name):
                if tag not in known:
                    logger.warning("Message %s/%s goes back: its acknowledgement was lost", self._name, tag)
                    self.do(self.protocol.give_back, self._name, tag, front=True)
            return True

    def give_back(self, delivery: Delivery, *, front: bool) -> None:
        """Put a delivery back into its list."""
        if self._drop(delivery):
            self.do(self.protocol.give_back, delivery.holder, delivery.tag, front=front)

    def note_start(self, delivery: Delivery) -> None:
        """Note that work begins, where that is worth a command: on what has ended a worker before."""
        try:
            self.protocol.start(delivery.holder, delivery.tag)
            self._noted.add(delivery.tag)
        except redis.exceptions.RedisError as error:
            logger.warning("The start of %s could not be noted: %s", delivery.tag, error)

    def delay(self, delivery: Delivery, due_milliseconds: int) -> bool:
        """Move a delivery to the delayed ones; False if it is due already."""
        delayed = self.protocol.delay(delivery.holder, delivery.tag, due_milliseconds)
        if delayed:
            self._drop(delivery)
        return delayed

    def fence(self, reason: str, *, overlaps: bool) -> None:
        """Stop all work of this process: its deliveries are not its own any more.

        `overlaps`: another worker may have been working on them already.
        """
        with self._lock:
            lost, name = len(self._held), self._name
            acknowledged, self._acknowledged = self._acknowledged, []
            worked_on = [*self._held, *acknowledged]
            self._held.clear()
            self._name = ""
            self._validity.end()
        if not name:
            return
        if lost:
            logger.critical(
                "Lease lost (%s): the work on %d messages is stopped, and done again elsewhere", reason, lost
            )
            for callback in _when_fenced:
                callback()
        if overlaps:
            self._report_overlap(name, worked_on)
        if acknowledged:
            self._later(self.protocol.acknowledge, name, *acknowledged)
        # Only now that nothing runs; whatever another worker has not put back already.
        self._later(self.protocol.release, name)

    def stop(self) -> None:
        """Put back what is still held, and end the lease. Whoever calls this runs none of it any more."""
        self._stopping.set()
        self._wake.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(STOP_SECONDS)
        self.flush()
        with self._lock:
            name, self._name = self._name, ""
            self._held.clear()
            self._validity.end()
        deadline = now() + STOP_SECONDS
        if name:
            self._later(self.protocol.release, name)
        while self._unsent and now() < deadline:
            try:
                self._send_unsent()
            except (*CONNECTION_ERRORS, redis.exceptions.RedisError):
                time.sleep(0.1)
        if self._unsent:
            logger.warning("Redis is away: what was not acknowledged will be delivered again")
        _holders.pop(self.uid, None)
        self.client.close()
        self.client.connection_pool.disconnect()

    def _drop(self, delivery: Delivery) -> bool:
        """Whether the delivery was still in our hands; it is not any more."""
        with self._lock:
            return self._held.pop(delivery.tag, None) is not None

    @staticmethod
    def _report_overlap(name: str, tags: Sequence[str]) -> None:
        for tag in tags:
            if tag.startswith(started_field("")):
                continue
            logger.error(
                "Overlap: message %s of %s was in work until after its lease was lost; "
                "it is not acknowledged, and worked on again by another worker",
                tag,
                name,
            )

    def do(self, step: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Take a step that may be repeated: now, or once Redis is back, and then None is returned."""
        if not self._unsent:  # else it would only wait for a time-out as well
            try:
                return step(*arguments, **options)
            except redis.exceptions.OutOfMemoryError:
                raise  # not a matter of waiting
            except (*CONNECTION_ERRORS, redis.exceptions.ResponseError) as error:
                # Refused as well: by a replica during a failover, or a server whose disk is full.
                logger.warning("Redis is away (%s): what is done meanwhile is told it when it is back", error)
        self._later(step, *arguments, **options)
        return None

    def _later(self, step: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        with self._lock:
            self._unsent.append((step, arguments, options))
        self._wake.set()

    def _send_unsent(self) -> None:
        # In their order, whatever is refused: a dead letter comes before its acknowledgement.
        while self._unsent:
            step, arguments, options = self._unsent[0]
            step(*arguments, **options)
            with self._lock:
                self._unsent.pop(0)

    def _keep(self) -> None:
        trouble = ""
        while not self._stopping.is_set():
            self._wake.wait(BEAT_SECONDS)
            self._wake.clear()
            try:
                while self._beat() and not self._stopping.is_set():
                    pass
            except Exception as error:  # whatever it is, the next beat may do better
                # While Redis was away nobody could renew: all get a full lease from its return on.
                self._observed.clear()
                if not trouble:
                    _say_whether_redis_answers(False)
                if str(error) != trouble:
                    trouble = str(error)
                    logger.warning("The lease cannot be renewed: %s", error)
            else:
                if trouble:
                    logger.warning("The lease is renewed again")
                    _say_whether_redis_answers(True)
                trouble = ""

    def _beat(self) -> bool:
        """Renew, and look after the delayed and the dead; True if more delayed messages are due."""
        try:
            self._send_unsent()
        except redis.exceptions.ResponseError as error:
            if str(error) != self._refusal:
                self._refusal = str(error)
                logger.warning("Redis refuses what is to be acknowledged: %s", error)
        self.flush()
        name, epoch, started = self._name, self.epoch, now()
        beat = self.protocol.beat(name)
        answered = now()
        if beat.alive:
            with self._lock:
                if epoch == self.epoch:
                    self._validity.extend(started + FENCE_SECONDS)
        elif name and epoch == self.epoch:
            self.fence("another worker had taken it for dead", overlaps=True)
        _say_what_moved("promoted", beat.promoted)
        self._take_from_the_dead(beat.leases, started, answered)
        return beat.promoted >= PROMOTED_AT_A_TIME

    def _take_from_the_dead(self, leases: Mapping[str, int], asked: float, answered: float) -> None:
        observed = {}
        for name, renewals in leases.items():
            before = self._observed.get(name)
            if name == self._name:
                continue
            if before is None or before[0] != renewals:
                observed[name] = (renewals, answered)
            elif asked - before[1] < LEASE_SECONDS and not processes.has_ended(name):
                observed[name] = before
            else:
                moved, unknown = self.protocol.reclaim(name, renewals)
                _say_what_moved("reclaimed", moved)
                logger.warning(
                    "Worker %s is gone; %d messages that it held are back in their queues", name, moved
                )
                if unknown:
                    logger.error("%d records of %s are of an unknown version and stay", unknown, name)
        self._observed = observed

    def _watch(self) -> None:
        while not self._stopping.is_set():
            left = self._validity.until - now()
            if left <= 0 and self._name:
                overlaps = -left > LEASE_SECONDS - FENCE_SECONDS  # only where this process was frozen
                self.fence(f"it could not be renewed for {FENCE_SECONDS:g} s", overlaps=overlaps)
            self._stopping.wait(min(max(left, 0.05), BEAT_SECONDS))


def when_fenced(callback: Callable[[], None]) -> None:
    """Have `callback` end all work of this process, from another thread, when its lease is lost."""
    _when_fenced.append(callback)


def when_redis_answers(callback: Callable[[bool], None]) -> None:
    """Have `callback` told, from another thread, when Redis stops answering, and when it answers again."""
    _when_redis_answers.append(callback)


def _say_whether_redis_answers(answers: bool) -> None:
    for callback in _when_redis_answers:
        try:
            callback(answers)
        except Exception:  # whatever it is, the lease comes first
            logger.exception("Whether Redis answers could not be said")


def when_moved(callback: Callable[[str, int], None]) -> None:
    """Have `callback` told, from another thread, how many messages went into their lists.

    `promoted`: they were due; `reclaimed`: their worker was dead.
    """
    _when_moved.append(callback)


def _say_what_moved(how: str, number: int) -> None:
    for callback in _when_moved if number else ():
        try:
            callback(how, number)
        except Exception:  # whatever it is, the lease comes first
            logger.exception("How many messages were %s could not be said", how)


def holder_of(channel: Any, *, leased: bool = True) -> Holder:
    """The process's holder for the channel's Redis, or one of the channel's own."""
    address = channel.connection.client.as_uri(include_password=True)
    if channel.hold_across_connections and address in _shared:
        return _shared[address]
    pool = channel._get_pool()
    pool.connection_kwargs.update(
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        # A step whose answer was lost is repeated by the holder, which knows that it is a repetition.
        retry=Retry(NoBackoff(), 0),
    )
    holder = Holder(channel.Client(connection_pool=pool), leased=leased)
    if channel.hold_across_connections:
        _shared[address] = holder
    return holder


def stop_all() -> None:
    """End every lease of this process in good order."""
    for holder in list(_holders.values()):
        holder.stop()
    _shared.clear()


_shared: dict[str, Holder] = {}
_holders: dict[str, Holder] = {}
_when_fenced: list[Callable[[], None]] = []
_when_redis_answers: list[Callable[[bool], None]] = []
_when_moved: list[Callable[[str, int], None]] = []
os.register_at_fork(after_in_child=_shared.clear)
