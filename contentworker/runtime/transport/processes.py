"""Whether a holder's process has ended: seen at once on its own machine, without waiting for its lease."""

import hashlib
import os
import socket
from functools import cache
from pathlib import Path

__all__ = ["has_ended", "identity"]

BOOT_ID = "WORKER_BOOT_ID"


def identity() -> str:
    """This process as others can look for it: host, place, and its number there."""
    return f"{socket.gethostname()}:{_place()}:{os.getpid()}"


def has_ended(name: str) -> bool:
    """Whether the process whose identity begins a holder's name is known to be no more.

    False where that cannot be told: on another machine, in another container, or where the number is in use
    again. A process that is frozen has not ended.
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
        return isinstance(error, ProcessLookupError)  # the file may be hidden from us (`ProtectProc`)
    except OSError:  # it is another user's
        return False
    return state in "ZX"  # nobody has asked yet how it ended


@cache
def _place() -> str:
    """Names this boot of this kernel and this namespace of process numbers; empty where there is no telling.

    Linux only. There, too, the pool's processes get their SIGKILL before the number of their parent is free.
    """
    try:
        # A sandbox may hide the file (`ProcSubset=pid`); a unit can say it by `WORKER_BOOT_ID=%b`.
        boot = os.environ.get(BOOT_ID) or Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
        boot = boot.strip().replace("-", "")
        return hashlib.sha256((boot + os.readlink("/proc/self/ns/pid")).encode()).hexdigest()[:12]
    except OSError:
        return ""
