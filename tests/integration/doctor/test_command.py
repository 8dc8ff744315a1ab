"""The doctor as it is called: with next to nothing on the machine, and by both of its names."""

import re
import subprocess
import sys
from pathlib import Path

from contentworker import doctor
from tests.support import PATIENCE, ROOT, environment


def test_machine_without_a_single_package(checkout: Path, tmp_path: Path) -> None:
    """No package, no program on the PATH: every check says something, and nothing is a traceback."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "contentworker.doctor"],
        cwd=checkout,
        env=environment(PATH=str(tmp_path / "empty"), PYTHONIOENCODING="ascii"),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    for name in doctor.CHECKS:
        assert re.search(rf"^(ok   |note |wrong)  {name} ", done.stdout, re.MULTILINE), name
    assert (
        "worker.toml      could not be checked: ModuleNotFoundError: No module named 'pydantic'"
        in done.stdout
    )
    assert "git hook         could not be checked: FileNotFoundError" in done.stdout
    assert "wrong  Redis            There is no Redis here" in done.stdout


def test_command_is_the_same() -> None:
    """`python -m contentworker doctor` prints what the module prints, for programs, too."""
    environ = environment(WORKER__FLOWER__PORT="none")
    for command in (["-m", "contentworker", "doctor"], ["-m", "contentworker.doctor"]):
        done = subprocess.run(
            [sys.executable, *command, "--json"],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        assert '"fix": "unset WORKER__FLOWER__PORT"' in done.stdout
        assert "Traceback" not in done.stderr
