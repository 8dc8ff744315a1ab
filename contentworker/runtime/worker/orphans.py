"""Reaps orphans if the worker is a container's first process, which inherits them.

A program that a task starts outlives its pool process if that is killed. When the program ends, it stays in
the process table until its parent reaps it: in a container without an init, that is the worker.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from billiard import active_children
from celery import bootsteps

__all__ = ["OrphanStep"]

REAP_SECONDS = 10.0
"""Time between two looks. By then, other parts of the worker have reaped the children they wait for."""


class OrphanStep(bootsteps.StartStopStep):
    """Looks for ended orphans every ten seconds."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._seen: set[int] = set()

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Set the timer each time the loop begins: Celery drops all timers when a connection is lost."""
        hub.call_repeatedly(REAP_SECONDS, self.reap)

    def reap(self) -> None:
        """Reap children that had already ended at the last call."""
        ended = {*_ended_children()} - {child.pid for child in active_children()}
        for number in ended & self._seen:
            with suppress(ChildProcessError):
                os.waitpid(number, os.WNOHANG)
        self._seen = ended


def _ended_children() -> Iterator[int]:
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has gone
            state, parent = status.read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
            if state == "Z" and int(parent) == os.getpid():
                yield int(status.parent.name)
