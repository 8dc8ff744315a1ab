"""Fixtures of the installer's tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contentworker.installer import checks, release
from contentworker.installer import machine as machine_module
from tests.integration.installer.machines import Machine, Shared
from tests.support import PATIENCE


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """What takes long and is the same for all tests: ports, a Python, releases that were built."""
    made = Shared(tmp_path_factory.mktemp("releases"))
    yield made
    made.close()


@pytest.fixture
def machine(tmp_path: Path, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine that nothing is installed on, whose programs are the only ones."""

    def build(source: release.Source, cache: Path, installed: Path, say: Callable[[str], None]) -> Path:
        say(f"code: {len(source.files)} files")
        return shared.built(source)

    monkeypatch.setattr(os, "fsync", lambda _: None)  # no power is cut in here
    monkeypatch.setattr(os, "sync", lambda: None)
    monkeypatch.setattr(machine_module, "find_python", lambda *_: shared.python)
    monkeypatch.setattr(release, "build", build)
    monkeypatch.setattr(checks, "SECONDS", float(PATIENCE))  # a busy machine may hold up a healthy Redis
    made = Machine(tmp_path, shared)
    monkeypatch.setenv("PATH", str(made.programs))
    return made
