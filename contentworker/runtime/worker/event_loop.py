"""The worker's event loop, without the system calls that change nothing."""

from collections.abc import Callable
from typing import Any

from kombu.asynchronous import Hub as KombuHub
from kombu.utils.eventio import ERR, READ

__all__ = ["Hub"]


class Hub(KombuHub):
    """kombu's event loop, which tells the kernel only what is new, and writes to idle pool processes at once.

    kombu adds its connections again in each turn, Celery a pipe after each message of a pool process, and it
    stops watching each pipe that it has nothing to write to. That is ten system calls a task, and most fail.
    """

    def add_reader(self, fds: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Watch a file for something to read. A file that is closed is removed first, so it is not missed."""
        if self.readers.get(fds) != (callback, args):
            self.add(fds, callback, READ | ERR, args)

    def remove_writer(self, fd: Any) -> None:
        """Stop watching a file for room to write."""
        if fd in self.writers or fd in self.readers:
            super().remove_writer(fd)

    def add(self, fd: Any, callback: Any, flags: int, args: Any = (), consolidate: bool = False) -> None:
        """Watch a file. With `consolidate`, a pool process may have room for a task: offer it one now.

        Celery waits for the kernel to say that there is room, which is nearly always so. If there is none,
        its writer waits then.
        """
        if consolidate:
            self.consolidate_callback([fd])
        else:
            super().add(fd, callback, flags, args)
