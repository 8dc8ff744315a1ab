"""Which files of a checkout are saved: from the file system's events, or by polling where it has none."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver, ObservedWatch

__all__ = ["FileChanges", "file_system_of"]

POLL_SECONDS = 0.5
NEVER = ("__pycache__", "node_modules")
SILENT = ("9p", "cifs", "drvfs", "fakeowner", "fuse", "nfs", "prl_fs", "smb", "vboxsf", "virtiofs", "vmhgfs")
"""File systems (by the start of their names) without events for changes made on the other side."""

# On Linux an event says that a writer closed the file: do not load one that is half written.
EVENTS = {"closed", "created", "deleted", "moved"} | (set() if sys.platform == "linux" else {"modified"})


class FileChanges(FileSystemEventHandler):
    """The files below a folder that match a pattern, each time one is saved, moved or deleted.

    Links are followed, and a change behind one has the link's name. Hidden files and folders, virtual
    environments and `ignored` folders are skipped. Each folder gets its own
    watch: a recursive watch of watchdog silently skips sub-folders when the system has no watch left.
    """

    def __init__(
        self, root: Path, patterns: Sequence[str], ignored: Sequence[str], say: Callable[[str], None]
    ) -> None:
        self._root, self._patterns, self._ignored, self._say = root, patterns, ignored, say
        self._events: SimpleQueue[FileSystemEvent] = SimpleQueue()
        self._watches: dict[str, ObservedWatch] = {}
        self._observer: BaseObserver | None = None
        self._links: dict[Path, list[Path]] = {}
        """Links to a file, by the file."""
        self._folder_names: dict[Path, Path] = {}
        """Each watched folder as it is known below the root, which differs where a link led to it."""

    def start(self, *, polling: bool) -> None:
        """Watch from now on; poll if asked to, or if there is no other way, and say so."""
        file_system = file_system_of(self._root)
        if polling:
            self._poll("as worker.toml says")
        elif file_system.startswith(SILENT):
            self._poll(f"as a file system of type {file_system} does not tell what changes")
        else:
            try:
                self._observer = Observer()
                self._observer.start()
                self._watch_folders()
            except OSError as error:
                self._poll(f"as the system has no watches left ({error.strerror})")

    def next(self, timeout_seconds: float) -> list[str]:
        """Changed paths, relative to the root; empty if there is none within this time."""
        try:
            event = self._events.get(timeout=timeout_seconds)
        except Empty:
            return []
        if event.is_directory:
            return self._folder_changed(event)
        paths = [Path(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path]
        changed = [name for path in paths for name in self._names_of(path)]
        # To the system a link is a file, wherever it leads.
        if any(path.is_symlink() or path in self._folder_names.values() for path in paths):
            changed += self._folder_changed(event)
        return [*dict.fromkeys(changed)]

    def dispatch(self, event: FileSystemEvent) -> None:
        """Queue an event: watchdog calls this in its own thread."""
        if event.event_type in EVENTS or (self._is_polling and event.event_type == "modified"):
            self._events.put(event)

    @property
    def _is_polling(self) -> bool:
        return isinstance(self._observer, PollingObserver)

    def _poll(self, reason: str) -> None:
        if self._observer is not None:
            self._observer.stop()
        self._watches.clear()
        self._observer = PollingObserver(timeout=POLL_SECONDS)
        self._observer.start()
        self._watch_folders()
        self._say(f"looking for changed files every {POLL_SECONDS:g} s, {reason}")

    def _watch_folders(self) -> list[str]:
        """Watch exactly the folders that exist now; return the new ones."""
        assert self._observer is not None  # noqa: S101 (only called while watching)
        added: list[str] = []
        while True:
            folders = list(self._folders())
            for gone in self._watches.keys() - folders:
                self._observer.unschedule(self._watches.pop(gone))
            new = [folder for folder in folders if folder not in self._watches]
            if not new:
                return added
            for folder in new:
                self._watches[folder] = self._observer.schedule(self, folder)
            added += new  # look again: a folder may have been made in one before it was watched

    def _folder_changed(self, event: FileSystemEvent) -> list[str]:
        folder = os.fsdecode(event.src_path)
        if event.event_type in ("deleted", "moved") and folder in self._watches and self._observer:
            self._observer.unschedule(self._watches.pop(folder))  # a new folder may have its name
        try:
            new = self._watch_folders()
        except OSError as error:
            new = list(self._folders())
            self._poll(f"as the system has no watches left ({error.strerror})")
        return [name for folder in new for path in Path(folder).iterdir() for name in self._names_of(path)]

    def _folders(self) -> Iterator[str]:
        """The folders to watch: those below the root, those that links lead to, and those of linked files."""
        self._links.clear()
        self._folder_names.clear()
        waiting = [self._root]
        while waiting:
            start = waiting.pop()
            # Links come last, so that a folder inside is known by its own name; one above would never end.
            real = start.resolve()
            if start.is_symlink() and (real in self._folder_names or self._root.is_relative_to(real)):
                continue
            for folder, names, files in os.walk(start):
                here = Path(folder)
                self._folder_names[here.resolve()] = here
                names[:] = [name for name in names if self._is_of_interest(here / name)]
                waiting[:0] = [here / name for name in names if (here / name).is_symlink()]
                for file in (here / name for name in files if self._matches(here / name)):
                    if file.is_symlink():
                        self._links.setdefault(file.resolve(), []).append(file)
        yield from map(str, self._folder_names.keys() | {target.parent for target in self._links})

    def _names_of(self, path: Path) -> list[str]:
        """Names of a changed file relative to the root: by the links that lead to it, and its own."""
        folder = self._folder_names.get(path.parent, path.parent)
        names = [folder / path.name, *self._links.get(path, ())]
        return [name.relative_to(self._root).as_posix() for name in names if self._matches(name)]

    def _is_of_interest(self, folder: Path) -> bool:
        relative = folder.relative_to(self._root).as_posix()
        return not (
            folder.name.startswith(".")
            or folder.name in NEVER
            or any(fnmatchcase(relative, pattern) for pattern in self._ignored)
            or (folder / "pyvenv.cfg").exists()
        )

    def _matches(self, path: Path) -> bool:
        if path.name.startswith(".") or not path.is_relative_to(self._root):
            return False
        relative = path.relative_to(self._root).as_posix()
        return any(fnmatchcase(relative, pattern) for pattern in self._patterns)


def file_system_of(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Type of the file system that a folder is on; empty where the system does not tell (not Linux)."""
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    innermost, file_system = "", ""
    for line in lines:
        _, escaped, kind, *_ = line.split(" ")
        # Blanks and backslashes of a path are written as octal numbers.
        mount_point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), escaped)
        if folder.is_relative_to(mount_point) and len(mount_point) >= len(innermost):
            innermost, file_system = mount_point, kind
    return file_system
