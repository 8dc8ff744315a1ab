"""The lease of a process in one Redis, and the two threads that look after it.

A lease is a counter. Its holder raises it twice a second, or every seven seconds while it holds no message.
If a worker sees another's counter unchanged for `LEASE_SECONDS`, it puts that holder's messages back. Each
worker measures with its own monotonic clock; the time of day plays no part. Workers on the holder's machine
also look for its process, so they notice a death within a second. Redis names only leases that are silent
(not renewed for a moment), so a beat costs the same with many workers as with few.

The keeper thread talks to Redis: it renews the lease, moves due messages into their queues, puts back the
messages of dead workers, and sends steps that an outage delayed. The watchdog thread talks to nothing, so
nothing can delay it: it ends this process's work (it "fences" it) if the lease was not renewed in time.
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
"""A lease that is not renewed for this long is over."""
FENCE_SECONDS = 10.5
"""A worker that could not renew for this long stops its work, before others may take over its messages."""
BEAT_SECONDS = 0.5
"""Time between two beats of a worker that holds messages."""
LOOK_SECONDS = 1.0
"""How often a worker that holds nothing asks whether a message is due or a lease is silent."""
ALL_SECONDS = 15.0
"""Time between two beats that also look at what changes rarely: parked messages, a clock that was set, and
messages that Redis has under this process's name, but the process does not know."""
STOP_SECONDS = 3.0
"""How long an orderly end waits for Redis, at most."""
TAKING_SECONDS = 0.25
"""How long one beat spends on the messages of dead workers, at most: its own lease comes first."""


class Lease:
    """The lease of this process. Each time it is lost, the next one has a new name.

    `flush` is called before each renewal, `fence` when the lease is lost, `reconcile` every `ALL_SECONDS`
    while there is one. `has_work` says whether the process has held a message since the last call. Without
    `is_wanted`, the process never gets a lease; it only looks after delayed messages and those of dead
    workers.
    """

    def __init__(
        self,
        protocol: Protocol,
        flush: Callable[[], None],
        fence: Callable[..., None],
        reconcile: Callable[[], None],
        has_work: Callable[[], bool],
        *,
        is_wanted: bool,
    ) -> None:
        self.name = ""
        """The holder's name in Redis; empty while the process has no lease."""
        self.lock = threading.RLock()
        """Protects the name, the epoch, and everything that depends on them."""
        self.validity = Validity.reserved()
        """Until when this process may work on its messages."""
        self.parked: frozenset[str] = frozenset()
        """Lists that had parked messages at the last beat."""
        self._wake = threading.Event()
        self.outbox = Outbox(self._wake.set)
        self._protocol, self._flush, self._fence = protocol, flush, fence
        self._reconcile, self._has_work, self._is_wanted = reconcile, has_work, is_wanted
        self._is_calm = False
        """Whether Redis was told that the next renewal comes late."""
        self._renewed = self._looked_at_all = -math.inf
        self._clock_ahead = 0.0
        """By how much Redis's clock is ahead of this process's."""
        self._next_due = math.inf
        self._observed: dict[str, tuple[int, float]] = {}
        self._skip = 0
        """How many silent leases earlier answers have named, if one answer cannot name them all."""
        self._refusal = ""
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Get a lease, if the process has none, and start the threads that look after it.

        Raises:
            ValueError: the records in Redis are of another version.
            RuntimeError: gevent or eventlet has replaced the threads.
        """
        if self._is_wanted and (patched := detect_environment()) != "default":
            # A greenlet that computes would block the keeper, and its lease would end.
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
        """End the right to work on this process's messages; return the lease's name. Call it under `lock`."""
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
                # No worker could renew during an outage: each gets a full lease once Redis is back.
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
        """Whether a beat has anything to do. A beat costs the same if it does nothing, so avoid it."""
        if now() - self._renewed >= CALM_SECONDS - LOOK_SECONDS / 2:
            return True
        silent, due = self._protocol.next_moments()
        self._next_due = due - self._clock_ahead
        return min(silent, due) <= now() + self._clock_ahead

    def _beat(self) -> bool:
        """Renew the lease, move due messages, put back those of the dead; True if more messages are due."""
        try:
            self.outbox.send()
        except redis.exceptions.ResponseError as error:
            if str(error) != self._refusal:
                self._refusal = str(error)
                logger.warning("Redis refuses acknowledgements, which are repeated: %s", error)
        self._flush()
        name, epoch, started = self.name, self.validity.epoch, now()
        # In this order: a message that is taken meanwhile is either seen here, or calls `hurry`.
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
        if beat.alive and beat.parked is not None:
            self._reconcile()
        self._is_calm &= not self._observed and not beat.promoted
        return beat.promoted >= PROMOTED_AT_A_TIME

    def _observe(self, beat: Beat, asked: float, answered: float) -> dict[str, int]:
        """Compare the silent leases with those of earlier beats; return those that are over."""
        before = self._observed
        # A lease that is not named was renewed, unless there are more silent ones than one answer names.
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
        # In random order, because many workers find the same dead.
        for name in random.sample([*over], len(over)):
            if now() >= until:
                return
            moved, unknown = self._protocol.reclaim(name, over[name])
            del self._observed[name]
            self._skip = 0  # the remaining ones have moved up in the list
            if moved:
                _tell("moved", "reclaimed", moved)
            held = "1 message that it held is back in its queue"
            if moved != 1:
                held = f"{moved} messages that it held are back in their queues"
            logger.warning("Worker %s is gone; %s", name, held)
            if unknown:
                text = "%d messages of worker %s stay held: another version wrote them"
                if unknown == 1:
                    text = "%d message of worker %s stays held: another version wrote it"
                logger.error(text, unknown, name)

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
    """Call `callback`, from another thread, with why messages moved into their lists, and how many.

    Why is `promoted` (they were due) or `reclaimed` (their worker was dead).
    """
    _callbacks["moved"].append(callback)


def _tell(event: str, *arguments: Any) -> None:
    for callback in _callbacks[event]:
        try:
            callback(*arguments)
        except Exception:  # whatever it is, the lease comes first
            logger.exception("A callback of the transport (%s) failed", event)


_callbacks: dict[str, list[Callable[..., None]]] = defaultdict(list)
