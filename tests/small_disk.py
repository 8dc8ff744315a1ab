"""A folder with little room: a file system of its own, in a mount namespace that ends with its process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support import Process, environment, service_is_missing, wait_until

MEBIBYTE = 1 << 20


class SmallDisk:
    """`command` runs something that sees it at `folder`; from here it is at `path`."""

    def __init__(self, folder: Path, process: Process) -> None:
        self.folder, self._pid = folder, process.pid

    @property
    def path(self) -> Path:
        return Path("/proc", str(self._pid), "root", *self.folder.parts[1:])

    def command(self, *command: str, cwd: Path | None = None) -> list[str]:
        enter = ["nsenter", f"--target={self._pid}", "--mount", "--", "env", f"--chdir={cwd or self.folder}"]
        return [*enter, *command]

    @contextmanager
    def full(self) -> Iterator[None]:
        """No byte of room, for as long as this lasts."""
        filler = self.path / "filler"
        try:
            with filler.open("ab", buffering=0) as file:
                for size in (MEBIBYTE, 4096, 1):
                    with suppress(OSError):
                        while file.write(b"x" * size):
                            pass
            yield
        finally:
            filler.unlink()


@contextmanager
def small_disk(folder: Path, mebibytes: int = 16) -> Iterator[SmallDisk]:
    """One of this size at `folder`, which is made. Nothing of it stays."""
    if os.geteuid() != 0:
        service_is_missing("root, who may mount a small disk")
    folder.mkdir(parents=True)
    mount = f"mount -t tmpfs -o size={mebibytes}m tmpfs '{folder}' && echo mounted && exec sleep infinity"
    command = ["unshare", "--mount", "--propagation=private", "sh", "-c", mount]
    process = Process(command, folder.with_name(f"{folder.name}-process"), environment())
    try:
        wait_until(lambda: "mounted" in process.log() or not process.is_alive, "the small disk")
        if not process.is_alive:
            service_is_missing(f"a mount namespace: {process.log()}")
        yield SmallDisk(folder, process)
    finally:
        process.stop()
