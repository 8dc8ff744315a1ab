"""Which files count as changed, and how that is found out."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contentworker.runtime.development import file_changes
from contentworker.runtime.development.file_changes import FileChanges, file_system_of
from tests.support import wait_until

MOUNTS = r"""
/dev/root / ext4 rw,relatime 0 0
drvfs /home/anna/Mein\040Code 9p rw,nosuid,aname=drvfs 0 0
host: /home/anna/Größe fuse.sshfs rw 0 0
none /home/anna/Mein\040Code/inner tmpfs rw 0 0
overlay /home/anna/twice ext4 rw 0 0
overlay /home/anna/twice nfs4 rw 0 0
""".lstrip()

Watch = Callable[..., FileChanges]


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/home/anna", "ext4"),
        ("/home/anna/Mein Code", "9p"),
        ("/home/anna/Mein Code/deep/er", "9p"),
        ("/home/anna/Mein Code/inner/x", "tmpfs"),
        ("/home/anna/Mein Code2", "ext4"),
        ("/home/anna/Größe/x", "fuse.sshfs"),
        ("/home/anna/twice", "nfs4"),
    ],
    ids=["root", "blank", "below", "inner", "same beginning", "not ASCII", "the later of two mounts"],
)
def test_type_of_the_file_system(tmp_path: Path, folder: str, expected: str) -> None:
    """The innermost mount that a folder is below counts."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS, "utf-8")
    assert file_system_of(Path(folder), mounts) == expected


def test_no_type_where_the_system_does_not_say(tmp_path: Path) -> None:
    """Without Linux's list there is no answer."""
    assert file_system_of(tmp_path, tmp_path / "none") == ""


@pytest.fixture
def said() -> list[str]:
    """What the person is told."""
    return []


@pytest.fixture
def watch(tmp_path: Path, said: list[str]) -> Iterator[Watch]:
    """Watch the temporary folder, until the end of the test."""
    started: list[FileChanges] = []

    def start(*, polling: bool, ignored: tuple[str, ...] = (), root: Path = tmp_path) -> FileChanges:
        changes = FileChanges(root, ("*.py", "worker.toml"), ignored, said.append)
        started.append(changes)
        changes.start(polling=polling)
        return changes

    yield start
    for changes in started:
        assert changes._observer is not None
        changes._observer.stop()
        changes._observer.join()


def until(changes: FileChanges, path: str) -> set[str]:
    """All paths that are reported, up to and with this one."""
    found: set[str] = set()
    wait_until(lambda: found.update(changes.next(0.01)) or path in found, path)
    return found


@pytest.mark.parametrize("polling", [False, True], ids=["events", "polling"])
def test_only_what_matches_is_reported(tmp_path: Path, watch: Watch, polling: bool) -> None:
    """Saved, moved and deleted sources are; not hidden ones, caches, environments, other files."""
    hidden = [".git/x.py", "__pycache__/x.py", "env/lib/x.py", "node_modules/x.py", "data/x.py"]
    for name in [*hidden, "env/pyvenv.cfg", "a.py", "b.py", "tasks/c.py", "inner/x"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    changes = watch(polling=polling, ignored=("data",))
    for name in [*hidden, "x.txt", ".#a.py", "a.py~", "inner/worker.toml"]:
        (tmp_path / name).write_text("1")
    (tmp_path / "a.py").read_text()
    (tmp_path / "b.py").unlink()
    (tmp_path / "tasks" / "c.py").rename(tmp_path / "tasks" / "d.py")
    (tmp_path / "worker.toml").write_text("1")
    (tmp_path / "last.py").write_text("1")
    found = set()
    for name in ("b.py", "tasks/c.py", "tasks/d.py", "worker.toml", "last.py"):
        found |= until(changes, name) if name not in found else set()
    assert found == {"b.py", "tasks/c.py", "tasks/d.py", "worker.toml", "last.py"}


@pytest.mark.parametrize("polling", [False, True], ids=["events", "polling"])
def test_folders_come_and_go(tmp_path: Path, watch: Watch, polling: bool) -> None:
    """A new folder is watched, with what is in it already; so is one that was away, or moved."""
    changes = watch(polling=polling)
    deep = tmp_path / "new" / "deep"
    deep.mkdir(parents=True)
    (deep / "a.py").write_text("")
    until(changes, "new/deep/a.py")
    (deep / "a.py").unlink()
    deep.rmdir()
    deep.mkdir()
    (deep / "b.py").write_text("")
    until(changes, "new/deep/b.py")
    (tmp_path / "new").rename(tmp_path / "moved")
    until(changes, "moved/deep/b.py")
    (tmp_path / "moved" / "deep" / "b.py").write_text("1")
    until(changes, "moved/deep/b.py")


@pytest.mark.parametrize("polling", [False, True], ids=["events", "polling"])
def test_links_are_followed(tmp_path: Path, watch: Watch, polling: bool) -> None:
    """To folders and files, made before or later; a change has the link's name. No link leads in circles."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    for name in ("package/deep", "single", "later", "package/.git"):
        (outside / name).mkdir(parents=True)
    for name in ("package/deep/a.py", "single/b.py", "single/other.py", "later/c.py", "package/.git/x.py"):
        (outside / name).write_text("")
    (root / "tasks").mkdir(parents=True)
    (root / "tasks" / "linked").symlink_to(outside / "package")
    (root / "tasks" / "b.py").symlink_to("../../outside/single/b.py")
    (root / "circle").symlink_to(root)
    (root / "above").symlink_to(tmp_path)
    (outside / "package" / "back").symlink_to(outside / "package")
    changes = watch(polling=polling, root=root)
    (outside / "single" / "other.py").write_text("1")
    (outside / "package" / ".git" / "x.py").write_text("1")
    (outside / "package" / "deep" / "a.py").write_text("1")
    found = until(changes, "tasks/linked/deep/a.py")
    new = outside / "single" / "b.new"
    new.write_text("12")
    new.replace(outside / "single" / "b.py")  # as editors save
    found |= until(changes, "tasks/b.py")
    (root / "later").symlink_to(outside / "later")
    found |= until(changes, "later/c.py")
    (outside / "later" / "d.py").write_text("")
    found |= until(changes, "later/d.py")
    (root / "e.py").symlink_to(outside / "single" / "other.py")
    found |= until(changes, "e.py")
    (outside / "single" / "other.py").write_text("12")
    found |= until(changes, "e.py")
    assert found == {"tasks/linked/deep/a.py", "tasks/b.py", "later/c.py", "later/d.py", "e.py"}


def test_a_silent_file_system_is_polled(
    tmp_path: Path, watch: Watch, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the other side's changes are not told, the files are looked at, and that is said."""
    monkeypatch.setattr(file_changes, "file_system_of", lambda folder: "9p")
    changes = watch(polling=False)
    (tmp_path / "a.py").write_text("")
    until(changes, "a.py")
    assert said == [
        "looking for changed files every 0.5 s, as a file system of type 9p does not tell what changes"
    ]
