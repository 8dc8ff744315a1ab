"""Several programs in one terminal: started in order, restarted when they die, and ended in order.

    Supervisor(programs, state_folder, say, environ).run()

One process without threads reads what its programs print, and starts and signals them. Each program has a
session of its own: Ctrl-C in the terminal reaches this process alone, which passes it on in order.

A guard is forked from it: if this process is killed, the guard reads the end of a pipe and ends the programs.
Three files in the state folder: `up.lock`, locked while either of the two lives; `up.json`, the state of each
program; `up.log`, what they have printed, with `up.log.old` before it.
"""

import graphlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from contentworker.errors import ConfigError, ContentWorkerError
from contentworker.runtime.development.autoreload import (
    FIRST_DELAY_SECONDS,
    LONGEST_DELAY_SECONDS,
    STEADY_SECONDS,
)
from contentworker.runtime.development.redis_server import has_open, is_locked, locked

if sys.platform != "win32":
    import fcntl

__all__ = ["LOG", "OWN_NAME", "AlreadyRunsError", "Program", "State", "Supervisor", "is_running", "state"]

OWN_NAME = "up"
"""Name in front of this process's own lines."""
LOCK, RECORD, LOG = "up.lock", "up.json", "up.log"
LARGEST_LOG_BYTES = 10_000_000
"""Size at which the log becomes `up.log.old`."""
LONGEST_LINE_BYTES = 65_536
LOOK_SECONDS = 1.0
"""Pause between two looks at the settings file."""
POLL_SECONDS = 0.1
"""Pause between two checks whether a program listens on its port yet."""
CONNECT_SECONDS = 0.5
KILL_FROM = 3
"""Which interrupt also kills what does not end of it."""
KILL_AFTER_SECONDS = 1.0
GUARD_PATIENCE_SECONDS = (10.0, 5.0)
"""How long the guard lets a program finish what it runs after a first interrupt, and end after a second."""
COLOUR_CODE = re.compile(r"\x1b\[[0-9;]*m")


class AlreadyRunsError(ContentWorkerError):
    """Another process has this state folder's lock."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and when it counts as ready: at once, unless there is a text or an address to wait for."""

    name: str
    command: Sequence[str]
    after: Sequence[str] = ()
    """Programs that must be ready before it starts. It ends before they do."""
    ready_text: str = ""
    address: tuple[str, int] | None = None
    setting: str = ""
    """The setting that this address is from, to be named if another program has it."""
    reads_settings: bool = False
    """Whether it starts again when the settings file has changed."""


@dataclass(frozen=True, slots=True)
class State:
    """What `up.json` says of a program."""

    name: str
    state: str
    """`waiting`, `starting`, `ready`, `failed` (until it is started again), `stopping` or `ended`."""
    detail: str
    pid: int | None
    since: float
    """Seconds since the epoch at which the state began."""
    restarts: int


@dataclass(eq=False)
class _Running:
    """A program and its process, if it has one."""

    program: Program
    process: "subprocess.Popen[bytes] | None" = None
    state: str = "waiting"
    detail: str = ""
    since: float = field(default_factory=time.time)
    began: float = 0.0
    start_at: float | None = None
    deaths: int = 0
    starts: int = 0
    is_told: bool = False
    """Whether it was told to stop."""
    is_restarting: bool = False
    """Whether it was told to end, to start again with new settings."""


@dataclass(eq=False)
class _Output:
    """The pipe of a process: what it printed since its last whole line."""

    of: _Running
    descriptor: int
    unread: bytes = b""


class Supervisor:
    """Keeps programs running until a signal; the lines of each go to `say(name, line)` and to the log.

    When the text of `settings_file` changes, `reread` returns the new programs, or raises a ConfigError.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        folder: Path,
        say: Callable[[str, str], None],
        environ: Mapping[str, str],
        *,
        settings_file: Path | None = None,
        reread: Callable[[], Sequence[Program]] = tuple,
        stopped_by: str = "Ctrl-C",
    ) -> None:
        order = graphlib.TopologicalSorter({each.name: each.after for each in programs}).static_order()
        named = {program.name: program for program in programs}
        self._running = {name: _Running(named[name]) for name in order if name in named}
        self._folder, self._print, self._environ = folder, say, environ
        self._selector = selectors.DefaultSelector()
        self._stopped_by = stopped_by
        self._interrupts = 0
        self._kill_at: float | None = None
        self._log: Any = None
        self._settings_file, self._reread = settings_file, reread
        self._settings_text = _text_of(settings_file)
        self._look_at = 0.0

    @property
    def _is_stopping(self) -> bool:
        return self._interrupts > 0

    def run(self) -> int:
        """Run until SIGINT, SIGTERM or SIGHUP and return 0; 1 if it took force.

        Raises:
            AlreadyRunsError: the programs of this folder run already.
            OSError: the folder cannot be written to.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self._folder / LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB))
            except BlockingIOError:
                raise AlreadyRunsError("it runs already") from None
            stack.callback((self._folder / RECORD).unlink, missing_ok=True)
            self._open_log()
            stack.callback(self._log.close)
            self._handle_signals()
            guard, self._guarding = self._fork_guard()
            stack.callback(os.waitpid, guard, 0)
            stack.callback(os.close, self._guarding)
            self._loop()
        return int(self._interrupts > 1)

    def _loop(self) -> None:
        while True:
            self._step()
            if self._is_stopping and not any(each.process for each in self._running.values()):
                while self._read(0):  # what they printed last
                    pass
                return
            self._read(self._timeout())

    def _step(self) -> None:
        now = time.monotonic()
        for each in self._running.values():
            if each.process and (code := each.process.poll()) is not None:
                self._ended(each, code)
        if not self._is_stopping and self._look_at <= now:
            self._look_at = now + LOOK_SECONDS
            self._look_at_settings()
        for each in self._running.values():
            if self._is_stopping:
                self._stop_if_due(each)
            elif each.state in ("waiting", "failed") and (each.start_at is None or each.start_at <= now):
                self._start_if_due(each)
            elif each.state == "starting" and each.program.address and _answers(each.program.address):
                self._ready(each)
        if self._kill_at is not None and self._kill_at <= now:
            self._kill_at = None
            self._signal(signal.SIGKILL)

    def _look_at_settings(self) -> None:
        """Let programs that read the settings file end and start again, if it has changed and is valid."""
        text = _text_of(self._settings_file)
        if self._settings_file is None or text in (None, self._settings_text):
            return
        self._settings_text = text
        try:
            programs = {each.name: each for each in self._reread()}
        except ConfigError as error:
            first, *_ = str(error).splitlines()
            self._say(f"{first}; until that is right, everything runs with the old settings")
            return
        chosen = [each for each in self._running.values() if each.program.reads_settings and each.process]
        for each in chosen:
            each.program = programs.get(each.program.name, each.program)
            if each.process and not each.is_restarting:
                each.is_restarting = True
                self._becomes(each, "stopping")
                _signal_group(each.process.pid, signal.SIGINT)
        if chosen:
            names = ", ".join(each.program.name for each in chosen)
            self._say(
                f"{self._settings_file.name} changed: {names} start{'s' if len(chosen) == 1 else ''} again"
            )

    def _start_if_due(self, each: _Running) -> None:
        needed = [self._running[name] for name in each.program.after if name in self._running]
        missing = [other.program.name for other in needed if other.state != "ready"]
        if missing:
            self._becomes(each, "waiting", f"for {', '.join(missing)}")
            return
        address = each.program.address
        if address and _answers(address):
            self._failed(each, f"port {address[1]} is taken by another program ({each.program.setting})")
            return
        try:
            each.process = subprocess.Popen(
                each.program.command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self._failed(each, f"{each.program.command[0]}: {error.strerror}")
            return
        each.began, each.starts = time.monotonic(), each.starts + 1
        os.write(self._guarding, f"{each.program.name} {each.process.pid}\n".encode())
        assert each.process.stdout is not None  # noqa: S101 (it is a pipe)
        output = _Output(each, os.dup(each.process.stdout.fileno()))
        each.process.stdout.close()
        os.set_blocking(output.descriptor, False)
        self._selector.register(output.descriptor, selectors.EVENT_READ, output)
        self._becomes(each, "starting")
        if not each.program.ready_text and address is None:
            self._ready(each)

    def _ready(self, each: _Running) -> None:
        self._becomes(each, "ready")
        seconds = time.monotonic() - each.began
        after = f" after {seconds:.1f} s" if seconds > POLL_SECONDS else ""
        host, port = each.program.address or ("", 0)
        where = f": http://{f'[{host}]' if ':' in host else host}:{port}" if host else ""
        self._say(f"{each.program.name} is ready{after}{where}")
        if all(other.state == "ready" for other in self._running.values()):
            self._say(f"everything is ready; {self._stopped_by} stops it")

    def _ended(self, each: _Running, code: int) -> None:
        os.write(self._guarding, f"{each.program.name} 0\n".encode())
        was_ready, each.process = each.state == "ready", None
        how = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        if self._is_stopping:
            self._becomes(each, "ended")
            self._say(f"{each.program.name} has ended" + (f" ({how})" if code and not each.is_told else ""))
            return
        if each.is_restarting:
            each.is_restarting, each.start_at = False, None
            self._becomes(each, "waiting")
            return
        if was_ready and time.monotonic() - each.began > STEADY_SECONDS:
            each.deaths = 0
        self._failed(each, f"ended{'' if was_ready else ' before it was ready'} ({how})")

    def _failed(self, each: _Running, why: str) -> None:
        delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2**each.deaths)
        each.deaths += 1
        each.start_at = time.monotonic() + delay
        self._becomes(each, "failed", why)
        self._say(f"{each.program.name}: {why}; next start in {delay:g} s")

    def _stop_if_due(self, each: _Running) -> None:
        """Tell a program to stop once those that need it have ended."""
        if each.process is None:
            if each.state != "ended":
                self._becomes(each, "ended")
        elif not each.is_told and not self._is_needed(each):
            each.is_told = True
            self._becomes(each, "stopping")
            _signal_group(each.process.pid, signal.SIGINT)

    def _is_needed(self, each: _Running) -> bool:
        name = each.program.name
        return any(other.process and name in other.program.after for other in self._running.values())

    def _interrupted(self, signum: int) -> None:
        if signum == signal.SIGCHLD:
            return
        if not self._is_stopping:
            self._interrupts = 1
            self._say("stopping, which waits for running tasks; Ctrl-C again ends them")
        elif signum in (signal.SIGINT, signal.SIGQUIT):
            self._interrupts += 1
            self._say("ending at once; what is not finished goes back to its queue")
            self._signal(signal.SIGINT)
            if self._interrupts >= KILL_FROM:
                self._kill_at = time.monotonic() + KILL_AFTER_SECONDS

    def _signal(self, signum: signal.Signals) -> None:
        """Signal what was told to stop and still runs."""
        for each in self._running.values():
            if each.process and each.is_told:
                _signal_group(each.process.pid, signum)

    def _timeout(self) -> float | None:
        if any(each.state == "starting" and each.program.address for each in self._running.values()):
            return POLL_SECONDS
        moments = [
            each.start_at for each in self._running.values() if each.state == "failed" and each.start_at
        ]
        moments += [self._kill_at] if self._kill_at else []
        moments += [self._look_at] if self._settings_file and not self._is_stopping else []
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _read(self, timeout_seconds: float | None) -> bool:
        """Handle what is there within this time; return whether there was anything."""
        events = self._selector.select(timeout_seconds)
        for key, _ in events:
            if key.data is None:
                with suppress(BlockingIOError):
                    for signum in os.read(key.fd, 4096):
                        self._interrupted(signum)
            else:
                self._read_output(key.data)
        return bool(events)

    def _read_output(self, output: _Output) -> None:
        try:
            data = os.read(output.descriptor, LONGEST_LINE_BYTES)
        except BlockingIOError:
            return
        *lines, output.unread = (output.unread + data).split(b"\n")
        if output.unread and (not data or len(output.unread) > LONGEST_LINE_BYTES):
            lines, output.unread = [*lines, output.unread], b""
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            self._show(output.of.program.name, text)
            ready_text = output.of.program.ready_text
            if output.of.state == "starting" and ready_text and ready_text in text:
                self._ready(output.of)
        if not data:
            self._selector.unregister(output.descriptor)
            os.close(output.descriptor)

    def _say(self, text: str) -> None:
        self._show(OWN_NAME, text)

    def _show(self, name: str, text: str) -> None:
        with suppress(OSError):  # a full disk
            self._log.write(f"{name} | {COLOUR_CODE.sub('', text)}\n".encode())
            if self._log.tell() > LARGEST_LOG_BYTES:
                self._log.close()
                self._open_log()
        try:
            self._print(name, text)
        except BlockingIOError:
            pass
        except OSError:  # the terminal is gone, or the program that read this
            if not self._is_stopping:
                self._interrupts = 1

    def _open_log(self) -> None:
        path = self._folder / LOG
        with suppress(FileNotFoundError):
            path.replace(path.with_name(f"{LOG}.old"))
        self._log = path.open("wb", buffering=0)

    def _becomes(self, each: _Running, state: str, detail: str = "") -> None:
        if (each.state, each.detail) == (state, detail):
            return
        each.state, each.detail, each.since = state, detail, time.time()
        with suppress(OSError):  # a full disk
            self._write_record()

    def _write_record(self) -> None:
        record = {
            "pid": os.getpid(),
            "programs": [
                {
                    "name": name,
                    "state": each.state,
                    "detail": each.detail,
                    "pid": each.process.pid if each.process else None,
                    "since": each.since,
                    "restarts": max(0, each.starts - 1),
                }
                for name, each in self._running.items()
            ],
        }
        new = self._folder / f"{RECORD}.new"
        new.write_text(json.dumps(record))
        new.replace(self._folder / RECORD)

    def _handle_signals(self) -> None:
        reading, writing = os.pipe()
        for pipe in (reading, writing):
            os.set_blocking(pipe, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
            if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup ignores SIGHUP: leave it so
                signal.signal(signum, lambda *_: None)
        self._selector.register(reading, selectors.EVENT_READ)

    def _fork_guard(self) -> tuple[int, int]:
        """Fork the process that ends the programs if this one is killed; return its number and the pipe."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            self._guard(reading)
        os.close(reading)
        return pid, writing

    def _guard(self, reading: int) -> NoReturn:
        code = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            groups: dict[str, int] = {}
            with os.fdopen(reading) as reports:
                for report in reports:
                    name, _, pid = report.rstrip("\n").rpartition(" ")
                    groups[name] = int(pid)
            _end_in_order([each.program for each in self._running.values()], groups)
            code = 0
        finally:
            os._exit(code)


def is_running(folder: Path) -> bool:
    """Whether programs of this state folder run, or are being ended."""
    return is_locked(folder / LOCK)


def state(folder: Path) -> tuple[int, list[State]] | None:
    """The number of the supervising process and the state of each program; None if none runs."""
    if is_running(folder):
        with suppress(OSError, ValueError, LookupError, TypeError):
            record = json.loads((folder / RECORD).read_text())
            pid = int(record["pid"])
            if has_open(pid, folder / LOCK):  # killed, it left the record, and its guard has the lock
                return pid, [State(**each) for each in record["programs"]]
    return None


def _end_in_order(programs: Sequence[Program], groups: dict[str, int]) -> None:
    left = {name: pid for name, pid in groups.items() if pid}
    while left:
        needed = {name for program in programs if program.name in left for name in program.after}
        chosen = {name: pid for name, pid in left.items() if name not in needed}
        for patience_seconds in GUARD_PATIENCE_SECONDS:
            for pid in chosen.values():
                _signal_group(pid, signal.SIGINT)
            deadline = time.monotonic() + patience_seconds
            while any(map(_exists, chosen.values())) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
        for name, pid in chosen.items():
            _signal_group(pid, signal.SIGKILL)
            del left[name]


def _signal_group(pid: int, signum: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
        os.killpg(pid, signum)


def _exists(pid: int) -> bool:
    """Whether a process has not ended. In a container there may be none that collects those that have."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:  # only Linux has /proc
        return sys.platform != "linux"
    except (ProcessLookupError, PermissionError):
        return False


def _text_of(path: Path | None) -> bytes | None:
    with suppress(OSError):  # an editor may be putting another file in its place
        return path.read_bytes() if path else None
    return None


def _answers(address: tuple[str, int]) -> bool:
    with suppress(OSError), socket.create_connection(address, CONNECT_SECONDS):
        return True
    return False
