"""The worker's event loop, without system calls that change nothing."""

from collections.abc import Callable
from typing import Any

from kombu.asynchronous import Hub as KombuHub
from kombu.utils.eventio import ERR, READ

__all__ = ["Hub"]


class Hub(KombuHub):
    """kombu's event loop, but it tells the kernel only what is new and writes to idle pool processes at once.

    kombu adds its connections again in each turn, and Celery a pipe after each message of a pool process.
    Celery also stops watching each pipe that it has nothing to write to. That is ten system calls for each
    task, and most of them fail.
    """

    def add_reader(self, fds: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Watch a file for data to read. A closed file is removed first, so one with its number is added."""
        if self.readers.get(fds) != (callback, args):
            self.add(fds, callback, READ | ERR, args)

    def remove_writer(self, fd: Any) -> None:
        """Stop watching whether there is room to write to a file."""
        if fd in self.writers or fd in self.readers:
            super().remove_writer(fd)

    def add(self, fd: Any, callback: Any, flags: int, args: Any = (), consolidate: bool = False) -> None:
        """Watch a file. With `consolidate`, a pool process may have room for a task: offer it one now.

        Celery would wait until the kernel says that there is room. There nearly always is; if not, Celery's
        writer waits for it.
        """
        if consolidate:
            self.consolidate_callback([fd])
        else:
            super().add(fd, callback, flags, args)
