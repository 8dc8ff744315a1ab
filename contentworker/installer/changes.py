"""What one run changes in the file system. All of it can be taken back, without any room on the disk.

Everything is placed by renaming: after a power cut there is the old one or the new one. What was there
before is kept under a name beside it until the run is over.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from contentworker.installer.layout import Layout

__all__ = ["Changes", "sweep"]


class Changes:
    """The changes of one run, to be ended by `commit` or `undo`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.touched: dict[str, bool] = {}
        """By path, in order, whether something was there before."""

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file whose folder is there."""
        self._put(self._written(path, data, mode), path)

    def link(self, path: str, to: str) -> None:
        """Point a symbolic link at another path of the installation, relative to itself."""
        new = _beside(self.layout.at(path), "new")
        try:
            new.symlink_to(os.path.relpath(to, os.path.dirname(path)))
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        self._put(new, path)

    def folder(self, path: str, mode: int = 0o755) -> None:
        """Make a folder, unless it is there; its parent is."""
        place = self.layout.at(path)
        if not place.is_dir():
            self.touched.setdefault(path, False)
            place.mkdir()
            place.chmod(mode)

    def tree(self, source: Path, path: str) -> None:
        """Copy a folder with the modes it has; it is there as a whole or not at all."""
        new = _beside(self.layout.at(path), "new")
        try:
            shutil.copytree(source, new, symlinks=True)
            os.sync()
            self.touched[path] = False
            new.rename(self.layout.at(path))
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise

    def remove(self, path: str) -> None:
        """Remove a file or link; until the end it is kept beside its place."""
        place = self.layout.at(path)
        if not os.path.lexists(place):
            return
        if path in self.touched:
            place.unlink()
        else:
            self.touched[path] = True
            place.rename(_beside(place, "old"))

    def prepare(self, path: str, data: bytes) -> None:
        """Write what `commit` is to put in the place of a file: after this, nothing needs room any more."""
        self._written(path, data, 0o644)

    def commit(self, path: str) -> None:
        """Let go of what was there before, and last put the file in its place that says that all is done."""
        for touched in self.touched:
            _beside(self.layout.at(touched), "old").unlink(missing_ok=True)
        os.replace(_beside(self.layout.at(path), "new"), self.layout.at(path))
        _sync_folder(self.layout.at(path).parent)

    def undo(self) -> list[str]:
        """Put back what was there before; return what that did not work for, and why."""
        problems = []
        for path, was_there in reversed(self.touched.items()):
            place = self.layout.at(path)
            try:
                if was_there:
                    old = _beside(place, "old")
                    if os.path.lexists(old):
                        os.replace(old, place)
                        # To rename a file to another name of its own does nothing.
                        old.unlink(missing_ok=True)
                elif place.is_dir() and not place.is_symlink():
                    _remove_folder(place)
                else:
                    place.unlink(missing_ok=True)
            except OSError as error:
                problems.append(f"{path}: {error.strerror}")
        self.touched.clear()
        return problems

    def _written(self, path: str, data: bytes, mode: int) -> Path:
        new = _beside(self.layout.at(path), "new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "wb") as stream:
                os.fchmod(descriptor, mode)
                stream.write(data)
                stream.flush()
                os.fsync(descriptor)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        return new

    def _put(self, new: Path, path: str) -> None:
        place = self.layout.at(path)
        try:
            if path not in self.touched:
                was_there = os.path.lexists(place)
                if was_there:
                    os.link(place, _beside(place, "old"), follow_symlinks=False)
                self.touched[path] = was_there  # before: a signal may come at any time
            os.replace(new, place)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        _sync_folder(place.parent)


def sweep(layout: Layout, paths: list[str]) -> None:
    """Remove what a run that was killed left beside these paths."""
    for path in paths:
        for kind in ("new", "old"):
            beside = _beside(layout.at(path), kind)
            if beside.is_dir() and not beside.is_symlink():
                shutil.rmtree(beside)
            else:
                with suppress(FileNotFoundError, NotADirectoryError):
                    beside.unlink()


def _beside(place: Path, kind: str) -> Path:
    # Hidden, and with no suffix that systemd reads.
    return place.with_name(f".{place.name}.content-worker-{kind}")


def _remove_folder(place: Path) -> None:
    """A release is removed with all that is in it, any other folder only when it is empty."""
    if (place / "SHA256SUMS").exists():
        shutil.rmtree(place)
    else:
        place.rmdir()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
