"""Fixtures of the installer's tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.installer.machines import Machine


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the environments of releases are kept, which have no packages here."""
    return tmp_path_factory.mktemp("environments")


@pytest.fixture
def machine(tmp_path: Path, environments: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine that nothing is installed on, whose programs are the only ones."""
    made = Machine(tmp_path, environments)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no power is cut in here
    monkeypatch.setattr(os, "sync", lambda: None)
    monkeypatch.setenv("PATH", str(made.programs))
    yield made
    made.close()
