"""Machines where things are wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PATIENCE, ROOT, environment, service_is_missing


def script(folder: Path, name: str, text: str) -> str:
    """A program on a PATH that this returns."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(folder)


def in_namespace(prepare: str, *command: str, cwd: Path = ROOT) -> str:
    """Run a command as the only user of a machine whose limits can be set; skip where that cannot be."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if sys.platform != "linux":
        pytest.skip("only Linux has namespaces")
    if subprocess.call([*unshare, "true"], stderr=subprocess.DEVNULL):
        service_is_missing("user namespaces (unshare)")
    full = [*unshare, "sh", "-ec", f'{prepare}\nexec "$@"', "sh", *command]
    done = subprocess.run(
        full, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(check: str, root: str = str(ROOT)) -> list[str]:
    """The command that prints what one check finds: its level, its text, how to fix it."""
    code = (
        "import os, sys; from pathlib import Path; from contentworker import doctor\n"
        "print(*doctor.CHECKS[sys.argv[1]](Path(sys.argv[2]), os.environ), sep='\\n')"
    )
    return [sys.executable, "-c", code, check, root]
