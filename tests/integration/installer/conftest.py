"""Fixtures of the installer's tests."""

import os
from pathlib import Path

import pytest

from tests.integration.installer.machines import Machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine that nothing is installed on, whose programs are the only ones."""
    made = Machine(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no power is cut in here
    monkeypatch.setattr(os, "sync", lambda: None)
    monkeypatch.setenv("PATH", str(made.programs))
    return made
