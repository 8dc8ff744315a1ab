"""Secrets that come as files."""

import os
from pathlib import Path

import pytest

from contentworker.errors import ConfigError
from contentworker.runtime import credentials


def test_a_credential_becomes_a_variable(tmp_path: Path) -> None:
    """Without its line end; not over a variable that is set, not when empty, not under a name of another."""
    for name, text in {"REDIS_URL": "redis://a\n", "SET": "file", "EMPTY": "\n", "tls.key": "x"}.items():
        (tmp_path / name).write_text(text)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "SET": "environment"}
    credentials.adopt(environ)
    del environ["CREDENTIALS_DIRECTORY"]
    assert environ == {"SET": "environment", "REDIS_URL": "redis://a"}


def test_without_credentials_nothing_changes() -> None:
    """As on every developer's machine."""
    environ: dict[str, str] = {}
    credentials.adopt(environ)
    assert environ == {}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such folders")
def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """No such folder, a folder for a file, bytes that are no text: an error with the name."""
    with pytest.raises(ConfigError, match=r"CREDENTIALS_DIRECTORY: .*No such file"):
        credentials.adopt({"CREDENTIALS_DIRECTORY": str(tmp_path / "none")})
    (tmp_path / "A").mkdir()
    with pytest.raises(ConfigError, match=r"^A: .*directory"):
        credentials.adopt({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    (tmp_path / "A").rmdir()
    (tmp_path / "B").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"^B: .*UTF-8"):
        credentials.adopt({"CREDENTIALS_DIRECTORY": str(tmp_path)})
