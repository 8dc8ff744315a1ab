"""What one run changes in the file system. All of it can be undone, without any free space on the disk.

Every file is put in place by renaming: after a power cut there is the old one or the new one, whole. What was
there before stays beside it, under a hidden name, until the run ends.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from contentworker.installer.layout import Layout

__all__ = ["Changes", "beside", "sweep", "write"]


class Changes:
    """The changes of one run; end it with `commit` or `undo`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.touched: dict[str, bool] = {}
        """Each changed path, in order, and whether something was there before."""

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file; its folder must exist."""
        self._put(write(self.layout.at(path), data, mode), path)

    def link(self, path: str, to: str) -> None:
        """Point a symbolic link at another path of the installation, relative to itself."""
        new = beside(self.layout.at(path), "new")
        try:
            new.symlink_to(os.path.relpath(to, Path(path).parent))
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        self._put(new, path)

    def folder(self, path: str, mode: int = 0o755) -> None:
        """Make a folder if it does not exist; its parent must."""
        place = self.layout.at(path)
        if not place.is_dir():
            self.touched.setdefault(path, False)
            place.mkdir()
            place.chmod(mode)

    def tree(self, source: Path, path: str) -> None:
        """Copy a folder with its modes; it is there as a whole or not at all."""
        new = beside(self.layout.at(path), "new")
        try:
            shutil.copytree(source, new, symlinks=True)
            os.sync()
            self.touched[path] = False
            new.rename(self.layout.at(path))
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise

    def remove(self, path: str) -> None:
        """Remove a file or link; until the run ends it is kept beside its place."""
        place = self.layout.at(path)
        if not os.path.lexists(place):
            return
        if path in self.touched:
            place.unlink()
        else:
            self.touched[path] = True
            place.rename(beside(place, "old"))

    def prepare(self, path: str, data: bytes) -> None:
        """Write the new contents of a file beside it; `commit` then needs no free space."""
        write(self.layout.at(path), data, 0o644)

    def commit(self, path: str) -> None:
        """Drop what was there before. The prepared file comes last: it says that all is done."""
        for touched in self.touched:
            beside(self.layout.at(touched), "old").unlink(missing_ok=True)
        beside(self.layout.at(path), "new").replace(self.layout.at(path))
        _sync_folder(self.layout.at(path).parent)

    def undo(self) -> list[str]:
        """Put back what was there before; return the paths where that failed, and why."""
        problems = []
        for path, was_there in reversed(self.touched.items()):
            place = self.layout.at(path)
            try:
                if was_there:
                    old = beside(place, "old")
                    if os.path.lexists(old):
                        old.replace(place)
                        # rename(2) does nothing if both names are links to the same file.
                        old.unlink(missing_ok=True)
                elif place.is_dir() and not place.is_symlink():
                    _remove_folder(place)
                else:
                    place.unlink(missing_ok=True)
            except OSError as error:
                problems.append(f"{path}: {error.strerror}")
        self.touched.clear()
        return problems

    def _put(self, new: Path, path: str) -> None:
        place = self.layout.at(path)
        try:
            if path not in self.touched:
                was_there = os.path.lexists(place)
                if was_there:
                    os.link(place, beside(place, "old"), follow_symlinks=False)
                self.touched[path] = was_there  # before the change: a signal may come at any time
            new.replace(place)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        _sync_folder(place.parent)


def write(place: Path, data: bytes, mode: int) -> Path:
    """Write a file beside the place where it will be renamed to, and return it."""
    new = beside(place, "new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return new


def sweep(layout: Layout, paths: list[str]) -> None:
    """Remove what a killed run left beside these paths."""
    for path in paths:
        for kind in ("new", "old"):
            left = beside(layout.at(path), kind)
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                with suppress(FileNotFoundError, NotADirectoryError):
                    left.unlink()


def beside(place: Path, kind: str) -> Path:
    """The path beside a file for its `new` contents, or for its `old` ones until the run ends."""
    # Hidden, and with an ending that systemd does not read.
    return place.with_name(f".{place.name}.content-worker-{kind}")


def _remove_folder(place: Path) -> None:
    """Remove a release with everything in it, and any other folder only if it is empty."""
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
