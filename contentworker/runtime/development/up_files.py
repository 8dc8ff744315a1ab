"""The files of `nox -s up` in the state folder, which tell `status`, `down` and `logs` what runs.

`up.lock` is locked while the supervisor or its guard lives. `up.json` has the state of each program. `up.log`
has what the programs have printed, and `up.log.old` what they printed before.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from contentworker.errors import ContentWorkerError
from contentworker.runtime.development.redis_server import has_open, is_locked, locked

if sys.platform != "win32":
    import fcntl

__all__ = ["LOG", "AlreadyRunsError", "Log", "State", "is_running", "state", "taken", "write_states"]

LOCK, RECORD, LOG = "up.lock", "up.json", "up.log"
LARGEST_LOG_BYTES = 10_000_000
"""Size at which the log becomes `up.log.old`."""
COLOUR_CODE = re.compile(r"\x1b\[[0-9;]*m")


class AlreadyRunsError(ContentWorkerError):
    """Another process has this state folder's lock."""


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


class Log:
    """`up.log`, without colours."""

    def __init__(self, folder: Path) -> None:
        """Begin a new file; the one before becomes `up.log.old`.

        Raises:
            OSError: the folder cannot be written to.
        """
        self._path = folder / LOG
        self._file = self._new()

    def write(self, name: str, text: str) -> None:
        """Write a line of a program, if there is room on the disk."""
        with suppress(OSError):
            self._file.write(f"{name} | {COLOUR_CODE.sub('', text)}\n".encode())
            if self._file.tell() > LARGEST_LOG_BYTES:
                full, self._file = self._file, self._new()
                full.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _new(self) -> BinaryIO:
        with suppress(FileNotFoundError):
            self._path.replace(self._path.with_name(f"{LOG}.old"))
        return self._path.open("wb", buffering=0)


@contextmanager
def taken(folder: Path) -> Iterator[None]:
    """Hold the folder's lock in this block, and delete `up.json` at its end.

    Raises:
        AlreadyRunsError: the programs of this folder run already.
        OSError: the folder cannot be written to.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            raise AlreadyRunsError("it runs already") from None
        stack.callback((folder / RECORD).unlink, missing_ok=True)
        yield


def write_states(folder: Path, states: Iterable[State]) -> None:
    """Write `up.json`, with this process as the supervisor."""
    record = {"pid": os.getpid(), "programs": [asdict(each) for each in states]}
    new = folder / f"{RECORD}.new"
    new.write_text(json.dumps(record))
    new.replace(folder / RECORD)


def is_running(folder: Path) -> bool:
    """Whether programs of this state folder run, or are being ended."""
    return is_locked(folder / LOCK)


def state(folder: Path) -> tuple[int, list[State]] | None:
    """The supervisor's process id and the state of each program; None if no supervisor runs."""
    if is_running(folder):
        with suppress(OSError, ValueError, LookupError, TypeError):
            record = json.loads((folder / RECORD).read_text())
            pid = int(record["pid"])
            if has_open(pid, folder / LOCK):  # else it was killed: its guard has the lock
                return pid, [State(**each) for each in record["programs"]]
    return None
