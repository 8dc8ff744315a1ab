"""Folders for state, and secrets that come as files."""

import os
import socket
from pathlib import Path

import pytest

from contentworker.errors import ConfigError
from contentworker.runtime import environment


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"STATE_DIRECTORY": "/var/lib/a"}, "/var/lib/a", id="service"),
        pytest.param({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a", id="several"),
        pytest.param({"STATE_DIRECTORY": ""}, f"here/.contentworker/{socket.gethostname()}", id="empty"),
        pytest.param({}, f"here/.contentworker/{socket.gethostname()}", id="checkout"),
    ],
)
def test_where_state_is_kept(environ: dict[str, str], expected: str) -> None:
    """In the service's folder, else in the checkout, in a folder of this host."""
    assert environment.folder(Path("here"), environ) == Path(expected)


def test_a_credential_becomes_a_variable(tmp_path: Path) -> None:
    """Without its line end; not over a variable that is set, not when empty, not under a name of another."""
    for name, text in {"REDIS_URL": "redis://a\n", "SET": "file", "EMPTY": "\n", "tls.key": "x"}.items():
        (tmp_path / name).write_text(text)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "SET": "environment"}
    environment.adopt_credentials(environ)
    del environ["CREDENTIALS_DIRECTORY"]
    assert environ == {"SET": "environment", "REDIS_URL": "redis://a"}


def test_without_credentials_nothing_changes() -> None:
    """As on every developer's machine."""
    environ: dict[str, str] = {}
    environment.adopt_credentials(environ)
    assert environ == {}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such folders")
def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """No such folder, a folder for a file, bytes that are no text: an error with the name."""
    with pytest.raises(ConfigError, match=r"CREDENTIALS_DIRECTORY: .*No such file"):
        environment.adopt_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path / "none")})
    (tmp_path / "A").mkdir()
    with pytest.raises(ConfigError, match=r"^A: .*directory"):
        environment.adopt_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    (tmp_path / "A").rmdir()
    (tmp_path / "B").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"^B: .*UTF-8"):
        environment.adopt_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_session_is_named_as_it_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With nox where there is one on the PATH, outside of this environment."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.session("redis -- ping") == "python3 noxfile.py -s redis -- ping"
    nox = tmp_path / "nox"
    nox.touch(mode=0o755)
    assert environment.session("redis -- ping") == "nox -s redis -- ping"
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    assert environment.session("up") == "python3 noxfile.py -s up"
