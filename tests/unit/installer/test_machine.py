"""What the machine must have, at the boundary of each demand."""

import grp
import pwd
import shutil
from pathlib import Path

import pytest

from contentworker.installer import machine
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import Layout


def test_a_python_that_others_cannot_run_is_refused(tmp_path: Path) -> None:
    """A Python in a person's home is of no use to a service; each that there is is named, and why."""
    closed = tmp_path / "home"
    closed.mkdir()
    (closed / "python3.99").write_text("#!/bin/sh\n")
    (closed / "python3.99").chmod(0o755)
    closed.chmod(0o700)
    with pytest.raises(InstallError, match=r"python3\.99: other users cannot enter .*install python3\.99"):
        machine.find_python(["3.99"], {"PATH": str(closed)})


def test_the_newest_python_is_recommended() -> None:
    """3.100 is newer than 3.99."""
    with pytest.raises(InstallError, match=r"Type: sudo apt install python3\.100$"):
        machine.find_python(["3.99", "3.100"], {"PATH": ""})


@pytest.mark.parametrize("free", [1_100_000_000, 1_099_999_999])
def test_a_part_of_the_disk_stays_free(tmp_path: Path, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 MB more than the installation takes; the folder itself need not exist yet."""
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    asked: list[Path] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: asked.append(folder) or usage)
    if free == 1_100_000_000:
        assert machine.require_space(tmp_path / "a/b", 1_000_000_000) == free
    else:
        with pytest.raises(InstallError, match="has 1,100 MB free; 1,100 MB are needed"):
            machine.require_space(tmp_path / "a/b", 1_000_000_000)
    assert asked == [tmp_path]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("systemd 247 (247.3-7)", ""),
        ("systemd 246 (246.1-1)", "systemd 246 is too old; 247 or newer is needed"),
        ("no systemd", "prints no version of systemd"),
    ],
)
def test_the_oldest_systemd(tmp_path: Path, said: str, reason: str) -> None:
    """247 is the first with credentials."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\necho '{said}'\n")
    (tmp_path / "systemctl").chmod(0o755)
    layout, environ = Layout(tmp_path, "/opt/x"), {"PATH": str(tmp_path)}
    if not reason:
        assert machine.systemd_version(layout, environ) == 247
    else:
        with pytest.raises(InstallError, match=reason):
            machine.systemd_version(layout, environ)


@pytest.mark.parametrize(
    ("uid", "shell", "is_refused"),
    [
        (999, "/bin/bash", False),
        (1000, "/bin/bash", True),
        (1000, "", True),
        (1000, "/usr/sbin/nologin", False),
        (1000, "/bin/false", False),
        (0, "/usr/sbin/nologin", True),
    ],
)
def test_accounts_that_services_can_have(
    uid: int, shell: str, is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any but root and a person who can log in."""
    account = pwd.struct_passwd(("cw", "x", uid, uid, "", "/", shell))
    monkeypatch.setattr(pwd, "getpwnam", {"cw": account}.__getitem__)
    monkeypatch.setattr(grp, "getgrnam", lambda name: None)
    if is_refused:
        with pytest.raises(InstallError, match=rf"cw is a person's \(uid {uid}, "):
            machine.missing_accounts(["cw"])
    else:
        assert machine.missing_accounts(["cw", "new"]) == ["new"]


def test_an_account_without_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    account = pwd.struct_passwd(("cw", "x", 900, 900, "", "/", "/bin/false"))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: account)
    monkeypatch.setattr(grp, "getgrnam", {}.__getitem__)
    with pytest.raises(InstallError, match=r"sudo groupadd --system cw$"):
        machine.missing_accounts(["cw"])


@pytest.mark.parametrize("line", ['PREFIX = "/srv/cw"', "PREFIX=/srv/cw", "PREFIX='/srv/c w'"])
def test_the_folder_of_an_installation(tmp_path: Path, line: str) -> None:
    """The operator's command says it, in the form of this release and of the previous one."""
    layout = Layout(tmp_path, "/")
    assert machine.installed_prefix(layout) is None
    (tmp_path / "usr/local/bin").mkdir(parents=True)
    (tmp_path / "usr/local/bin/content-worker").write_text(f"#!/bin/sh\n{line}\nexec x\n")
    assert machine.installed_prefix(layout) == ("/srv/c w" if "c w" in line else "/srv/cw")
