"""What the measured tasks do, whichever library runs them, and how the benchmark sees it.

They speak to the benchmark through files in `BENCH_FOLDER`. What is on the measured path, `work`, writes to a
page of shared memory instead (one a process, about a microsecond a task): anything more would add the same to
both sides, and bring their ratio nearer to 1 than it is.
"""

import functools
import mmap
import os
import struct
import time
from pathlib import Path

__all__ = ["BODIES", "Progress", "hold", "note_latency", "work", "work_ignored"]

_RECORD = struct.Struct("=qqq")  # tasks done, monotonic ns of the first start, of the last end
_HOLD_SECONDS = 240  # longer than any recovery, shorter than the soft time limit


class _Counter:
    """This process's page: the first task makes it, as a forked pool process needs its own."""

    def __init__(self) -> None:
        with _file(f"{os.getpid()}.progress").open("w+b") as file:
            file.truncate(_RECORD.size)
            self.page = mmap.mmap(file.fileno(), _RECORD.size)
        self.done, self.first_start = 0, time.monotonic_ns()
        _RECORD.pack_into(self.page, 0, 0, self.first_start, 0)

    def add(self) -> None:
        self.done += 1
        _RECORD.pack_into(self.page, 0, self.done, self.first_start, time.monotonic_ns())


_counter = functools.cache(_Counter)


def _file(name: str) -> Path:
    return Path(os.environ["BENCH_FOLDER"]) / name


def work(milliseconds: int) -> int:
    """Sleep for so many milliseconds; 0 does nothing."""
    counter = _counter()
    if milliseconds:
        time.sleep(milliseconds / 1_000)
    counter.add()
    return milliseconds


def work_ignored(milliseconds: int) -> None:
    """Like `work`, but registered so that no result is stored."""
    work(milliseconds)


def note_latency(sent_ns: int) -> None:
    """Note how long ago, in ns, it was sent."""
    latency = time.monotonic_ns() - sent_ns
    with _file("latencies").open("a") as file:
        file.write(f"{latency}\n")


def hold(number: int) -> None:
    """Note the start as `pid ns`; the first time, then stay until the process is killed."""
    with _file(f"hold-{number}").open("a+") as file:
        file.write(f"{os.getpid()} {time.monotonic_ns()}\n")
        file.flush()
        file.seek(0)
        starts = len(file.readlines())
    if starts == 1:
        time.sleep(_HOLD_SECONDS)


BODIES = (work, work_ignored, note_latency, hold)
"""Only the result of the first is stored."""


class Progress:
    """What the worker's processes have done so far, as the benchmark reads it."""

    def __init__(self, folder: Path) -> None:
        records = [path.read_bytes() for path in folder.glob("*.progress")]
        rows = [_RECORD.unpack(record) for record in records if len(record) == _RECORD.size]
        rows = [row for row in rows if row[1]]
        self.done: int = sum(row[0] for row in rows)
        self.has_started = bool(rows)
        self.seconds: float = (
            (max(row[2] for row in rows) - min(row[1] for row in rows)) / 1e9 if rows else 0.0
        )
        """From the first start to the last end."""
