"""The packages of an installation, fetched once and kept for machines without a network."""

import os
import shutil
import subprocess
from pathlib import Path

from contentworker.installer.release import pip_wheel
from tests.acceptance.podman import locked
from tests.support import ROOT

__all__ = ["FOLDER", "fetch"]

FOLDER = ROOT / ".nox" / "wheels"
LOCKS = (
    *("install", "service"),
    "embedded",  # editorial
)


def fetch() -> Path:
    """Return the folder of all wheels; they are fetched only if the locks changed since the last time."""
    locks = [ROOT / f"locks/{name}.txt" for name in LOCKS]
    python = subprocess.run(["/usr/bin/python3", "--version"], capture_output=True, check=True).stdout
    made_of, complete = python + b"".join(lock.read_bytes() for lock in locks), FOLDER / "made-of"
    with locked(FOLDER.with_name("wheels-lock")):  # tests of other processes want them, too
        if complete.exists() and complete.read_bytes() == made_of:
            return FOLDER
        shutil.rmtree(FOLDER, ignore_errors=True)
        options = ["-qq", "--no-deps", "--only-binary=:all:", "--require-hashes", f"--dest={FOLDER}"]
        for lock in locks:
            command = ["/usr/bin/python3", "-m", "pip", "download", *options, "-r", str(lock)]
            subprocess.run(command, env={**os.environ, "PYTHONPATH": pip_wheel()}, check=True)
        complete.write_bytes(made_of)
    return FOLDER
