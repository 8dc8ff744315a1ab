"""The machine's systemd, told what to do with the commands that people type."""

import socket
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress

from contentworker.installer import addresses
from contentworker.installer.errors import InstallError, ServiceError
from contentworker.installer.layout import Layout

__all__ = ["Systemd"]

JOURNAL_LINES = 25
"""Lines of a failed unit's log that are shown."""
LISTEN_SECONDS = 60
"""Longest time from a service's start until it listens: Flower imports for 20 s on a slow machine."""
UNKNOWN_BYTES = 2**63
"""From here on a number of bytes means "unlimited" or "not known" to systemd."""
QUERY_SECONDS = 30
"""Longest time for an answer that does not wait for a service."""


class Systemd:
    """The service manager of a running system. Without one (`is_live` is false), every call does nothing.

    A unit that does not do what it is told raises a ServiceError, with the end of its log.
    """

    def __init__(self, layout: Layout, *, is_live: bool, patience_seconds: float) -> None:
        self.layout = layout
        self.is_live = is_live
        self.patience_seconds = patience_seconds

    def must(self, *command: str) -> None:
        """Run a command; raise an InstallError if it fails."""
        if problem := self._run(*command):
            raise InstallError(f"{' '.join(command)}: {problem}")

    def reload(self) -> None:
        """Have systemd read the unit files again."""
        self.must("systemctl", "daemon-reload")

    def disable(self, *units: str) -> None:
        """Let units no longer start with the machine."""
        self.must("systemctl", "disable", *units)

    def start(self, *units: str) -> None:
        """Start units, and wait until all are ready."""
        self._bring_up("start", units)

    def restart(self, *units: str) -> None:
        """Let units finish what they run, start them again, and wait until all are ready."""
        self._bring_up("restart", units)

    def stop(self, *units: str) -> None:
        """Let units finish what they run, and wait until they have stopped."""
        problem = self._run("systemctl", "stop", *units)
        for unit in units:
            if problem and self.state(unit) not in ("inactive", "failed", "unknown"):
                raise ServiceError(unit, f"did not stop: {problem}", self.journal(unit))

    def forget_failures(self, units: Iterable[str]) -> None:
        """Have systemd forget that units failed; it remembers that even of units that are gone."""
        self._run("systemctl", "reset-failed", *units)

    def state(self, unit: str) -> str:
        """The state of a unit: `active`, `inactive`, `failed` …; `unknown` without systemd."""
        return (self.is_live and self._output("systemctl", "is-active", unit)) or "unknown"

    def memory_bytes(self, unit: str) -> int:
        """The memory that a unit uses now; 0 if that is not known."""
        printed = self._output("systemctl", "show", "--property=MemoryCurrent", "--value", unit)
        return int(printed) if printed.isdecimal() and int(printed) < UNKNOWN_BYTES else 0

    def is_masked(self, unit: str) -> bool:
        """Whether a person forbade systemd to start a unit."""
        return self.is_live and self._output("systemctl", "is-enabled", unit).startswith("masked")

    def examine(self, unit: str) -> None:
        """Run the unit that checks a release; it ends when it has done its work."""
        since = self._cursor()
        if problem := self._run("systemctl", "start", unit):
            journal = self.journal(unit, since)
            self.forget_failures([unit])
            reason = f"this release would not run here, so no service was stopped for it ({problem})"
            raise ServiceError(unit, reason, journal)

    def journal(self, unit: str, since: str = "") -> str:
        """The last lines that a unit logged, after a place in the journal if one is given."""
        # Together with a cursor, --lines= means the first lines after it.
        which = f"--after-cursor={since}" if since else f"--lines={JOURNAL_LINES}"
        self._run("journalctl", "--sync")  # the last lines may still be on their way
        printed = self._output("journalctl", "--unit", unit, which, "--no-pager", "--output=cat")
        return "\n".join(printed.splitlines()[-JOURNAL_LINES:])

    def _cursor(self) -> str:
        """The place in the journal where it ends now; empty if that is not known."""
        if not self.is_live:
            return ""
        printed = self._output("journalctl", "--lines=0", "--show-cursor", "--no-pager", "--quiet")
        return printed.rpartition("cursor: ")[2] if "cursor: " in printed else ""

    def _output(self, *command: str) -> str:
        """What a command prints; empty if it cannot be run."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=QUERY_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip()

    def _bring_up(self, verb: str, units: tuple[str, ...]) -> None:
        if not self.is_live:
            return
        since = self._cursor()
        problem = self._run("systemctl", verb, *units)
        for unit in units:
            reason, address = "", addresses.of(self.layout, unit)
            if (state := self.state(unit)) != "active":
                reason = f"did not become ready (it is {state})" + (f": {problem}" if problem else "")
            elif address and not self._listens(unit, address):
                reason = f"does not listen on {address[0]}:{address[1]}"
            if reason:
                raise ServiceError(unit, reason, self.journal(unit, since))
        if problem:
            raise ServiceError(units[0], problem, self.journal(units[0], since))

    def _listens(self, unit: str, address: tuple[str, int]) -> bool:
        """Whether a service listens in time; false at once if it fails."""
        deadline = time.monotonic() + LISTEN_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(address, LISTEN_SECONDS):
                return True
            if self.state(unit) == "failed":
                return False
            time.sleep(0.1)
        return False

    def _run(self, *command: str) -> str:
        """Run a command; return why it failed, or an empty string."""
        if not self.is_live:
            return ""
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=self.patience_seconds,
                check=False,
            )
        except FileNotFoundError:
            return "there is no such command"
        except subprocess.TimeoutExpired:
            return f"not done within {self.patience_seconds:g} s"
        if done.returncode == 0:
            return ""
        return " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
