"""`nox -s doctor` in a fresh checkout without network, then where things are wrong, until all is fixed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import CopyProject
from tests.support import free_port

INSTALL_SECONDS = 900
NO_NETWORK = {"PIP_RETRIES": "0", "PIP_CONFIG_FILE": "/dev/null"}


@pytest.fixture
def checkout(copy_project: CopyProject) -> Path:
    """A checkout where paths go wrong easily."""
    return copy_project("Beim Arzt für Größeres")


@pytest.fixture
def type_in(
    checkout: Path, tmp_path: Path, bare_python: str, bare_environment: dict[str, str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a line in a shell, or a command, in the checkout, with the Python of these tests as `python3`."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(bare_python)
    path = f"{tmp_path / 'bin'}:{bare_environment['PATH']}"
    environ = {**bare_environment, "PATH": path, "WORKER__FLOWER__PORT": str(free_port())}

    def run(command: str | list[str], **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", command] if isinstance(command, str) else command,
            cwd=checkout,
            env={**environ, **more},
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )

    return run


def fixes(printed: str) -> dict[str, str]:
    """The fix of each check that finds something wrong. Flower's port, the default one, may be taken."""
    lines = printed.splitlines()
    return {
        line[7:24].strip(): lines[number + 1].removeprefix("       fix: ")
        for number, line in enumerate(lines)
        if line.startswith("wrong") and "Flower's port" not in line
    }


def check_hook(checkout: Path, type_in: Callable[..., subprocess.CompletedProcess[str]], fix: str) -> None:
    """The advice installs a hook that checks a commit wherever it is made, and replaces none of yours."""
    hook = checkout / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 0\n")
    kept = type_in(fix)
    assert (kept.returncode, hook.read_text()) == (1, "#!/bin/sh\nexit 0\n")
    assert "is a hook of yours, and stays as it is" in kept.stderr
    hook.write_text('#!/bin/sh\nPATH="/gone:$PATH" exec pre-commit run\n')  # as before 0.3
    assert type_in(fix).returncode == 0
    assert str(checkout) not in hook.read_text("utf-8")
    (checkout / "tasks" / "unused.py").write_text("import os\n")
    # Without mypy, which checks all files: test_adoption.py runs it in a fresh checkout.
    commit = "SKIP=mypy git -c user.name=me -c user.email=me@localhost commit -m unused"
    refused = type_in(f"git add tasks/unused.py && {commit}")
    assert refused.returncode == 1
    assert "F401" in refused.stdout + refused.stderr
    type_in("git rm -qf tasks/unused.py")
    elsewhere = type_in(f"git config core.hooksPath '{checkout.parent}/hooks' && {fix}")
    assert elsewhere.returncode == 1
    assert "for all repositories" in elsewhere.stderr
    type_in("git config --unset core.hooksPath")


def test_doctor_finds_what_is_wrong_and_what_it_says_fixes_it(
    checkout: Path,
    type_in: Callable[..., subprocess.CompletedProcess[str]],
    newcomers_environment: dict[str, str],
) -> None:
    """No network first, and no package; then all is well; then three things are wrong at once."""
    nowhere = f"http://127.0.0.1:{free_port()}/"
    without_uv = {"PATH": newcomers_environment["PATH"], "PIP_INDEX_URL": nowhere, **NO_NETWORK}
    bare = type_in([sys.executable, "-m", "nox", "-s", "doctor"], **without_uv)
    assert bare.returncode == 1, bare.stderr
    assert "pip could not install locks/local.txt. Its own message is above." in bare.stderr
    assert "Traceback" not in bare.stdout + bare.stderr
    assert "wrong  .venv            .venv is not what locks/local.txt says\n" in bare.stdout
    assert "note   worker.toml      could not be checked: ModuleNotFoundError" in bare.stdout
    assert "ok     locks            up to date\n" in bare.stdout
    install = "python3 noxfile.py -s shell -- python --version"
    assert fixes(bare.stdout)[".venv"] == install

    installed = type_in(install)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    fresh = type_in("python3 noxfile.py -s doctor -- --json")
    assert fresh.returncode == 0, fresh.stdout + fresh.stderr
    found = {each["check"]: each for each in json.loads(fresh.stdout)}
    assert "wrong" not in [each["level"] for each in found.values()]
    assert "could not be checked" not in fresh.stdout
    assert found[".venv"]["level"] == "ok"
    check_hook(checkout, type_in, found["git hook"]["fix"])

    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(checkout / "removed")
    dangling = type_in("python3 noxfile.py -s doctor")
    assert f"{python} does not run" in dangling.stdout
    repaired = type_in(fixes(dangling.stdout)[".venv"])
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert fixes(type_in("python3 noxfile.py -s doctor").stdout) == {}

    settings, note = checkout / "worker.toml", checkout / ".venv" / "made-of"
    valid = settings.read_text("utf-8")
    settings.write_text(valid + "no = = toml\n", "utf-8")
    (checkout / "docs" / "configuration.md").write_text("older\n")
    note.write_text("an older lock")
    wrong = type_in("python3 noxfile.py -s doctor")
    assert wrong.returncode == 1, wrong.stderr
    assert "Traceback" not in wrong.stdout + wrong.stderr
    assert fixes(wrong.stdout) == {
        ".venv": install,
        "worker.toml": "edit worker.toml; docs/configuration.md says what each key may be",
    }
    said = f"worker.toml:{len(valid.splitlines()) + 1}: is not valid TOML: "
    assert f"wrong  worker.toml      {said}" in wrong.stdout
    assert f"note   generated files  could not be checked: {said}" in wrong.stdout

    settings.write_text(valid, "utf-8")
    left = fixes(type_in("python3 noxfile.py -s doctor").stdout)
    assert left == {".venv": install, "generated files": "python3 noxfile.py -s generate"}
    for fix in left.values():
        done = type_in(fix)
        assert done.returncode == 0, done.stdout + done.stderr
    fixed = type_in("python3 noxfile.py -s doctor")
    assert fixed.returncode == 0, fixed.stdout
    assert "wrong" not in fixed.stdout
