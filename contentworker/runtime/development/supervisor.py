"""Several programs in one terminal: started in order, restarted when they die, and ended in order.

    Supervisor(programs, state_folder, say, environ).run()

One process without threads reads what its programs print, and starts and signals them. Each program has a
session of its own: Ctrl-C in the terminal reaches this process alone, which passes it on in order.

If it is killed, its guard (`guard.py`) ends the programs. Other commands read its files (`up_files.py`).
"""

import graphlib
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from contentworker.errors import ConfigError
from contentworker.runtime.development.autoreload import (
    FIRST_DELAY_SECONDS,
    LONGEST_DELAY_SECONDS,
    STEADY_SECONDS,
)
from contentworker.runtime.development.guard import Guard, signal_group
from contentworker.runtime.development.up_files import Log, State, taken, write_states

__all__ = ["OWN_NAME", "Program", "Supervisor"]

OWN_NAME = "up"
"""Name in front of this process's own lines."""
LONGEST_LINE_BYTES = 65_536
LOOK_SECONDS = 1.0
"""Pause between two looks at the settings file."""
POLL_SECONDS = 0.1
"""Pause between two checks whether a program listens on its port yet."""
CONNECT_SECONDS = 0.5
KILL_FROM = 3
"""Which interrupt also kills what does not end of it."""
KILL_AFTER_SECONDS = 1.0


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
        with taken(self._folder), closing(Log(self._folder)) as self._log:
            self._handle_signals()
            after = {name: each.program.after for name, each in self._running.items()}
            with closing(Guard(after)) as self._guard:
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
                signal_group(each.process.pid, signal.SIGINT)
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
        self._guard.report(each.program.name, each.process.pid)
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
        self._guard.report(each.program.name, 0)
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
            signal_group(each.process.pid, signal.SIGINT)

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
                signal_group(each.process.pid, signum)

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
        self._log.write(name, text)
        try:
            self._print(name, text)
        except BlockingIOError:
            pass
        except OSError:  # the terminal is gone, or the program that read this
            if not self._is_stopping:
                self._interrupts = 1

    def _becomes(self, each: _Running, state: str, detail: str = "") -> None:
        if (each.state, each.detail) == (state, detail):
            return
        each.state, each.detail, each.since = state, detail, time.time()
        with suppress(OSError):  # a full disk
            write_states(self._folder, map(_state_of, self._running.values()))

    def _handle_signals(self) -> None:
        reading, writing = os.pipe()
        for pipe in (reading, writing):
            os.set_blocking(pipe, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
            if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup ignores SIGHUP: leave it so
                signal.signal(signum, lambda *_: None)
        self._selector.register(reading, selectors.EVENT_READ)


def _state_of(each: _Running) -> State:
    return State(
        each.program.name,
        each.state,
        each.detail,
        pid=each.process.pid if each.process else None,
        since=each.since,
        restarts=max(0, each.starts - 1),
    )


def _text_of(path: Path | None) -> bytes | None:
    with suppress(OSError):  # an editor may be putting another file in its place
        return path.read_bytes() if path else None
    return None


def _answers(address: tuple[str, int]) -> bool:
    with suppress(OSError), socket.create_connection(address, CONNECT_SECONDS):
        return True
    return False
