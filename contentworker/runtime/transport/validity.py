"""Until when a worker may work on its messages, in memory that it shares with its pool processes."""

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
    """The time in seconds, by a clock that cannot be set and that all processes of this machine share."""
    return time.clock_gettime(_CLOCK)


class Validity:
    """Until when, and for which epoch, a holder may work on its messages. At first, it may not.

    The epoch is the number of leases that have ended. Processes that are forked later share the memory. Each
    value is written by one store of 8 bytes, which no reader can see half done. Do not use
    `struct.pack_into`: it clears the memory first, and another process would sometimes read a zero.
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
        """The first call returns the one made at import, which pool processes share; later ones a new one."""
        return _reserved.pop() if _reserved else cls()

    @property
    def epoch(self) -> int:
        """How many leases have ended."""
        return self._epoch[0]

    @property
    def until(self) -> float:
        """Until when the holder may work on its messages, by the clock of `now`."""
        return self._until[0]

    def extend(self, until: float) -> None:
        """Allow work on the deliveries of this epoch until this time."""
        self._until[0] = until

    def end(self) -> None:
        """End the right to work on all deliveries made so far."""
        self._until[0] = 0.0
        self._epoch[0] += 1

    def covers(self, epoch: int) -> bool:
        """Whether the holder may work on deliveries of this epoch now. Works in forked processes, too."""
        return epoch == self.epoch and now() < self.until


def is_held(properties: Mapping[str, Any]) -> bool:
    """Whether this worker may still work on a message with these properties. Works in pool processes, too.

    Always true with a transport that has no leases.
    """
    uid, epoch, *_ = properties.get("held") or (None, 0)
    validity = _all.get(str(uid))
    return validity is None or validity.covers(epoch)


_all: dict[str, Validity] = {}
# Made at import, before the pool's processes are forked, so that they share its memory.
_reserved = [Validity()]
os.register_at_fork(after_in_child=_reserved.clear)
