"""The parts of the installer that need no machine."""

import subprocess
from pathlib import Path

import pytest

from contentworker.installer import credentials, pythons, release
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import Layout, credential_names, template
from contentworker.installer.manifest import Manifest
from contentworker.installer.plan import Plan
from contentworker.installer.redis_look import is_allowed
from contentworker.runtime import units
from tests.support import ROOT

PYTHON = pythons.SystemPython("/usr/bin/python3.11", "3.11", "cpython-311-x86_64-linux-gnu")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small one, with what is no part of a release beside what is."""
    for path in (
        "celery_worker.py",
        "tasks/a.py",
        "systemd/old.service",
        "systemd/templates/x.in",
        "lock.txt",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    for path in ("tests/t.py", ".nox/x", ".env", "tasks/__pycache__/a.pyc", "research/r.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    return tmp_path


def read(checkout: Path, python: pythons.SystemPython = PYTHON, **rendered: str) -> release.Source:
    return release.read(checkout, rendered or {"new.service": "x"}, [checkout / "lock.txt"], python)


PARTS = {"celery_worker.py", "tasks/a.py", "systemd/new.service", "systemd/templates/x.in", "lock.txt"}


def test_a_copy_without_git_has_the_same_parts(checkout: Path) -> None:
    """No tests, no caches, nothing hidden; of systemd/ the templates and what was rendered."""
    assert set(read(checkout).files) == PARTS


def test_only_what_git_knows(checkout: Path) -> None:
    """A file that was not added is no part of a release, and is named."""
    subprocess.run(["git", "init", "-q", str(checkout)], check=True)
    subprocess.run(["git", "-C", str(checkout), "add", "--all", "--force"], check=True)
    (checkout / "tasks" / "forgotten.py").touch()
    assert set(read(checkout).files) == PARTS
    assert release.unknown_to_git(checkout) == ["tasks/forgotten.py"]


def test_the_same_input_has_the_same_name(checkout: Path, tmp_path: Path) -> None:
    """The name of a release depends on nothing but what it is made of."""
    (checkout / "tests" / "t.py").write_text("another test")
    first = read(checkout).identity
    (checkout / "celery_worker.py").touch()
    assert read(checkout).identity == first


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: (c / "tasks/a.py").write_text("other"), id="code"),
        pytest.param(lambda c: (c / "tasks/a.py").chmod(0o755), id="mode"),
        pytest.param(lambda c: (c / "tasks/a.py").rename(c / "tasks/b.py"), id="name"),
        pytest.param(lambda c: (c / "lock.txt").write_text("celery==5"), id="packages"),
    ],
)
def test_other_input_has_another_name(checkout: Path, change: object) -> None:
    """Whatever of it changes, it is another release."""
    first = read(checkout).identity
    change(checkout)  # type: ignore[operator]
    assert read(checkout).identity != first


def test_units_and_python_are_part_of_the_name(checkout: Path) -> None:
    """Another account in the units, or another Python, is another release."""
    other = pythons.SystemPython("/usr/bin/python3.12", "3.12", "cpython-312-x86_64-linux-gnu")
    names = {read(checkout).identity, read(checkout, other).identity}
    names.add(read(checkout, **{"new.service": "y"}).identity)
    assert len(names) == 3


@pytest.mark.parametrize(
    ("address", "allowed", "expected"),
    [
        ("127.0.0.1", ("localhost",), True),
        ("::1", ("localhost",), True),
        ("10.0.0.5", ("localhost",), False),
        ("10.0.0.5", ("localhost", "10.0.0.0/8"), True),
        ("10.0.0.5", ("10.0.0.5",), True),
        ("fe80::1%eth0", ("link-local",), True),
        ("2001:db8::1", ("any",), True),
        ("2001:db8::1", ("0.0.0.0/0",), False),
    ],
)
def test_addresses_as_systemd_reads_them(address: str, allowed: tuple[str, ...], expected: bool) -> None:
    """IPAddressAllow= lets through an address, a network, or what a name of systemd's stands for."""
    assert is_allowed(address, allowed) is expected


def test_every_credential_of_the_real_units_is_found() -> None:
    """systemd starts no unit whose credential is no file: each that a unit names is made."""
    from contentworker import config

    settings = config.load(ROOT / "worker.toml", {"WORKER__QUEUES__REWRITE__SECRETS": '["OPENAI_API_KEY"]'})
    rendered = units.render(settings, ROOT / "systemd" / "templates")
    names = credential_names({path: text.encode() for path, text in rendered.items()})
    of_escalation = {"DATABASE_URL", "NOTIFY_URLS", "SETTLED_WEBHOOK_SECRET"}
    others = {
        "FLOWER_BASIC_AUTH",
        "METRICS_BASIC_AUTH",
        "OPENAI_API_KEY",
        "REDIS_URL",
        "redis-password.conf",
    }
    assert names == sorted(of_escalation | others)


def test_a_known_password_is_used_again(tmp_path: Path) -> None:
    """An installation that was interrupted between the two files of Redis' password goes on with that."""
    layout = Layout(tmp_path, "/opt/x")
    folder = tmp_path / "etc/content-worker/credentials"
    folder.mkdir(parents=True)
    (folder / "redis-password.conf").write_text("requirepass known\n")
    names = ["REDIS_URL", "redis-password.conf"]
    made = credentials.values(names, layout, {}, own_redis=True, redis_port=6380)
    assert made == {"REDIS_URL": b"redis://:known@127.0.0.1:6380/0\n"}


def test_another_manifest_is_not_guessed_at(tmp_path: Path) -> None:
    """The manifest of another version of the installer is refused, and one that is broken."""
    for text in ('{"format": 2}', "{", "[]"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(InstallError, match=r"manifest\.json "):
            Manifest.load(tmp_path / "manifest.json")
    assert Manifest.load(tmp_path / "none.json") is None


def test_a_manifest_and_a_plan_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Nothing is lost on the way to root, or to the next run."""
    manifest = Manifest("/opt/x", "x", files={"/a": ["1", "2"]}, started={"u": "r"})
    (tmp_path / "manifest.json").write_bytes(manifest.text())
    assert Manifest.load(tmp_path / "manifest.json") == manifest
    plan = Plan("install", "/", "/opt/x", "x", secrets={"REDIS_URL": "redis://"}, flower_address=("::1", 1))
    assert Plan.of(plan.text()) == plan
    assert "redis://" not in repr(plan)


def test_the_file_of_an_instance() -> None:
    """The unit of a queue whose name has dots is still an instance of the one template."""
    assert template("celery-worker@a.b-c.service") == "celery-worker@.service"
    assert template("celery-flower.service") == "celery-flower.service"


def test_a_python_that_others_cannot_run_is_refused(tmp_path: Path) -> None:
    """A Python in somebody's home is of no use to a service; each that was found is named, and why."""
    closed = tmp_path / "home"
    closed.mkdir()
    (closed / "python3.99").write_text("#!/bin/sh\n")
    (closed / "python3.99").chmod(0o755)
    closed.chmod(0o700)
    with pytest.raises(InstallError, match=r"python3\.99: other users cannot enter .*install python3\.99"):
        pythons.find(["3.99"], {"PATH": str(closed)})
