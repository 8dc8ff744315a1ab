"""Whether a holder's process has ended. On the same machine, others know this before its lease is over."""

import hashlib
import os
import socket
from functools import cache
from pathlib import Path

__all__ = ["has_ended", "identity"]

BOOT_ID = "WORKER_BOOT_ID"
"""Environment variable with the kernel's boot id, for sandboxes that hide the file."""


def identity() -> str:
    """A name by which others can look for this process: host, place (boot and PID namespace), and PID."""
    return f"{socket.gethostname()}:{_place()}:{os.getpid()}"


def has_ended(name: str) -> bool:
    """Whether the process of a holder is known to have ended. The holder's name begins with its identity.

    False if that is not known: on another machine, in another container, or if the PID is in use again. A
    frozen process has not ended.
    """
    host, _, rest = name.partition(":")
    place, _, rest = rest.partition(":")
    number = rest.partition(":")[0]
    if not place or f"{host}:{place}" != f"{socket.gethostname()}:{_place()}" or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
        state = Path(f"/proc/{number}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError) as error:
        return isinstance(error, ProcessLookupError)  # systemd's `ProtectProc` may hide the file
    except OSError:  # another user's process
        return False
    return state in "ZX"  # ended, but not reaped by its parent yet


@cache
def _place() -> str:
    """Name of this boot of the kernel and this PID namespace; empty if they are not known.

    Linux only. Linux also sends SIGKILL to the pool's processes before the PID of their parent is free.
    """
    try:
        # systemd's `ProcSubset=pid` hides the file; our units set `WORKER_BOOT_ID=%b` instead.
        boot = os.environ.get(BOOT_ID) or Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
        boot = boot.strip().replace("-", "")
        namespace = Path("/proc/self/ns/pid").readlink()
        return hashlib.sha256(f"{boot}{namespace}".encode()).hexdigest()[:12]
    except OSError:
        return ""
