"""Accounts for every task of a long run in bounded memory: a line of SQLite each.

What was published and what the journal says is written a second at a time, together with how far the journal
was read. So a run that is cut off at any moment goes on where it was. Times are seconds of running: pauses
between two sessions do not count.
"""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.chaos import accounting
from benchmarks.chaos.accounting import Figures, Published
from benchmarks.chaos.records import Journal

__all__ = ["KINDS", "Ledger", "LiveJournal", "number_of", "task_id"]

KINDS = ("base", "idempotent", "critical")

SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    number INTEGER PRIMARY KEY, kind INTEGER, confirmed INTEGER DEFAULT 0, due REAL,
    starts INTEGER DEFAULT 0, failed INTEGER DEFAULT 0, done INTEGER DEFAULT 0, first REAL, ended REAL
);
CREATE INDEX IF NOT EXISTS unfinished ON tasks (number) WHERE done = 0;
CREATE TABLE IF NOT EXISTS faults (at REAL, name TEXT, may_repeat INTEGER);
CREATE TABLE IF NOT EXISTS memory (at REAL, name TEXT, pid INTEGER, bytes INTEGER);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value);
"""
EVENTS = {
    "sent": "INSERT INTO tasks (number, kind, due, confirmed) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET due = excluded.due, confirmed = excluded.confirmed",
    "start": "INSERT INTO tasks (number, kind, starts, first) VALUES (:number, :kind, 1, :at) "
    "ON CONFLICT DO UPDATE SET starts = starts + 1, first = coalesce(first, excluded.first)",
    "failed": "UPDATE tasks SET failed = failed + 1, ended = :at WHERE number = :number AND kind = :kind",
    "done": "UPDATE tasks SET done = done + 1, ended = iif(done, ended, :at) "
    "WHERE number = :number AND kind = :kind",
    "fault": "INSERT INTO faults VALUES (?, ?, ?)",
    "memory": "INSERT INTO memory VALUES (?, ?, ?, ?)",
    "note": "INSERT INTO notes VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
}
REPLAYED_BYTES = 4_000_000
"""What is read once more for a new session, to know which tasks the executions are of that went on."""
PLAIN = "confirmed = 1 AND done = 1 AND starts = 1 + failed"
"""True of a task that needs no closer look."""


def task_id(number: int, kind: str) -> str:
    """The id of a task: it says the number and the kind, so that the journal alone says them, too."""
    return f"chaos-{KINDS.index(kind):08x}-0000-4000-8000-{number:012x}"


def number_of(task: str) -> tuple[int, int]:
    """The number of a task, and of its kind."""
    parts = task.split("-")
    return int(parts[5], 16), int(parts[1], 16)


class LiveJournal(Journal):
    """Keeps in memory only what runs now, or was cut off, and passes on what happens."""

    def __init__(self, path: Path, already_read: int = 0) -> None:
        super().__init__(path)
        self._already_read = already_read
        if already_read > REPLAYED_BYTES:
            with path.open("rb") as file:
                file.seek(already_read - REPLAYED_BYTES)
                file.readline()
                self._position = file.tell()
        self._events: list[tuple[str, tuple[Any, ...]]] = []
        self._expected: dict[str, float] = {}

    def expect(self, task: str) -> None:
        """A task is sent now; `expected()` counts it until it ends."""
        with self._lock:
            self._expected[task] = time.monotonic()

    def expected(self, since: float) -> int:
        """How many tasks sent since that time have not ended."""
        with self._lock:
            while self._expected and next(iter(self._expected.values())) < since:
                del self._expected[next(iter(self._expected))]
            return len(self._expected)

    def take(self) -> tuple[list[tuple[str, tuple[Any, ...]]], int]:
        """What happened since the last call, and how far the journal is read."""
        with self._lock:
            events, self._events = self._events, []
            return events, self._position

    def _read(self, parts: list[str]) -> None:
        event, execution = parts[:2]
        is_new = self._position > self._already_read
        if event != "start" and execution not in self.executions and not is_new:
            return
        super()._read(parts)
        found = self.executions[execution]
        if event not in ("start", "beat"):
            del self.executions[execution]
            self.finished.discard(found.task)
        del found.times[1:-1]
        if event != "beat" and is_new:
            self._events.append((event, (*number_of(found.task), found.times[-1])))
            if event == "done":
                self._expected.pop(found.task, None)


class ChosenJournal(Journal):
    """Keeps the executions of some tasks only."""

    def __init__(self, path: Path, tasks: Collection[str]) -> None:
        super().__init__(path)
        self._tasks = tasks

    def _read(self, parts: list[str]) -> None:
        if parts[1] in self.executions or (parts[0] == "start" and parts[2] in self._tasks):
            super()._read(parts)


class Ledger:
    """The record of a run, in a file."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {SCHEMA}")

    def close(self) -> None:
        self._database.close()

    def add(self, event: str, *values: Any) -> None:
        """Have something written with the next `write()`."""
        self._waiting.append((event, values))

    def write(self, journal: LiveJournal, clock_offset: float, **notes: Any) -> None:
        """Write all that happened. `clock_offset`: of the journal's times from seconds of running."""
        with self._lock:
            # What was published first: an execution knows less about its task.
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]  # others may add to it
            happened, position = journal.take()
            self._database.execute("BEGIN")
            for event, values in (*waiting, *(("note", item) for item in notes.items())):
                self._database.execute(EVENTS[event], values)
            for event, (number, kind, at) in happened:
                self._database.execute(
                    EVENTS[event], {"number": number, "kind": kind, "at": at - clock_offset}
                )
            self._database.execute(EVENTS["note"], ("position", position))
            self._database.execute("COMMIT")

    def note(self, name: str, default: Any = None) -> Any:
        """What was written with this name."""
        rows = self.rows("SELECT value FROM notes WHERE name = ?", name)
        return rows[0][0] if rows else default

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query that has few."""
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def each(self, query: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that may have very many. Nothing may be written meanwhile."""
        yield from self._database.execute(query)

    def forget_times(self) -> None:
        """Latencies of what is unfinished will not count: there was a pause."""
        with self._lock:
            self._database.execute("UPDATE tasks SET due = NULL WHERE done = 0")

    def last_number(self) -> int:
        return int(self.rows("SELECT coalesce(max(number), 0) FROM tasks")[0][0])

    def unfinished(self) -> set[str]:
        """Confirmed tasks that did not come to their end."""
        rows = self.rows("SELECT number, kind FROM tasks WHERE done = 0 AND confirmed = 1")
        return {task_id(number, KINDS[kind]) for number, kind in rows}

    def count(self, journal: Path, remaining: Mapping[str, str], failures: Collection[str] = ()) -> Figures:
        """The figures. Of tasks that were not simply done, each execution is looked at once more."""
        looked_at = {
            task_id(number, KINDS[kind]): Published(
                task_id(number, KINDS[kind]), KINDS[kind], bool(confirmed)
            )
            for number, kind, confirmed in self.rows(
                f"SELECT number, kind, confirmed FROM tasks WHERE NOT ({PLAIN})"  # noqa: S608 (a constant)
            )
        }
        executions = ChosenJournal(journal, looked_at).refresh().executions.values()
        figures = accounting.count(looked_at.values(), executions, remaining, failures)
        (plain,) = self.rows(f"SELECT count(*) FROM tasks WHERE {PLAIN}")[0]  # noqa: S608
        figures.tasks += plain
        figures.finished += plain
        return figures
