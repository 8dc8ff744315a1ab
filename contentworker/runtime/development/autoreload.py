"""A worker that reloads when you save a file: the new one is ready before the old one is told to stop.

    python -m contentworker.runtime.development.autoreload --app celery_worker.celery_app --watch '*.py'

Three kinds of process:

- the reloader loads third-party modules, once, and never the project's own. It starts and signals workers;
- a worker is forked from it, loads the project and becomes `celery worker` (`reloaded_worker.py`);
- the watcher is forked as well. It has watchdog's threads (`file_changes.py`).

So only a process without threads is ever forked (`children.py`). Each worker has a process group of its own:
a terminal's Ctrl-C reaches the reloader alone, which then signals the main process of each worker.
"""

import argparse
import gc
import importlib
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

from contentworker.runtime.development import reloaded_worker
from contentworker.runtime.development.children import Children, Report

__all__ = ["Reloader", "main"]

QUIET_SECONDS = 0.05
"""Saves that follow each other faster than this are one reload: an editor saves several files at once."""
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
"""Delay before a worker that died is replaced: the first one, doubled with each death up to the longest."""
STEADY_SECONDS = 60.0
"""A worker that served this long died of something new: the delay starts at the first one again."""
KILL_FROM = 3
"""Which interrupt ends workers at once, without putting their tasks back."""

FIRST_MODULES = ("celery.bin.celery", "celery.apps.worker", "pydantic")
"""Loaded while the watcher starts. The first worker reports what else there is to load."""


@dataclass(eq=False)
class _Worker:
    pid: int
    cause: str
    """The saved files that it was started for; empty for the first worker and after a death."""
    since: float
    """When its cause happened."""
    ready_at: float | None = None
    is_retired: bool = False
    running_tasks: int = 0
    """Tasks that it still ran when it was told to stop."""
    broken: str = ""
    """The file that its error is in, where it could not be loaded and the error tells."""
    retirement_line: str = ""
    """Start of the line to print as soon as the number of its running tasks is known."""


class Reloader:
    """Keeps a worker running with the code that was saved last; `run` returns the exit code."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._root = Path.cwd()
        self._pid = os.getpid()
        self._children = Children()
        self._workers: dict[int, _Worker] = {}
        self._serving: _Worker | None = None
        self._starting: _Worker | None = None
        self._start_at: float | None = None
        self._since = 0.0
        self._changed: dict[str, bool] = {}
        """Files saved since the serving worker was started, in order, and whether a save is still untried."""
        self._unloaded = [*FIRST_MODULES]
        self._deaths = 0
        self._was_ready = False
        self._interrupts = 0
        self._is_stopping = False
        self._exit_code = 0

    def run(self) -> int:
        """Serve until a signal ends it, and every worker has ended."""
        watcher = self._children.fork(self._watch)
        while self._unloaded:
            self._load_next()
        while self._workers or not self._is_stopping:
            for pid, word, value in self._children.events(self._timeout()):
                self._handle(self._workers.get(pid), word, value)
            if self._is_stopping:
                continue
            if self._start_at is not None and self._start_at <= time.monotonic():
                self._start()
            elif self._unloaded:
                self._load_next()
        self._children.send(watcher, signal.SIGKILL)
        return self._exit_code

    def _handle(self, worker: _Worker | None, word: str, value: str) -> None:
        match word:
            case "signal":
                self._signalled(int(value))
            case "watching":
                _say(f"reloads when one of these is saved: {', '.join(self._arguments.watch)}")
                self._start_at = self._since = time.monotonic()
            case "saved":
                self._saved(value)
            case "loaded":
                self._unloaded.append(value)
            case "broken" if worker:
                worker.broken = value
            case "ready" if worker:
                self._ready(worker)
            case "stopping" if worker:
                worker.running_tasks = int(value)
                self._say_what_still_runs(worker)
            case "ended" if worker:
                self._ended(worker, int(value))
            case "ended" if not self._is_stopping:
                _say("the process that watches the files has ended: stopping")
                self._stop(1)

    def _timeout(self) -> float | None:
        if self._is_stopping:
            return None
        if self._unloaded:
            return 0
        return None if self._start_at is None else max(0.0, self._start_at - time.monotonic())

    def _load_next(self) -> None:
        """Load a module that a worker had to load, so that the next worker has it from the beginning."""
        with suppress(Exception):  # it may need the project to load
            importlib.import_module(self._unloaded.pop(0))
        if not self._unloaded:
            gc.collect()
            gc.freeze()  # a worker's collector need not look at it, which would copy the shared memory

    def _watch(self, report: Report) -> int:
        from contentworker.runtime.development import file_changes

        arguments = self._arguments
        changes = file_changes.FileChanges(self._root, arguments.watch, arguments.ignore, _say)
        changes.start(polling=arguments.polling)
        report("watching", "")
        while os.getppid() == self._pid:
            for path in changes.next(1.0):
                report("saved", path)
        return 0

    def _saved(self, path: str) -> None:
        if self._is_stopping:
            return
        self._changed.pop(path, None)
        self._changed[path] = True
        self._since = time.monotonic()
        self._start_at = self._since + QUIET_SECONDS
        self._deaths = 0
        if self._starting is not None:  # it has the code before this save
            self._retire(self._starting)

    def _start(self) -> None:
        self._start_at = None
        for path in self._changed:
            # Python compares time in seconds and size only: after a second save within a second, of the
            # same size, it would take the cached bytecode of the first.
            with suppress(OSError):
                Path(cache_from_source(str(self._root / path))).unlink(missing_ok=True)
        # Name what is new: after a broken save, the next one is not about the older file.
        first, *others = (
            [path for path, is_new in self._changed.items() if is_new] or [*self._changed] or [""]
        )
        cause = f"{first} and {len(others)} more" if others else first
        pid = self._children.fork(self._serve)
        self._workers[pid] = self._starting = _Worker(pid, cause, self._since)

    def _serve(self, report: Report) -> int:
        changed = [*self._changed]
        return reloaded_worker.serve(self._arguments, self._root, changed, report, is_quiet=self._was_ready)

    def _ready(self, worker: _Worker) -> None:
        worker.ready_at, self._was_ready = time.monotonic(), True
        if worker is not self._starting:
            return
        old, self._serving, self._starting = self._serving, worker, None
        seconds = worker.ready_at - worker.since
        self._changed.clear()
        if old is not None:
            old.retirement_line = f"{worker.cause}: the new code serves after {seconds:.2f} s"
            self._retire(old)
        elif worker.cause:
            _say(f"{worker.cause}: a worker serves after {seconds:.2f} s")

    def _retire(self, worker: _Worker) -> None:
        """Have it finish what it runs, take nothing new, and end."""
        worker.is_retired = True
        if worker is self._starting:
            self._starting = None
        self._children.send(worker.pid, signal.SIGTERM)

    def _say_what_still_runs(self, worker: _Worker) -> None:
        number = worker.running_tasks
        tasks = "1 task still runs" if number == 1 else f"{number} tasks still run"
        if worker.retirement_line:
            _say(f"{worker.retirement_line}; {tasks} in the old worker")
        elif self._is_stopping and number:
            _say(f"stopping: {tasks}; Ctrl-C again ends {'it' if number == 1 else 'them'}")
        worker.retirement_line = ""

    def _ended(self, worker: _Worker, code: int) -> None:
        del self._workers[worker.pid]
        how = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        if worker.is_retired:
            if worker.retirement_line:
                self._say_what_still_runs(worker)
            elif worker.running_tasks:
                _say("the old worker has finished" if code == 0 else f"the old worker has ended: {how}")
            return
        was_starting = worker is self._starting
        if was_starting:
            self._starting = None
            self._changed = dict.fromkeys(self._changed, False)
        else:
            self._serving = None
        goes_on = "the previous worker goes on" if self._serving else "no worker runs"
        if code == reloaded_worker.EXIT_BROKEN:
            cause = worker.broken or worker.cause or self._arguments.app
            _say(f"{cause}: cannot be loaded; {goes_on} until the next save")
        elif code == os.EX_USAGE and self._serving is None:
            self._stop(code)
        elif was_starting and self._serving is not None:
            _say(f"{worker.cause}: the new worker ended before it was ready ({how}); {goes_on}")
        else:
            then = "" if self._starting or self._start_at else self._start_again(worker)
            _say(f"the worker ended unexpectedly ({how}){then}")

    def _start_again(self, worker: _Worker) -> str:
        """Replace a worker that died, later with each death; return how to say that."""
        now = time.monotonic()
        if worker.ready_at is not None and now - worker.ready_at > STEADY_SECONDS:
            self._deaths = 0
        delay_seconds = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2**self._deaths)
        self._deaths += 1
        self._since, self._start_at = now, now + delay_seconds
        return f"; another is started in {delay_seconds:g} s"

    def _signalled(self, signum: int) -> None:
        if signum == signal.SIGINT:
            self._interrupts += 1
        if signum == signal.SIGQUIT or (signum == signal.SIGINT and self._interrupts > 1):
            self._force()
        elif signum != signal.SIGCHLD and not self._is_stopping:
            self._stop(0)

    def _stop(self, code: int) -> None:
        self._is_stopping, self._exit_code = True, code
        for worker in self._workers.values():
            if not worker.is_retired:
                self._retire(worker)
            elif worker.running_tasks:
                self._say_what_still_runs(worker)

    def _force(self) -> None:
        """End what still runs: SIGQUIT puts tasks back into their queues, from the third time on SIGKILL."""
        self._is_stopping, self._exit_code = True, 1
        _say("ending at once; what is not finished goes back to its queue")
        for worker in self._workers.values():
            worker.is_retired = True
            if self._interrupts < KILL_FROM:
                self._children.send(worker.pid, signal.SIGQUIT)
            else:
                with suppress(ProcessLookupError):
                    os.killpg(worker.pid, signal.SIGKILL)


def _say(message: str) -> None:
    line = f"[reload] {message}".encode("utf-8", "backslashreplace").decode()
    with suppress(OSError):  # the terminal may be gone, and the reloader still waits for its workers
        print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Run the reloader, or whatever is forked from it. The working directory is the project's."""
    parser = argparse.ArgumentParser(prog="python -m contentworker.runtime.development.autoreload")
    parser.add_argument("--app", required=True, help="the application, as MODULE.NAME")
    parser.add_argument("--queue", action="append", default=[], help="serve this queue")
    parser.add_argument("--watch", action="append", default=[], help="reload when a file like this is saved")
    parser.add_argument("--ignore", action="append", default=[], help="skip folders like this")
    parser.add_argument("--polling", action="store_true", help="poll instead of using file system events")
    parser.add_argument("options", nargs="*", help="options of `celery worker`")
    return Reloader(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
