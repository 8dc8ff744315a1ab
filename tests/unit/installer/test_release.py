"""What a release is made of, and its name."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from contentworker.installer import machine, release

PYTHON = machine.SystemPython("/usr/bin/python3.11", "3.11", "cpython-311-x86_64-linux-gnu")
PARTS = {"celery_worker.py", "tasks/a.py", "systemd/new.service", "systemd/templates/x.in", "lock.txt"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small one, with files that belong to a release and files that do not."""
    parts = ("celery_worker.py", "tasks/a.py", "systemd/old.service", "systemd/templates/x.in", "lock.txt")
    others = ("tests/t.py", "benchmarks/b.py", "research/r.py", ".nox/x", ".env", "tasks/__pycache__/a.pyc")
    for path in (*parts, *others):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    return tmp_path


def read(checkout: Path, python: machine.SystemPython = PYTHON, /, **rendered: str) -> release.Source:
    return release.read(checkout, rendered or {"new.service": "x"}, [checkout / "lock.txt"], python)


def test_a_copy_without_git_has_the_same_parts(checkout: Path) -> None:
    """No tests, no caches, nothing hidden; of systemd/ the templates and what was rendered."""
    assert set(read(checkout).files) == PARTS
    assert release.unknown_to_git(checkout) == []


def test_only_what_git_knows(checkout: Path) -> None:
    """A file that was not added is not installed, and is named."""
    subprocess.run(["git", "init", "-q", str(checkout)], check=True)
    subprocess.run(["git", "-C", str(checkout), "add", "--all", "--force"], check=True)
    (checkout / "tasks" / "forgotten.py").touch()
    (checkout / "tests" / "no_part.py").touch()
    assert set(read(checkout).files) == PARTS
    assert release.unknown_to_git(checkout) == ["tasks/forgotten.py"]


def test_contents_and_modes_are_read(checkout: Path) -> None:
    (checkout / "tasks/a.py").chmod(0o755)
    source = read(checkout)
    assert source.files["tasks/a.py"] == (b"tasks/a.py", True)
    assert source.files["celery_worker.py"] == (b"celery_worker.py", False)
    assert source.files["systemd/new.service"] == (b"x", False)
    assert source.lock == b"lock.txt"
    assert source.size_bytes == len("tasks/a.pycelery_worker.pyxsystemd/templates/x.inlock.txt")


def test_the_same_input_has_the_same_name(checkout: Path) -> None:
    """The name of a release depends only on what it is made of."""
    (checkout / "tests" / "t.py").write_text("another test")
    first = read(checkout).identity
    (checkout / "celery_worker.py").touch()
    assert read(checkout).identity == first
    assert len(first) == 12


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: (c / "tasks/a.py").write_text("other"), id="code"),
        pytest.param(lambda c: (c / "tasks/a.py").chmod(0o755), id="mode"),
        pytest.param(lambda c: (c / "tasks/a.py").rename(c / "tasks/b.py"), id="name"),
        pytest.param(lambda c: (c / "lock.txt").write_text("celery==5"), id="packages"),
    ],
)
def test_other_input_has_another_name(checkout: Path, change: Callable[[Path], object]) -> None:
    first = read(checkout).identity
    change(checkout)
    assert read(checkout).identity != first


def test_units_and_python_are_part_of_the_name(checkout: Path) -> None:
    """Another account in the units or another Python: another release. Only the Python changes packages."""
    other = machine.SystemPython("/usr/bin/python3.12", "3.12", "cpython-312-x86_64-linux-gnu")
    unit = read(checkout, **{"new.service": "y"})
    assert len({read(checkout).identity, read(checkout, other).identity, unit.identity}) == 3
    assert unit.environment == read(checkout).environment != read(checkout, other).environment


def test_packages_are_counted() -> None:
    """Each package of a lock once, whatever hashes and comments it has."""
    lock = b"celery==5.6.0 \\\n    --hash=sha256:ab==\nredis==8.1 ; x == 'y'\n    # via kombu==5\n"
    assert release.package_count(lock) == 2


def test_checksums_are_read_as_sha256sum_writes_them(tmp_path: Path) -> None:
    assert release.checksums(tmp_path) == {}
    (tmp_path / "a  b").write_text("text")
    printed = subprocess.run(["sha256sum", "a  b"], cwd=tmp_path, capture_output=True, check=True).stdout
    (tmp_path / release.SUMS).write_bytes(printed)
    assert release.checksums(tmp_path) == {"a  b": printed.decode().split()[0]}
