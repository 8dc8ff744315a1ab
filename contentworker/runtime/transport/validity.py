"""Until when a worker's deliveries are its own, as also the processes know that it forks."""

import mmap
import os
import time
import uuid
from collections.abc import Mapping
from typing import Any

__all__ = ["Validity", "is_held", "now"]

# Counts the time that a suspended machine sleeps, where there is such a clock: its leases end meanwhile.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds of a clock that nobody sets; the same in all processes of this machine."""
    return time.clock_gettime(_CLOCK)


class Validity:
    """Until when, and for which epoch, the deliveries of a holder are its own: none at first.

    Shared with the processes that are forked later. Each value is written by one store of 8 bytes, which no
    reader can see half done. `struct.pack_into` first clears what it writes to, so that another process would
    now and then read a zero.
    """

    def __init__(self) -> None:
        memory = mmap.mmap(-1, 16)
        self._epoch = memoryview(memory)[:8].cast("q")
        self._until = memoryview(memory)[8:].cast("d")
        self.uid = uuid.uuid4().hex
        """Its name in the properties of a message."""
        _all[self.uid] = self

    @classmethod
    def reserved(cls) -> "Validity":
        """One that every process shares which was forked after this module was loaded; else a new one."""
        return _reserved.pop() if _reserved else cls()

    @property
    def epoch(self) -> int:
        """How often it has ended."""
        return self._epoch[0]

    @property
    def until(self) -> float:
        """By `now`."""
        return self._until[0]

    def extend(self, until: float) -> None:
        """Let the deliveries of this epoch be its own until then."""
        self._until[0] = until

    def end(self) -> None:
        """Void every delivery that was made so far."""
        self._until[0] = 0.0
        self._epoch[0] += 1

    def covers(self, epoch: int) -> bool:
        """Whether deliveries of this epoch are its own now."""
        return epoch == self.epoch and now() < self.until


def is_held(properties: Mapping[str, Any]) -> bool:
    """Whether a message with these properties is still this worker's, asked anywhere in the worker.

    True as well for messages of a transport without leases.
    """
    uid, epoch, *_ = properties.get("held") or (None, 0)
    validity = _all.get(str(uid))
    return validity is None or validity.covers(epoch)


_all: dict[str, Validity] = {}
# Made before the pool's processes are forked, which is before a worker connects: they share its memory.
_reserved = [Validity()]
os.register_at_fork(after_in_child=_reserved.clear)
