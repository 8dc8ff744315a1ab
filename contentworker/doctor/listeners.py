"""Which process listens on a TCP port of this machine, and for which checkout, as far as this user sees."""

import errno
import re
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Listener", "bind_problem", "checkout", "find", "owner"]

LISTENING = "0A"
"""The state of a listening socket in /proc/net/tcp."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A process that listens on a port."""

    pid: int
    name: str
    folder: Path | None
    """Its working directory; None if unknown."""
    words: tuple[str, ...]
    """Its command line."""

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def bind_problem(host: str, port: int) -> OSError | None:
    """Why a server could not listen there now; None if it could. `EADDRINUSE`: another process does."""
    # On macOS one address can be bound beside another process's wildcard listener: try both.
    for each in (host, "0.0.0.0"):  # noqa: S104 (a probe, closed at once)
        try:
            family, kind, _, _, address = socket.getaddrinfo(each, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            if each == host or error.errno == errno.EADDRINUSE:
                return error
    return None


def find(port: int) -> Listener | None:
    """The process that listens on a port; None if there is none, or one of another user or container."""
    return _from_proc(port) if sys.platform == "linux" else _from_lsof(port)


def owner(listener: Listener, root: Path) -> str:
    """Name of the process, and whether it belongs to this checkout, to another or to none."""
    folder = checkout(listener)
    if folder is None:
        return f"{listener}, which is not ours"
    return f"{listener} of this checkout" if folder == root else f"{listener} of the checkout {folder}"


def checkout(listener: Listener) -> Path | None:
    """The checkout that a process belongs to, by its working directory (a local Redis runs in its data)."""
    folders = [listener.folder, *listener.folder.parents] if listener.folder else []
    return next((folder for folder in folders if (folder / "worker.toml").exists()), None)


def _from_proc(port: int) -> Listener | None:
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    processes = sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    for pid in processes if sockets else ():
        with suppress(OSError):  # the process ended, or is another user's
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):
                    if str(descriptor.readlink()) in sockets:
                        name = Path(f"/proc/{pid}/comm").read_text("utf-8").strip()
                        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
                        folder = Path(f"/proc/{pid}/cwd").readlink()
                        return Listener(pid, name, folder, tuple(words.split("\0")))
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):  # no IPv6
            for line in Path("/proc/net", table).read_text("ascii").splitlines()[1:]:
                _, local, _, state, *rest = line.split()
                if state == LISTENING and int(local.rpartition(":")[2], 16) == port:
                    inodes.add(rest[5])
    return inodes


def _from_lsof(port: int) -> Listener | None:
    listening = _output("lsof", "-nP", "-a", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc")
    process = re.search(r"^p(\d+)\nc(.+)$", listening, re.MULTILINE)
    if not process:
        return None
    about = _output("lsof", "-nP", "-a", "-p", process[1], "-d", "cwd", "-Fn")
    folder = re.search(r"^n(.+)$", about, re.MULTILINE)
    words = _output("ps", "-o", "args=", "-p", process[1]).split()
    return Listener(int(process[1]), process[2], Path(folder[1]) if folder else None, tuple(words))


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
