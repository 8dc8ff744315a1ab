"""`nox -s doctor` in a fresh checkout, then in one where things are wrong, until they are mended."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import CopyProject
from tests.support import free_port

INSTALL_SECONDS = 300


@pytest.fixture
def checkout(copy_project: CopyProject) -> Path:
    """A checkout where paths go wrong easily."""
    return copy_project("Beim Arzt für Größeres")


@pytest.fixture
def type_in(
    checkout: Path, tmp_path: Path, bare_python: str, bare_environment: dict[str, str]
) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Run a line in a shell in the checkout, with the Python of these tests as `python3`."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(bare_python)
    path = f"{tmp_path / 'bin'}:{bare_environment['PATH']}"
    environ = {**bare_environment, "PATH": path, "WORKER__FLOWER__PORT": str(free_port())}

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", line],
            cwd=checkout,
            env=environ,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )

    return run


def mends(printed: str) -> dict[str, str]:
    """What is said of each check that finds something wrong. Flower's port, the default one, may be taken."""
    lines = printed.splitlines()
    found = {
        line[7:24].strip(): lines[number + 1].removeprefix("       mend: ")
        for number, line in enumerate(lines)
        if line.startswith("wrong")
    }
    found.pop("Flower's port", None)
    return found


@pytest.mark.once
def test_doctor_finds_what_is_wrong_and_what_it_says_mends_it(
    checkout: Path, type_in: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    """Nothing at first; then three things at once, worker.toml among them, and what to type helps."""
    first = type_in("python3 noxfile.py -s doctor")
    assert first.returncode == 0, first.stdout + first.stderr
    fresh = type_in("python3 noxfile.py -s doctor -- --json")
    assert fresh.returncode == 0, fresh.stdout + fresh.stderr
    found = {each["check"]: each for each in json.loads(fresh.stdout)}
    assert "wrong" not in [each["level"] for each in found.values()]
    assert "could not be checked" not in fresh.stdout
    assert found[".venv"]["level"] == "ok"
    assert found["git hook"]["mend"] == "python3 noxfile.py -s lint -- --hook"

    settings = checkout / "worker.toml"
    valid = settings.read_text("utf-8")
    settings.write_text(valid + "no = = toml\n", "utf-8")
    (checkout / "docs" / "configuration.md").write_text("older\n")
    (checkout / ".venv" / "made-of").write_text("an older lock")
    wrong = type_in("python3 noxfile.py -s doctor")
    assert wrong.returncode == 1, wrong.stderr
    assert "Traceback" not in wrong.stdout + wrong.stderr
    assert mends(wrong.stdout) == {
        ".venv": "python3 noxfile.py -s shell -- python --version",
        "worker.toml": "edit worker.toml; docs/configuration.md says what each key may be",
    }
    assert "worker.toml: is not valid TOML: " in wrong.stdout
    assert "note   generated files  could not be checked: worker.toml: is not valid TOML: " in wrong.stdout

    settings.write_text(valid, "utf-8")
    left = mends(type_in("python3 noxfile.py -s doctor").stdout)
    assert left == {
        ".venv": "python3 noxfile.py -s shell -- python --version",
        "generated files": "python3 noxfile.py -s generate",
    }
    for line in left.values():
        done = type_in(line)
        assert done.returncode == 0, done.stderr
    mended = type_in("python3 noxfile.py -s doctor")
    assert mended.returncode == 0, mended.stdout
    assert "wrong" not in mended.stdout


@pytest.mark.once
def test_doctor_works_where_nothing_can_be_installed(
    checkout: Path, bare_environment: dict[str, str]
) -> None:
    """No network: what pip says, and then all that can be said without a package."""
    nowhere = f"http://127.0.0.1:{free_port()}/"
    done = subprocess.run(
        [sys.executable, "-m", "nox", "-s", "doctor"],
        cwd=checkout,
        env={
            **bare_environment,
            "PIP_INDEX_URL": nowhere,
            "PIP_RETRIES": "0",
            "PIP_CONFIG_FILE": "/dev/null",
        },
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "pip could not install locks/local.txt; what it says is above." in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "wrong  .venv            .venv is not what locks/local.txt says\n" in done.stdout
    assert "note   worker.toml      could not be checked: ModuleNotFoundError" in done.stdout
    assert "ok     locks            up to date\n" in done.stdout
