"""Processes forked from one without threads: their reports and their ends, in the order they happen."""

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

__all__ = ["Children", "Report"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)

Report = Callable[[str, object], None]
"""Tells the parent a word and a value."""


class Children:
    """Forks processes, and yields what they report through one pipe: "PID WORD VALUE" and a zero byte."""

    def __init__(self) -> None:
        self._pids: list[int] = []
        self._unread = b""
        self._reports, self._reporting = os.pipe()
        self._wakeup, self._waker = os.pipe()
        for pipe in (self._reports, self._waker):
            os.set_blocking(pipe, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self._handle_signals(lambda *_: None)

    def fork(self, become: Callable[[Report], int]) -> int:
        """Fork a process with default signals and a process group of its own; return its number.

        The forked process becomes what it was forked for, and exits with the code that this returns.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            self._handle_signals(signal.SIG_DFL)
            for pipe in (self._reports, self._wakeup, self._waker):
                os.close(pipe)
            # It is not the terminal's foreground process: reading from the terminal would stop it.
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if pid == 0:
            sys.exit(become(self._report))
        self._pids.append(pid)
        return pid

    def events(self, timeout_seconds: float | None) -> Iterator[tuple[int, str, str]]:
        """Wait for something to happen; yield all of it as process number, word and value.

        The words are those of the children, `signal` for a signal to this process, and `ended` with an exit
        code, which comes after the last report of its process.
        """
        readable, _, _ = select.select([self._reports, self._wakeup], [], [], timeout_seconds)
        for signum in os.read(self._wakeup, 64) if self._wakeup in readable else b"":
            yield 0, "signal", str(signum)
        ended = {}
        for pid in [*self._pids]:
            has_ended, status = os.waitpid(pid, os.WNOHANG)
            if has_ended:
                self._pids.remove(pid)
                ended[pid] = os.waitstatus_to_exitcode(status)
        with suppress(BlockingIOError):
            while True:
                self._unread += os.read(self._reports, 65536)
        *reports, self._unread = self._unread.split(b"\0")
        for report in reports:
            sender, word, value = os.fsdecode(report).split(" ", 2)
            yield int(sender), word, value
        for pid, code in ended.items():
            yield pid, "ended", str(code)

    def send(self, pid: int, signum: int) -> None:
        """Signal a child, unless it has ended: its number may be another process's then."""
        if pid in self._pids:
            os.kill(pid, signum)

    def _report(self, word: str, value: object) -> None:
        # One write, which is atomic up to 4 KB: several processes share the pipe.
        os.write(self._reporting, os.fsencode(f"{os.getpid()} {word} {value}\0"))

    @staticmethod
    def _handle_signals(handler: Callable[..., None] | signal.Handlers) -> None:
        for signum in SIGNALS:
            if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup ignores SIGHUP: leave it so
                signal.signal(signum, handler)
