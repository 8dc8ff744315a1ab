"""The lease of a process in one Redis, and the two threads that look after it.

A lease is a counter. Its holder adds to it twice a second, or every seven seconds while it holds no message.
A worker that sees another's counter stand still for `LEASE_SECONDS` takes back what its holder held. Each
worker measures with its own monotonic clock; the time of day plays no part. On the holder's own machine its
process is looked up as well: a death there is noticed in a second. Redis names only leases that are silent,
so many workers cost a worker no more than few.

The keeper is the thread that talks to Redis: it renews the lease, brings delayed messages forward, takes back
what dead workers held, and sends what an outage held up. The watchdog talks to nothing, so nothing can hold
it up: it ends this process's work when the lease was not renewed in time.
"""

import logging
import math
import random
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import redis
from kombu.utils.compat import detect_environment

from contentworker.runtime.transport import processes
from contentworker.runtime.transport.outbox import Outbox
from contentworker.runtime.transport.protocol import CALM_SECONDS, PROMOTED_AT_A_TIME, Beat, Protocol
from contentworker.runtime.transport.validity import Validity, now

__all__ = [
    "BEAT_SECONDS",
    "FENCE_SECONDS",
    "LEASE_SECONDS",
    "STOP_SECONDS",
    "Lease",
    "when_moved",
    "when_redis_answers",
]

logger = logging.getLogger(__package__)

LEASE_SECONDS = 12.0
"""A lease that stands still for this long is over."""
FENCE_SECONDS = 10.5
"""A worker that could not renew for this long stops its work: before another can be given its messages."""
BEAT_SECONDS = 0.5
"""Time between two beats of a worker that holds messages."""
LOOK_SECONDS = 1.0
"""Time between two looks of a worker that holds nothing: whether a message is due or a lease is silent."""
ALL_SECONDS = 15.0
"""Time between two beats that look at all."""
STOP_SECONDS = 3.0
"""Longest that an orderly end waits for Redis."""
TAKING_SECONDS = 0.25
"""Longest that one beat takes back for: its own lease comes first."""


class Lease:
    """The lease of this process, which has a new name after each loss.

    `flush` is called before each renewal, `fence` when the lease is lost. `has_work` says whether the process
    has held a message since it was asked last. Without `is_wanted` the process never gets a lease; it only
    looks after delayed messages and those of dead workers.
    """

    def __init__(
        self,
        protocol: Protocol,
        flush: Callable[[], None],
        fence: Callable[..., None],
        has_work: Callable[[], bool],
        *,
        is_wanted: bool,
    ) -> None:
        self.name = ""
        """How Redis knows this process; empty while it has no lease."""
        self.lock = threading.RLock()
        """Held while the name or the epoch changes, and what belongs to them."""
        self.validity = Validity.reserved()
        """Until when this process's deliveries are its own."""
        self.parked: frozenset[str] = frozenset()
        """Lists that had parked messages at the last beat."""
        self._wake = threading.Event()
        self.outbox = Outbox(self._wake.set)
        self._protocol, self._flush, self._fence = protocol, flush, fence
        self._has_work, self._is_wanted = has_work, is_wanted
        self._is_calm = False
        """Whether the others have been told that the next renewal comes late."""
        self._renewed = self._looked_at_all = -math.inf
        self._clock_ahead = 0.0
        """By how much Redis's clock is ahead of this process's."""
        self._next_due = math.inf
        self._observed: dict[str, tuple[int, float]] = {}
        self._skip = 0
        """Silent leases that were named already, where one answer does not name them all."""
        self._refusal = ""
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Get a lease, if there is none, and look after it.

        Raises:
            ValueError: the records in Redis are of another version.
            RuntimeError: gevent or eventlet has replaced the threads.
        """
        if self._is_wanted and (patched := detect_environment()) != "default":
            # A greenlet that computes would hold up the keeper, and its lease would be over.
            raise RuntimeError(f"leases need threads, which {patched} has replaced: use threads, or `plain`")
        with self.lock:
            if not self._threads:
                self._threads = [
                    threading.Thread(target=work, name=f"transport-{name}", daemon=True)
                    for name, work in (("keeper", self._keep), ("watchdog", self._watch))
                ]
                for thread in self._threads:
                    thread.start()
            if self._is_wanted and not self.name:
                name = f"{processes.identity()}:{uuid.uuid4().hex[:12]}"
                started = now()
                self._protocol.register(name)
                self.validity.extend(started + FENCE_SECONDS)
                self.name = name

    def end(self) -> str:
        """Void this process's deliveries; return the name that the lease had. Hold `lock`."""
        name, self.name = self.name, ""
        self.validity.end()
        return name

    def hurry(self) -> None:
        """Renew soon: there is something to lose now."""
        if self._is_calm:
            self._wake.set()

    def stop_threads(self) -> None:
        """Stop looking after the lease."""
        self._stopping.set()
        self._wake.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(STOP_SECONDS)

    def _keep(self) -> None:
        trouble = ""
        while not self._stopping.is_set():
            is_woken = self._wake.wait(self._seconds_to_wait())
            if is_woken:  # else it would forget who wakes it just now
                self._wake.clear()
            try:
                if self._is_calm and not is_woken and not self._must_beat():
                    continue
                while self._beat() and not self._stopping.is_set():
                    pass
            except Exception as error:  # noqa: BLE001 (of any kind: the next beat may succeed)
                # While Redis was away, no worker could renew: each gets a full lease from its return on.
                self._observed, self._skip, self._is_calm = {}, 0, False
                if not trouble:
                    _tell("answers", False)  # noqa: FBT003 (the listener's argument)
                if str(error) != trouble:
                    trouble = str(error)
                    logger.warning("The lease cannot be renewed: %s", error)
            else:
                if trouble:
                    logger.warning("The lease is renewed again")
                    _tell("answers", True)  # noqa: FBT003 (likewise)
                trouble = ""

    def _seconds_to_wait(self) -> float:
        if not self._is_calm:
            return BEAT_SECONDS
        return min(LOOK_SECONDS, max(BEAT_SECONDS, self._next_due - now()))

    def _must_beat(self) -> bool:
        """Whether a beat has anything to do: one that does nothing costs as much."""
        if now() - self._renewed >= CALM_SECONDS - LOOK_SECONDS / 2:
            return True
        silent, due = self._protocol.next_moments()
        self._next_due = due - self._clock_ahead
        return min(silent, due) <= now() + self._clock_ahead

    def _beat(self) -> bool:
        """Renew, and look after the delayed and the dead; True if more delayed messages are due."""
        try:
            self.outbox.send()
        except redis.exceptions.ResponseError as error:
            if str(error) != self._refusal:
                self._refusal = str(error)
                logger.warning("Redis refuses acknowledgements, which are repeated: %s", error)
        self._flush()
        name, epoch, started = self.name, self.validity.epoch, now()
        # In this order: a message that is taken meanwhile either is seen here, or calls `hurry`.
        self._is_calm = True
        self._is_calm = not self._has_work() and not self._observed
        beat = self._protocol.beat(
            name,
            self._skip,
            later_seconds=CALM_SECONDS - BEAT_SECONDS if self._is_calm else 0.0,
            looks_at_all=started - self._looked_at_all >= ALL_SECONDS,
        )
        answered = now()
        self._renewed, self._clock_ahead = started, beat.clock - answered
        self._next_due = beat.due - self._clock_ahead
        if beat.parked is not None:
            self.parked, self._looked_at_all = beat.parked, started
        if beat.alive:
            with self.lock:
                if epoch == self.validity.epoch:
                    self.validity.extend(started + FENCE_SECONDS)
        elif name and epoch == self.validity.epoch:
            self._fence("another worker took this one for dead", overlaps=True)
        if beat.promoted:
            _tell("moved", "promoted", beat.promoted)
        self._take_from_the_dead(self._observe(beat, started, answered))
        self._is_calm &= not self._observed and not beat.promoted
        return beat.promoted >= PROMOTED_AT_A_TIME

    def _observe(self, beat: Beat, asked: float, answered: float) -> dict[str, int]:
        """Compare the silent leases with what was seen before; return those that are over."""
        before = self._observed
        # A lease that is not named was renewed, unless one answer does not name all silent ones.
        self._observed = dict(before) if self._skip or beat.skip else {}
        self._skip = beat.skip
        over = {}
        for name, renewals in beat.silent.items():
            if name == self.name:
                continue
            seen = before.get(name)
            if seen is None or seen[0] != renewals:
                seen = (renewals, answered)
            self._observed[name] = seen
            if asked - seen[1] >= LEASE_SECONDS or processes.has_ended(name):
                over[name] = renewals
        return over

    def _take_from_the_dead(self, over: Mapping[str, int]) -> None:
        until = now() + TAKING_SECONDS
        # Each in an order of its own: many workers find the same dead.
        for name in random.sample([*over], len(over)):
            if now() >= until:
                return
            moved, unknown = self._protocol.reclaim(name, over[name])
            del self._observed[name]
            self._skip = 0  # the others have moved up
            if moved:
                _tell("moved", "reclaimed", moved)
            logger.warning(
                "Worker %s is gone; %d messages that it held are back in their queues", name, moved
            )
            if unknown:
                logger.error("%d messages of worker %s stay held: another version wrote them", unknown, name)

    def _watch(self) -> None:
        while not self._stopping.is_set():
            left = self.validity.until - now()
            if left <= 0 and self.name:
                overlaps = -left > LEASE_SECONDS - FENCE_SECONDS  # only if this process was frozen
                self._fence(f"it could not be renewed for {FENCE_SECONDS:g} s", overlaps=overlaps)
            self._stopping.wait(min(max(left, 0.05), BEAT_SECONDS))


def when_redis_answers(callback: Callable[[bool], None]) -> None:
    """Call `callback`, from another thread, when Redis stops answering (False) and answers again (True)."""
    _callbacks["answers"].append(callback)


def when_moved(callback: Callable[[str, int], None]) -> None:
    """Call `callback`, from another thread, with how many messages moved into their lists, and why.

    `promoted`: they were due; `reclaimed`: their worker was dead.
    """
    _callbacks["moved"].append(callback)


def _tell(event: str, *arguments: Any) -> None:
    for callback in _callbacks[event]:
        try:
            callback(*arguments)
        except Exception:  # of any kind: the lease comes first
            logger.exception("A callback of the transport (%s) failed", event)


_callbacks: dict[str, list[Callable[..., None]]] = defaultdict(list)
