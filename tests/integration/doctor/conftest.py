"""A checkout to look at."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

COPIED = (
    ".devcontainer",
    ".vscode",
    "Containerfile",
    "celery_worker.py",
    "contentworker",
    "deploy",
    "docs",
    "locks",
    "monitoring",
    "noxfile.py",
    "pyproject.toml",
    "systemd",
    "tasks",
    "worker.toml",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the doctor looks at, in a repository of its own."""
    copy = tmp_path / "Ein Ordner für Größeres"
    copy.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, copy / name)
    subprocess.run(["git", "init", "-q", str(copy)], check=True)
    return copy
