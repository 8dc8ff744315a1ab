"""Changes of the file system, and how they are undone."""

import stat
from pathlib import Path

import pytest

from contentworker.installer.changes import Changes, beside, sweep
from contentworker.installer.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A machine with one file."""
    (tmp_path / "old").write_text("before")
    (tmp_path / "old").chmod(0o640)
    return Layout(tmp_path, "/opt/x")


def files(layout: Layout) -> dict[str, str]:
    """Every file and link, hidden ones as well."""
    return {
        path.name: str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in layout.target.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def change(layout: Layout) -> Changes:
    """One change of each kind, some of them twice."""
    changes = Changes(layout)
    for text in ("first", "second"):
        changes.file("/old", text.encode(), 0o600)
        changes.file("/new", text.encode())
    changes.folder("/folder", 0o700)
    changes.file("/folder/inner", b"inner")
    changes.link("/folder/link", "/new")
    return changes


def test_what_is_committed(layout: Layout) -> None:
    """New contents and modes, relative links, and nothing beside them."""
    changes = change(layout)
    changes.prepare("/manifest", b"done")
    assert "manifest" not in files(layout)
    changes.commit("/manifest")
    assert files(layout) == {
        "old": "second",
        "new": "second",
        "inner": "inner",
        "link": "../new",
        "manifest": "done",
    }
    modes = {name: stat.S_IMODE(layout.at(f"/{name}").stat().st_mode) for name in ("old", "new", "folder")}
    assert modes == {"old": 0o600, "new": 0o644, "folder": 0o700}


def test_what_is_undone(layout: Layout) -> None:
    """Everything is as before, with its modes; a folder that existed stays."""
    before = files(layout)
    changes = change(layout)
    changes.folder("/folder")
    assert changes.undo() == []
    assert files(layout) == before == {"old": "before"}
    assert stat.S_IMODE(layout.at("/old").stat().st_mode) == 0o640
    assert not layout.at("/folder").exists()


def test_a_removed_file_comes_back(layout: Layout) -> None:
    changes = Changes(layout)
    changes.remove("/old")
    changes.remove("/never-there")
    assert not layout.at("/old").exists()
    changes.undo()
    assert files(layout) == {"old": "before"}
    changes.file("/old", b"new")
    changes.remove("/old")
    changes.undo()
    assert files(layout) == {"old": "before"}


def test_an_interrupted_change_leaves_nothing(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the new file is renamed, the old one has two names; undoing removes the second."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    changes = Changes(layout)
    with monkeypatch.context() as context:
        context.setattr(Path, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            changes.file("/old", b"new")
    assert changes.undo() == []
    assert files(layout) == {"old": "before"}


def test_a_folder_with_files_of_others_is_named(layout: Layout) -> None:
    """Undoing does not remove what a run did not make, and says where that failed."""
    changes = Changes(layout)
    changes.folder("/folder")
    layout.at("/folder/mine").touch()
    assert changes.undo() == ["/folder: Directory not empty"]
    assert layout.at("/folder/mine").exists()


def test_what_a_killed_run_left_is_swept(layout: Layout) -> None:
    """New and old, files and folders, beside the paths that it may have been at; nothing else."""
    for kind in ("new", "old"):
        beside(layout.at("/old"), kind).touch()
        beside(layout.at("/tree"), kind).mkdir()
        (beside(layout.at("/tree"), kind) / "file").touch()
    beside(layout.at("/other"), "new").touch()
    sweep(layout, ["/old", "/tree", "/missing/folder"])
    assert sorted(path.name for path in layout.target.iterdir()) == [".other.content-worker-new", "old"]
