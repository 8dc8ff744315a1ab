"""Until when a worker's deliveries are its own, in memory that it shares with its pool processes."""

import mmap
import os
import time
import uuid
from collections.abc import Mapping
from typing import Any

__all__ = ["Validity", "is_held", "now"]

# CLOCK_BOOTTIME (Linux) also counts while the machine is suspended, and so do the leases.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds of a clock that is never set; the same in all processes of this machine."""
    return time.clock_gettime(_CLOCK)


class Validity:
    """Until when, and for which epoch, the deliveries of a holder are its own: none at first.

    Processes that are forked later share it. Each value is written by one store of 8 bytes, which no reader
    can see half done. Do not use `struct.pack_into`: it clears the memory first, and another process would
    read a zero now and then.
    """

    def __init__(self) -> None:
        memory = mmap.mmap(-1, 16)
        self._epoch = memoryview(memory)[:8].cast("q")
        self._until = memoryview(memory)[8:].cast("d")
        self.uid = uuid.uuid4().hex
        """Name of this object in the properties of a message."""
        _all[self.uid] = self

    @classmethod
    def reserved(cls) -> "Validity":
        """The one that all processes share that were forked since this module was loaded; else a new one."""
        return _reserved.pop() if _reserved else cls()

    @property
    def epoch(self) -> int:
        """Number of leases that ended."""
        return self._epoch[0]

    @property
    def until(self) -> float:
        """When the deliveries cease to be its own, by the clock of `now`."""
        return self._until[0]

    def extend(self, until: float) -> None:
        """Make the deliveries of this epoch its own until this time."""
        self._until[0] = until

    def end(self) -> None:
        """Void all deliveries made so far."""
        self._until[0] = 0.0
        self._epoch[0] += 1

    def covers(self, epoch: int) -> bool:
        """Whether deliveries of this epoch are its own now; also right in forked processes."""
        return epoch == self.epoch and now() < self.until


def is_held(properties: Mapping[str, Any]) -> bool:
    """Whether a message with these properties is still this worker's. Works in pool processes too.

    Always true with a transport that has no leases.
    """
    uid, epoch, *_ = properties.get("held") or (None, 0)
    validity = _all.get(str(uid))
    return validity is None or validity.covers(epoch)


_all: dict[str, Validity] = {}
# Made at import, before the pool's processes are forked, so that they share its memory.
_reserved = [Validity()]
os.register_at_fork(after_in_child=_reserved.clear)
