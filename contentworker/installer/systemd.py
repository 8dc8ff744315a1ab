"""systemd of the machine, told to do things by the commands that people type."""

import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from contentworker.installer.errors import InstallError, ServiceError

__all__ = ["Systemd"]

JOURNAL_LINES = 25
LISTEN_SECONDS = 60


class Systemd:
    """The service manager of a running system; where there is none to be told, every call is let pass."""

    def __init__(
        self, *, is_live: bool, patience_seconds: float, addresses: Mapping[str, tuple[str, int]]
    ) -> None:
        self.is_live = is_live
        self.patience_seconds = patience_seconds
        self.addresses = addresses
        """Of the units that do not tell when they are ready: where they then listen."""

    def create_users(self, file: str) -> None:
        self._must("systemd-sysusers", file)

    def create_folders(self, file: str) -> None:
        self._must("systemd-tmpfiles", "--create", file)

    def reload(self) -> None:
        """Have systemd read the units anew."""
        self._must("systemctl", "daemon-reload")

    def enable(self, *units: str) -> None:
        self._must("systemctl", "enable", *units)

    def disable(self, *units: str) -> None:
        self._must("systemctl", "disable", *units)

    def start(self, *units: str) -> None:
        """Start, and wait until all are ready.

        Raises:
            ServiceError: of the first that is not, with what it logged.
        """
        self._bring_up("start", units)

    def restart(self, *units: str) -> None:
        """Let them end what they are at, start them anew, and wait until all are ready.

        Raises:
            ServiceError: of the first that is not, with what it logged.
        """
        self._bring_up("restart", units)

    def stop(self, *units: str) -> None:
        """Let them end what they are at, and wait for it.

        Raises:
            ServiceError: of the first that did not stop.
        """
        done = self._run("systemctl", "stop", *units)
        for unit in units:
            if done and self.state(unit) not in ("inactive", "failed", "unknown"):
                raise ServiceError(unit, f"did not stop: {done}", self.journal(unit))

    def forget_failures(self, units: Iterable[str]) -> None:
        """Of units that are gone, systemd remembers that they failed."""
        self._run("systemctl", "reset-failed", *units)

    def state(self, unit: str) -> str:
        """`active`, `inactive`, `failed` …; `unknown` where nobody can be asked."""
        if not self.is_live:
            return "unknown"
        command = ["systemctl", "is-active", unit]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() or "unknown"

    def journal(self, unit: str) -> str:
        """The last lines that a unit logged."""
        command = ["journalctl", "--unit", unit, "--lines", str(JOURNAL_LINES), "--no-pager", "--output=cat"]
        self._run("journalctl", "--sync")  # what it said last may be on its way
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip()

    def _bring_up(self, verb: str, units: tuple[str, ...]) -> None:
        if not self.is_live:
            return
        problem = self._run("systemctl", verb, *units)
        for unit in units:
            state = self.state(unit)
            if state != "active":
                raise ServiceError(unit, f"did not become ready (it is {state})", self.journal(unit))
            if unit in self.addresses and not self._listens(unit):
                host, port = self.addresses[unit]
                raise ServiceError(unit, f"does not listen on {host}:{port}", self.journal(unit))
        if problem:
            raise ServiceError(units[0], problem, self.journal(units[0]))

    def _listens(self, unit: str) -> bool:
        """Whether it listens within the time; one that fails is not waited for."""
        deadline = time.monotonic() + LISTEN_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(self.addresses[unit], LISTEN_SECONDS):
                return True
            if self.state(unit) == "failed":
                return False
            time.sleep(0.1)
        return False

    def _must(self, *command: str) -> None:
        if problem := self._run(*command):
            raise InstallError(f"{' '.join(command)}: {problem}")

    def _run(self, *command: str) -> str:
        """Run a command; return why it failed, or nothing."""
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
