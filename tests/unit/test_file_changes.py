"""Which files count as changed, and how that is found out."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contentworker.runtime import file_changes
from contentworker.runtime.file_changes import FileChanges, file_system_of
from tests.support import wait_until

MOUNTS = r"""
22 1 254:1 / / rw,relatime - ext4 /dev/root rw
30 22 0:40 / /home/anna/Mein\040Code rw,nosuid shared:1 - 9p drvfs rw,aname=drvfs
31 22 0:41 / /home/anna/Gr\303\266\303\237e rw - fuse.sshfs host: rw
32 22 0:42 / /home/anna/Mein\040Code/inner rw - tmpfs none rw
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
    ],
    ids=["root", "blank", "below", "inner", "same beginning", "not ASCII"],
)
def test_type_of_the_file_system(tmp_path: Path, folder: str, expected: str) -> None:
    """The innermost mount that a folder is below counts."""
    mounts = tmp_path / "mountinfo"
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

    def start(*, polling: bool, ignored: tuple[str, ...] = ()) -> FileChanges:
        changes = FileChanges(tmp_path, ("*.py", "worker.toml"), ignored, said.append)
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
