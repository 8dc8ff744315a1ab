"""A machine that boots a real systemd, in namespaces of this one: what it runs is run for real.

Not enforced in there, where the machine keeps those controllers to itself: MemoryMax, TasksMax, CPUQuota.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.support import PATIENCE, Process, environment, wait_until

SCRIPT = Path(__file__).with_name("boot.sh")
FORWARDER = Path(__file__).with_name("forward.py")
PROGRAMS = ("/lib/systemd/systemd", "nsenter", "setpriv", "unshare")
CLEAN_ENVIRONMENT = ("env", "-i", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
LINES_SHOWN = 200


def cannot_boot() -> str:
    """Why such a machine cannot be had here; empty where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "root on Linux, who may make namespaces"
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        return f"for a boot of systemd: {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "--mount", "--propagation=private", "mount", "-t", "cgroup2", "cgroup2", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"namespaces and control groups of version 2: {tried.stderr}" if tried.returncode else ""


class Machine:
    """Systemd over a throw-away copy of this machine's root, with a network of its own that leads nowhere.

    `files` is copied over that root before the boot, each folder of `binds` is mounted read-only where it
    says. Leaving the block powers the machine off; nothing of it stays, also when this process is killed.
    """

    def __init__(self, folder: Path, *, files: Path, binds: Mapping[Path, str] | None = None) -> None:
        self._folder = folder
        self._pid_file = folder / "pid"
        arguments = [f"{source}={target}" for source, target in (binds or {}).items()]
        # TERM, and not KILL: the script ends the machine, and then removes its control group.
        self._command = [
            *("setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "--propagation=private"),
            *("bash", str(SCRIPT), str(folder), str(files), *arguments),
        ]
        self.pid = 0

    def __enter__(self) -> Self:
        self._process = Process(self._command, self._folder, environment())
        try:
            self._wait_for_boot()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Power it off, as `shutdown` does; what hangs then is killed."""
        try:
            os.kill(self.pid, signal.SIGRTMIN + 4)
            self._process.wait()
        finally:
            self.kill()

    def kill(self) -> None:
        """End everything of it at once, as a power cut does, but for what is on its disk."""
        if self._process.is_alive:
            self._process.kill(signal.SIGTERM)
            self._process.wait()
        self._process.stop()

    def reboot(self) -> None:
        """Shut down and boot again from the same disk; return when all that is enabled was started."""
        before = self.pid
        self._pid_file.unlink()
        self.systemctl("reboot", check=False)  # which may lose its connection
        self._wait_for_boot()
        assert self.pid != before

    def _wait_for_boot(self) -> None:
        def booted() -> bool:
            assert self._process.is_alive, self._process.log()
            return self._pid_file.exists() and self._pid_file.read_text().endswith("\n")

        wait_until(booted, "process 1 of the machine")
        self.pid = int(self._pid_file.read_text())
        ready = Path("/proc", str(self.pid), "root/run/systemd/private")
        wait_until(lambda: booted() and ready.exists() and not self._is_of_host(), "systemd's own socket")
        state = self.systemctl("is-system-running", "--wait", check=False).stdout.strip()
        assert state == "running", f"{state}\n{self.systemctl('--failed').stdout}\n{self.journal()}"

    def _is_of_host(self) -> bool:
        """Before it enters its own root, process 1 sees the sockets of this machine's systemd."""
        return Path("/proc", str(self.pid), "root").stat() == Path("/").stat()

    def run(
        self,
        *command: str,
        check: bool = True,
        input: str | None = None,  # noqa: A002 (named as in subprocess.run())
        timeout: float = 4 * PATIENCE,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine, as its root, to its end."""
        done = subprocess.run(
            ["nsenter", "--target", str(self.pid), "--all", *CLEAN_ENVIRONMENT, *command],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def output(self, *command: str) -> str:
        """What a command prints."""
        return self.run(*command).stdout

    def systemctl(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("systemctl", *arguments, check=check)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit, as systemd knows it."""
        return self.output("systemctl", "show", f"--property={name}", "--value", unit).strip()

    def main_pid(self, unit: str) -> int:
        """The main process of a unit as this machine numbers it; 0 where it has none."""
        return int(self.show(unit, "MainPID"))

    def is_active(self, unit: str) -> bool:
        return self.show(unit, "ActiveState") == "active"

    def wait_active(self, unit: str) -> None:
        wait_until(lambda: self.is_active(unit), f"{unit} to be active")

    def journal(self, unit: str | None = None) -> str:
        """What a unit, or everybody, wrote since the machine was booted: messages only."""
        chosen = [f"--unit={unit}"] if unit else [f"--lines={LINES_SHOWN}"]
        self.sync_journal()
        return self.output("journalctl", "--boot", "--no-pager", "--output=cat", *chosen)

    def sync_journal(self) -> None:
        """Wait until the journal has what was sent to it: senders do not wait for that."""
        self.run("journalctl", "--sync")

    def connect(self, other: "Machine", own: str, others: str) -> None:
        """Lay a cable between two machines, each with an address; this machine's network has no part."""
        cable = ("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable")
        here = ("nsenter", "--target", str(self.pid), "--net")  # by whose numbers the other is known
        subprocess.run([*here, *cable, "netns", str(other.pid)], check=True)
        for machine, address in ((self, own), (other, others)):
            machine.run("ip", "address", "add", f"{address}/24", "dev", "cable")
            machine.run("ip", "link", "set", "cable", "up")

    def path(self, path: str) -> Path:
        """A file of the machine as seen from here, to read or to write."""
        return Path("/proc", str(self.pid), "root", path.lstrip("/"))

    @contextmanager
    def forwarded(self, port: int) -> Iterator[int]:
        """A port of this machine's loopback that leads to that one of the other's."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            command = ["nsenter", "--target", str(self.pid), "--net", sys.executable, str(FORWARDER)]
            own = int(server.getsockname()[1])
            forwarder = subprocess.Popen(
                [*command, str(server.fileno()), str(port)], pass_fds=[server.fileno()]
            )
        try:
            yield own
        finally:
            forwarder.kill()
            forwarder.wait()
