"""Which files of a checkout are saved: told by the file system, or looked up where it tells nothing."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from queue import Empty, SimpleQueue

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch
from watchdog.observers.polling import PollingObserver

__all__ = ["FileChanges", "file_system_of"]

POLL_SECONDS = 0.5
NEVER = ("__pycache__", "node_modules")
SILENT = ("9p", "cifs", "drvfs", "fakeowner", "fuse", "nfs", "prl_fs", "smb", "vboxsf", "virtiofs", "vmhgfs")
"""Beginnings of the names of file systems that do not tell what is changed on their other side."""

# A file that is being written is left alone until it is closed, where the file system tells that.
EVENTS = {"closed", "created", "deleted", "moved"} | (set() if sys.platform == "linux" else {"modified"})


class FileChanges(FileSystemEventHandler):
    """The files below a folder that match a pattern, each time one is saved, moved or deleted.

    Hidden files and folders, virtual environments and whatever matches `ignored` are not looked at. Each
    folder is watched by itself: watchdog says nothing of sub-folders for which the system has no watch left.
    """

    def __init__(
        self, root: Path, patterns: Sequence[str], ignored: Sequence[str], say: Callable[[str], None]
    ):
        self._root, self._patterns, self._ignored, self._say = root, patterns, ignored, say
        self._events: SimpleQueue[FileSystemEvent] = SimpleQueue()
        self._watches: dict[str, ObservedWatch] = {}
        self._observer: BaseObserver | None = None

    def start(self, *, polling: bool) -> None:
        """Watch from now on; by polling where asked to, or where there is no other way, which is said."""
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
        """Paths relative to the root that have changed; empty if none has within this time."""
        try:
            event = self._events.get(timeout=timeout_seconds)
        except Empty:
            return []
        if event.is_directory:
            return self._folder_changed(event)
        paths = [Path(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path]
        return [path.relative_to(self._root).as_posix() for path in paths if self._matches(path)]

    def dispatch(self, event: FileSystemEvent) -> None:
        """Called by watchdog in a thread of its own."""
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
        """Watch the folders that there are now, and no other; return those that are new."""
        assert self._observer is not None
        found: list[str] = []
        while True:
            folders = list(self._folders())
            for gone in self._watches.keys() - folders:
                self._observer.unschedule(self._watches.pop(gone))
            new = [folder for folder in folders if folder not in self._watches]
            if not new:
                return found
            for folder in new:
                self._watches[folder] = self._observer.schedule(self, folder)
            found += new  # and look again: what was made in one before it was watched

    def _folder_changed(self, event: FileSystemEvent) -> list[str]:
        folder = os.fsdecode(event.src_path)
        if event.event_type in ("deleted", "moved") and folder in self._watches and self._observer:
            self._observer.unschedule(self._watches.pop(folder))  # it may be there again, as another one
        try:
            new = self._watch_folders()
        except OSError as error:
            new = list(self._folders())
            self._poll(f"as the system has no watches left ({error.strerror})")
        files = (path for folder in new for path in Path(folder).iterdir())
        return [path.relative_to(self._root).as_posix() for path in files if self._matches(path)]

    def _folders(self) -> Iterator[str]:
        for folder, names, _ in os.walk(self._root):
            here = Path(folder)
            names[:] = [name for name in names if self._is_of_interest(here / name)]
            yield folder

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


def file_system_of(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system that a folder is on; empty where the system does not say (not Linux)."""
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    found = ("", "")
    for line in lines:
        before, _, after = line.partition(" - ")
        # Blanks and backslashes of a path are written as octal numbers.
        mounted = before.split(" ")[4].encode("utf-8", "surrogateescape").decode("unicode_escape")
        mount_point = mounted.encode("latin-1").decode("utf-8", "surrogateescape")
        if folder.is_relative_to(mount_point) and len(mount_point) >= len(found[0]):
            found = (mount_point, after.split(" ")[0])
    return found[1]
