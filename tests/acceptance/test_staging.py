"""The release that is installed, as it really is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contentworker import config
from contentworker.installer import machine, prepare
from contentworker.installer.errors import InstallError
from tests.acceptance import packages
from tests.support import ROOT, environment, service_is_missing


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `nox -s install -- --root` makes of this checkout, with all its packages."""
    try:
        machine.find_python(config.load().python.versions, os.environ)
    except InstallError as error:
        service_is_missing(error)
    folder = tmp_path_factory.mktemp("stage")
    command = [sys.executable, "-m", "contentworker.installer", "install", "--yes", "--root", str(folder)]
    env = environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(packages.fetch()))
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def release(stage: Path) -> Path:
    return (stage / "opt/content-worker/current").resolve()


def python(release: Path, *arguments: str) -> str:
    """What its Python prints: with nothing of this environment's, in no folder of its own."""
    command = [str(release / "environment/bin/python"), "-P", *arguments]
    own = {"PYTHONPATH": str(release), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.defpath}
    done = subprocess.run(command, env=own, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_command_of_the_units_is_there(release: Path) -> None:
    """Worker, Flower and Redis can be started by the environment, with packages of the lock alone."""
    shown = json.loads(python(release, "-m", "contentworker", "config", "show", "--json"))
    assert shown["services.prefix"]["value"] == "/opt/content-worker"
    assert "celery_worker" in python(release, "-c", "import celery_worker; print(celery_worker.__file__)")
    assert "Usage" in python(release, "-m", "celery", "-A", "celery_worker.celery_app", "worker", "--help")
    python(release, "-c", "import flower.command")
    code = "from contentworker.runtime.development import local_redis as r; print(r.find_executable(''))"
    server = python(release, "-c", code)
    assert Path(server.strip()).is_relative_to(release)


def test_nothing_names_where_it_was_made(stage: Path, release: Path) -> None:
    """It runs where it is copied to: no file has a path of this checkout or of the stage."""
    forbidden = [str(path).encode() for path in (ROOT, stage)]
    files = [path for path in stage.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in files if any(text in path.read_bytes() for text in forbidden)]


def test_everybody_can_read_it_and_only_its_owner_write(release: Path) -> None:
    """The services' account needs no group and no access list to run it."""
    for path in [release, *release.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode & 0o777
            assert mode in ((0o755,) if path.is_dir() else (0o644, 0o755)), path


def test_it_says_what_it_is_made_of(release: Path) -> None:
    """sha256sum finds every file as it was made, and no bytecode is missing: services cannot write any."""
    command = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    subprocess.run(command, cwd=release, check=True)
    assert (release / "contentworker/__pycache__").is_dir()
    before = set(release.rglob("*.pyc"))
    subprocess.run(
        [release / "environment/bin/python", "-P", "-c", "import celery_worker, flower.command"],
        env={"PYTHONPATH": str(release)},
        check=True,
    )
    assert set(release.rglob("*.pyc")) == before


def test_the_size_that_the_plan_tells_is_about_right(release: Path) -> None:
    """Before the packages were ever installed the plan says how much room they take."""
    found = sum(path.lstat().st_size for path in (release / "environment").rglob("*"))
    assert 0.7 * prepare.ENVIRONMENT_BYTES < found < 1.1 * prepare.ENVIRONMENT_BYTES


def test_no_secret_is_staged(stage: Path) -> None:
    """Every machine of an image would have the same: they are made when it first boots."""
    assert list((stage / "etc/content-worker/credentials").iterdir()) == []
    wants = stage / "etc/systemd/system/multi-user.target.wants/celery-secrets.service"
    assert wants.resolve() == stage / "etc/systemd/system/celery-secrets.service"


def test_what_was_built_is_gone_from_the_checkout(stage: Path) -> None:
    """It was some 400 MB."""
    assert [path.name for path in (ROOT / ".nox/install").iterdir()] == ["lock"]


def test_the_release_examines_itself(release: Path) -> None:
    """What `celery-preflight@` asks first: all tasks and Flower can be loaded from the release alone."""
    code = "from contentworker.installer.checks import check_code; print(check_code())"
    assert "tasks can be loaded" in python(release, "-c", code)
