"""A worker that is replaced when a file is saved: the new one is ready before the old one takes its leave.

Three kinds of process, so that only a process without threads is ever forked:

- the reloader loads third-party modules, once, and never the project's own; it starts and signals workers;
- a worker is forked from it, loads the project and becomes `celery worker`;
- the watcher, forked as well, has watchdog's threads and writes what is saved into a pipe.

Workers have process groups of their own: a terminal's Ctrl-C reaches the reloader alone, which signals the
main process of each worker.
"""

import argparse
import gc
import importlib
import os
import selectors
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import cache_from_source
from pathlib import Path

__all__ = ["Reloader", "main"]

QUIET_SECONDS = 0.05
"""Saves that follow each other faster than this are one, as are those before the new worker is ready."""
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
"""Before a worker that died by itself is replaced: doubled each time, up to this."""
STEADY_SECONDS = 60.0
"""A worker that served for this long has died of something new: the delay begins small again."""

EXIT_BROKEN = os.EX_DATAERR
"""Of a worker that could not load its code or configuration; it has said why."""

FIRST_MODULES = ("celery.bin.celery", "celery.apps.worker", "pydantic")
"""Loaded while the watcher starts. What else there is to load, a worker says when it is ready."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)


class _ForkedError(BaseException):
    """Leaves the reloader's stack in a forked process, which then becomes what it was forked for."""

    def __init__(self, become: Callable[[], int]) -> None:
        self.become = become


@dataclass(eq=False)
class _Worker:
    pid: int
    pipe: int
    since: float
    """When that happened for which it was started: a save, or the death of the one before."""
    cause: str
    unread: bytes = b""
    ready_at: float | None = None
    is_retired: bool = False
    tasks: int = 0
    """What it still ran when it was told to stop."""
    epitaph: str = ""
    """Begins the line that is printed once it has said how many tasks it still runs."""


@dataclass
class Reloader:
    """Keeps a worker running with the code that was saved last; `run` returns the exit code."""

    arguments: argparse.Namespace
    root: Path = field(default_factory=Path.cwd)

    _wakeup: tuple[int, int] = field(default_factory=os.pipe)
    _selector: selectors.BaseSelector = field(default_factory=selectors.SelectSelector)
    _workers: list[_Worker] = field(default_factory=list)
    _serving: _Worker | None = None
    _starting: _Worker | None = None
    _start_at: float | None = None
    _since: float = 0.0
    _changed: dict[str, None] = field(default_factory=dict)
    """Files saved since the serving worker was started, in their order."""
    _unloaded: list[str] = field(default_factory=list)
    _deaths: int = 0
    _was_ready: bool = False
    _interrupts: int = 0
    _is_stopping: bool = False
    _exit_code: int = 0

    def run(self) -> int:
        """Serve until a signal ends it, and every worker has ended."""
        wake, waker = self._wakeup
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for signum in SIGNALS:
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, lambda *_: None)
        self._selector.register(wake, selectors.EVENT_READ, lambda: self._signalled(os.read(wake, 64)))
        watcher = self._watch()
        self._unloaded.extend(FIRST_MODULES)
        while self._unloaded:
            self._load_next()
        while self._workers or not self._is_stopping:
            for key, _ in self._selector.select(self._timeout()):
                key.data()
            self._bury()
            if self._is_stopping:
                continue
            if self._start_at is not None and self._start_at <= time.monotonic():
                self._start()
            elif self._unloaded:
                self._load_next()
        os.kill(watcher, signal.SIGKILL)
        return self._exit_code

    def _timeout(self) -> float | None:
        if self._is_stopping:
            return None
        if self._unloaded:
            return 0
        return None if self._start_at is None else max(0.0, self._start_at - time.monotonic())

    def _load_next(self) -> None:
        """Load a module that a worker had to load, so that the next has it from the beginning."""
        with suppress(Exception):  # what it needs may not be there without the project
            importlib.import_module(self._unloaded.pop(0))
        if not self._unloaded:
            gc.collect()
            gc.freeze()  # the workers' collector need not look at it, which would also copy its memory

    def _fork(self, become: Callable[[int], int]) -> tuple[int, int]:
        """Fork a process with default signals and a pipe to here; return its number and the pipe's end."""
        theirs, ours = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            for signum in SIGNALS:
                if signal.getsignal(signum) is not signal.SIG_IGN:
                    signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            for pipe in (theirs, self._wakeup[1], *(key.fd for key in self._selector.get_map().values())):
                os.close(pipe)
            # It is not the terminal's foreground process: to read from there would stop it.
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            raise _ForkedError(lambda: become(ours))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(ours)
        os.set_blocking(theirs, False)
        return pid, theirs

    def _watch(self) -> int:
        pid, pipe = self._fork(lambda out: _watch(self.arguments, self.root, os.getppid(), out))
        unread = b""

        def read() -> None:
            nonlocal unread
            data = os.read(pipe, 65536)
            *paths, unread = (unread + data).split(b"\0")
            if not data:
                self._selector.unregister(pipe)
                if not self._is_stopping:
                    _say("the watcher of the files has ended: stopping")
                    self._stop(1)
            elif b"" in paths:  # its first word: it watches
                _say(f"reloads when one of these is saved: {', '.join(self.arguments.watch)}")
                self._start_at = self._since = time.monotonic()
            self._saved([os.fsdecode(path) for path in paths if path])

        self._selector.register(pipe, selectors.EVENT_READ, read)
        return pid

    def _saved(self, paths: list[str]) -> None:
        if not paths or self._is_stopping:
            return
        if self._starting is not None:
            self._read(self._starting)  # it may have said since the last look that it is ready
        self._changed.update(dict.fromkeys(paths))
        self._since = time.monotonic()
        self._start_at = self._since + QUIET_SECONDS
        self._deaths = 0
        if self._starting is not None:  # it has the code before this save
            self._retire(self._starting)

    def _start(self) -> None:
        self._start_at = None
        for path in self._changed:
            # A second save within a second, of the same size, would not make a cached one invalid.
            with suppress(OSError):
                Path(cache_from_source(str(self.root / path))).unlink(missing_ok=True)
        first, *others = self._changed or [""]
        cause = f"{first} and {len(others)} more" if others else first
        quiet, changed = self._was_ready, list(self._changed)
        pid, pipe = self._fork(lambda out: _serve(self.arguments, self.root, changed, quiet, out))
        self._starting = worker = _Worker(pid, pipe, self._since, cause)
        self._workers.append(worker)
        self._selector.register(pipe, selectors.EVENT_READ, lambda: self._read(worker))

    def _read(self, worker: _Worker) -> None:
        data = b"\n"
        while data and worker.pipe >= 0:
            try:
                data = os.read(worker.pipe, 65536)
            except BlockingIOError:
                return
            *lines, worker.unread = (worker.unread + data).split(b"\n")
            for line in lines:
                word, _, value = line.decode().partition(" ")
                if word == "loaded":
                    self._unloaded.append(value)
                elif word == "ready":
                    self._ready(worker)
                elif word == "draining":
                    worker.tasks = int(value)
                    self._say_what_drains(worker)
        self._close(worker)

    def _close(self, worker: _Worker) -> None:
        if worker.pipe >= 0:
            self._selector.unregister(worker.pipe)
            os.close(worker.pipe)
            worker.pipe = -1

    def _ready(self, worker: _Worker) -> None:
        worker.ready_at, self._was_ready = time.monotonic(), True
        if worker is not self._starting:
            return
        old, self._serving, self._starting = self._serving, worker, None
        seconds = worker.ready_at - worker.since
        self._changed.clear()
        if old is not None:
            old.epitaph = f"{worker.cause}: the new code serves after {seconds:.2f} s"
            self._retire(old)
        elif worker.cause:
            _say(f"{worker.cause}: a worker serves after {seconds:.2f} s")

    def _retire(self, worker: _Worker) -> None:
        """Have it finish what it runs, take nothing new, and end."""
        worker.is_retired = True
        if worker is self._starting:
            self._starting = None
        os.kill(worker.pid, signal.SIGTERM)

    def _say_what_drains(self, worker: _Worker) -> None:
        one = worker.tasks == 1
        tasks = "1 task still runs" if one else f"{worker.tasks} tasks still run"
        if worker.epitaph:
            _say(f"{worker.epitaph}; {tasks} in the old worker")
        elif self._is_stopping and worker.tasks:
            _say(f"stopping: {tasks}; Ctrl-C again ends {'it' if one else 'them'}")
        worker.epitaph = ""

    def _bury(self) -> None:
        """Ask of every worker whether it has ended, and see to what follows from that."""
        for worker in list(self._workers):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if not pid:
                continue
            self._read(worker)
            self._close(worker)  # a process that it forked may still have the other end
            self._workers.remove(worker)
            self._ended(worker, os.waitstatus_to_exitcode(status))

    def _ended(self, worker: _Worker, code: int) -> None:
        how = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        if worker.is_retired:
            if worker.epitaph:
                self._say_what_drains(worker)
            elif worker.tasks:
                _say("the old worker has finished" if code == 0 else f"the old worker has ended: {how}")
            return
        was_starting = worker is self._starting
        if was_starting:
            self._starting = None
        else:
            self._serving = None
        goes_on = "the worker before goes on" if self._serving else "no worker runs"
        if code == EXIT_BROKEN:
            _say(f"{worker.cause or self.arguments.app}: cannot be loaded; {goes_on} until the next save")
        elif code == os.EX_USAGE and self._serving is None:
            self._stop(code)
        elif was_starting and self._serving is not None:
            _say(f"{worker.cause}: the new worker ended before it was ready ({how}); {goes_on}")
        else:
            then = "" if self._starting or self._start_at else self._start_again(worker)
            _say(f"the worker ended by itself ({how}){then}")

    def _start_again(self, worker: _Worker) -> str:
        """Replace a worker that died, the later the more often it happens; return how to say that."""
        now = time.monotonic()
        if worker.ready_at is not None and now - worker.ready_at > STEADY_SECONDS:
            self._deaths = 0
        delay_seconds = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2**self._deaths)
        self._deaths += 1
        self._since, self._start_at = now, now + delay_seconds
        return f"; another is started in {delay_seconds:g} s"

    def _signalled(self, signums: bytes) -> None:
        for signum in signums:
            if signum == signal.SIGINT:
                self._interrupts += 1
                if self._interrupts > 1:
                    self._force()
            if signum == signal.SIGQUIT:
                self._force()
            if signum != signal.SIGCHLD and not self._is_stopping:
                self._stop(0)

    def _stop(self, code: int) -> None:
        self._is_stopping, self._exit_code = True, code
        for worker in self._workers:
            if not worker.is_retired:
                self._retire(worker)
            elif worker.tasks:
                self._say_what_drains(worker)

    def _force(self) -> None:
        """End what still runs; from the third time on without asking."""
        self._is_stopping, self._exit_code = True, 1
        _say("ending at once; what is not finished goes back to its queue")
        for worker in self._workers:
            worker.is_retired = True
            if self._interrupts <= 2:
                os.kill(worker.pid, signal.SIGQUIT)
            else:
                with suppress(ProcessLookupError):
                    os.killpg(worker.pid, signal.SIGKILL)


def _say(message: str) -> None:
    line = f"[reload] {message}".encode("utf-8", "backslashreplace").decode()
    with suppress(OSError):  # the terminal may be gone, and the workers are still to be waited for
        print(line, file=sys.stderr, flush=True)


def _watch(arguments: argparse.Namespace, root: Path, parent: int, out: int) -> int:
    """What the watcher does, for as long as the reloader is there."""
    from contentworker.runtime.file_changes import FileChanges

    changes = FileChanges(root, arguments.watch, arguments.ignore, _say)
    changes.start(polling=arguments.polling)
    os.write(out, b"\0")
    while os.getppid() == parent:
        for path in changes.next(1.0):
            os.write(out, os.fsencode(path) + b"\0")
    return 0


def _serve(arguments: argparse.Namespace, root: Path, changed: list[str], quiet: bool, out: int) -> int:
    """What a worker does: load the project, and be a Celery worker until it is told to stop."""
    inherited = set(sys.modules)
    for name in ("contentworker.runtime", "contentworker"):  # this module's packages
        sys.modules.pop(name, None)
    try:
        for path in changed:  # the application may load some of them only when a task runs
            if path.endswith(".py") and (root / path).exists():
                compile((root / path).read_bytes(), path, "exec", dont_inherit=True)
        from contentworker.runtime import command_line, pool_children

        pool_children.die_with_parent(signal.SIGTERM)
        module, _, name = arguments.app.rpartition(".")
        app = getattr(importlib.import_module(module), name)
        options = [
            *command_line.worker_options(app.runtime_settings, arguments.queue),
            *command_line.DEVELOPMENT_OPTIONS,
            f"--hostname=celery-{os.getpid()}@%h",
            *arguments.options,
        ]
    except BaseException as error:
        _explain(error)
        return EXIT_BROKEN

    import click
    from celery import platforms, signals
    from celery.worker import state

    if quiet:  # it has been said
        warnings.simplefilter("ignore", platforms.SecurityWarning)

    @signals.worker_ready.connect(weak=False)
    def ready(**_: object) -> None:
        for name in _third_party(inherited, root):
            os.write(out, f"loaded {name}\n".encode())
        os.write(out, b"ready\n")

    @signals.worker_shutting_down.connect(weak=False)
    def draining(**_: object) -> None:
        os.write(out, b"draining %d\n" % len(state.active_requests))

    try:
        app.worker_main([*(["--quiet"] if quiet else []), "worker", *options])
    except click.ClickException as error:
        error.show()
        return os.EX_USAGE
    return 0


def _third_party(known: set[str], root: Path) -> list[str]:
    """Modules that were loaded since and are not of the project, in the order in which they were loaded."""
    names = []
    for name, module in list(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        if name in known or not origin:
            continue
        path = Path(origin)
        inside = path.relative_to(root).parts if path.is_relative_to(root) else ()
        # A virtual environment may lie in the project.
        if not inside or inside[0].startswith(".") or "site-packages" in inside:
            names.append(name)
    return names


def _explain(error: BaseException) -> None:
    """Print why the project cannot be loaded: a line where it has one, else what is ours of the traceback."""
    errors = sys.modules.get("contentworker.errors")
    if isinstance(error, SystemExit) or (errors and isinstance(error, errors.ContentWorkerError)):
        print(error, file=sys.stderr, flush=True)
        return
    summary = traceback.TracebackException.from_exception(error)
    ours = [frame for frame in summary.stack if "importlib" not in frame.filename][1:]
    summary.stack = traceback.StackSummary.from_list(ours)
    print("".join(summary.format()), end="", file=sys.stderr, flush=True)


def main() -> int:
    """Run the reloader, or whatever is forked from it. The working directory is the project's."""
    parser = argparse.ArgumentParser(prog="python -m contentworker.runtime.autoreload")
    parser.add_argument("--app", required=True, help="the application, as MODULE.NAME")
    parser.add_argument("--queue", action="append", default=[], help="serve this queue")
    parser.add_argument("--watch", action="append", default=[], help="reload when a file like this is saved")
    parser.add_argument("--ignore", action="append", default=[], help="do not look into folders like this")
    parser.add_argument("--polling", action="store_true", help="do not rely on the file system's events")
    parser.add_argument("options", nargs="*", help="options of `celery worker`")
    try:
        return Reloader(parser.parse_args()).run()
    except _ForkedError as forked:
        become = forked.become
    return become()


if __name__ == "__main__":
    sys.exit(main())
