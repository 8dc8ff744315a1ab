"""The doctor on a machine with services."""

from pathlib import Path

import pytest

from contentworker.doctor import services
from contentworker.doctor.ask import NotCheckedError
from contentworker.installer.manifest import Manifest
from tests.integration.doctor.machines import script
from tests.support import ROOT

UNITS = ["celery-worker@rewrite.service", "celery-worker@rewrite-2.service"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("active active", ("ok", "2 workers run", "")),
        (
            "active inactive",
            ("note", f"{UNITS[1]} is inactive", "sudo systemctl start celery-worker"),
        ),
    ],
)
def test_installed(tmp_path: Path, states: str, expected: tuple[str, str, str]) -> None:
    """Every worker is looked at, whatever release started it."""
    started = {**dict.fromkeys(UNITS, "a"), "celery-beat.service": "a"}
    (tmp_path / "manifest.json").write_bytes(
        Manifest(str(tmp_path), "x", current="a", started=started).text()
    )
    path = script(
        tmp_path / "bin", "systemctl", f'[ "$*" = "is-active {" ".join(UNITS)}" ]; printf "%s\\n" {states}'
    )
    environ = {"PATH": path, "WORKER__SERVICES__PREFIX": str(tmp_path)}
    assert services.check_services(ROOT, environ) == expected


@pytest.mark.parametrize(("current", "command"), [("a", "upgrade"), (None, "install")])
def test_interrupted(tmp_path: Path, current: str | None, command: str) -> None:
    """The command that was interrupted ends it."""
    (tmp_path / "manifest.json").write_bytes(
        Manifest(str(tmp_path), "x", current=current, pending="b").text()
    )
    found = services.check_services(ROOT, {"WORKER__SERVICES__PREFIX": str(tmp_path)})
    assert found.level == "wrong"
    assert "a switch to release b was interrupted" in found.text
    assert found.fix == f"python3 noxfile.py -s {command}"


def test_not_installed(tmp_path: Path) -> None:
    environ = {"WORKER__SERVICES__PREFIX": str(tmp_path)}
    assert services.check_services(ROOT, environ) == ("ok", "none are installed on this machine", "")
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(NotCheckedError, match="cannot be read"):
        services.check_services(ROOT, environ)
