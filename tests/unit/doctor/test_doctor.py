"""The doctor: what it says of platforms by their own words, how it reports, and what it survives."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from contentworker import doctor
from contentworker.doctor import Finding, ask, listeners, machine, ports, project
from contentworker.doctor.ask import NotCheckedError
from tests.support import ROOT, environment

WSL1 = (
    "Linux version 4.4.0-22621-Microsoft (Microsoft@Microsoft.com) (gcc version 5.4.0 (GCC) ) #2506-Microsoft"
)
WSL2 = (
    "Linux version 5.15.153.1-microsoft-standard-WSL2 (root@941d701f84f1) (gcc (GCC) 11.2.0, GNU ld (GNU "
    "Binutils) 2.37) #1 SMP Fri Mar 29 23:14:13 UTC 2024"
)
DEBIAN = (
    "Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld "
    "(GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)"
)
WSL2_MOUNTS = r"""
/dev/sdc / ext4 rw,relatime,discard,errors=remount-ro,data=ordered 0 0
none /mnt/wsl tmpfs rw,relatime 0 0
C:\134 /mnt/c 9p rw,noatime,dirsync,aname=drvfs;path=C:\;uid=1000;gid=1000;symlinkroot=/mnt/,mmap,trans=fd 0 0
server:/export/my\040work /home/me/my\040work nfs4 rw,relatime,vers=4.2 0 0
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/home/me/worker", "ext4", id="root"),
        pytest.param("/mnt/c/Users/me/worker", "9p", id="Windows drive"),
        pytest.param("/mnt/cd/worker", "ext4", id="a name that begins alike"),
        pytest.param("/home/me/my work/worker", "nfs4", id="a mount with a space"),
    ],
)
def test_file_system_is_that_of_the_nearest_mount(path: str, expected: str) -> None:
    """The text of /proc/mounts says what a path is on."""
    assert machine.file_system(Path(path), WSL2_MOUNTS) == expected
    assert machine.file_system(Path(path), "") == ""


@pytest.mark.parametrize(
    ("kernel", "file_system"),
    [pytest.param(WSL1, "drvfs", id="WSL 1"), pytest.param(WSL2, "9p", id="WSL 2")],
)
def test_checkout_on_a_windows_drive_is_wrong(kernel: str, file_system: str) -> None:
    """Saving gives no events there; the way out is a clone on the Linux side."""
    root = Path("/mnt/c/Users/me/my worker")
    found = machine.platform_finding("linux", kernel, file_system, "", root)
    assert found.level == "wrong"
    assert "Linux in WSL" in found.text
    assert "Windows drive" in found.text
    assert found.fix == "git clone '/mnt/c/Users/me/my worker' ~/content-worker"


@pytest.mark.parametrize(
    ("system", "kernel", "file_system", "container", "expected"),
    [
        pytest.param("linux", WSL2, "ext4", "", "Linux in WSL, ", id="WSL, Linux side"),
        pytest.param("linux", DEBIAN, "ext4", "", "Linux, ", id="Linux"),
        pytest.param("linux", DEBIAN, "overlay", "podman", "in a container (podman)", id="container"),
        pytest.param("linux", DEBIAN, "9p", "gvisor", "in a container (gvisor)", id="9p without WSL"),
        pytest.param("darwin", "", "", "", "macOS, ", id="macOS"),
    ],
)
def test_platforms_that_are_fine(
    system: str, kernel: str, file_system: str, container: str, expected: str
) -> None:
    """Each is named."""
    found = machine.platform_finding(system, kernel, file_system, container, Path("/checkout"))
    assert (found.level, found.fix) == ("ok", "")
    assert expected in found.text


def test_windows_needs_wsl() -> None:
    """Plain Windows has no such Redis and no such workers."""
    found = machine.platform_finding("win32", "", "", "", Path("C:/worker"))
    assert (found.level, found.fix) == ("wrong", "wsl --install")


def test_network_file_system_is_a_note() -> None:
    """It works, but for what others save."""
    found = machine.platform_finding("linux", DEBIAN, "nfs4", "", Path("/checkout"))
    assert (found.level, found.fix) == ("note", "save on this machine, or restart the worker after saving")
    assert "nfs4" in found.text


def test_this_platform_can_be_checked() -> None:
    """Its own files are read."""
    assert machine.check_platform(ROOT, environment(container="lxc")).text.startswith(("Linux", "macOS"))


Check = Callable[[Path, object], Finding]


def raises(error: Exception) -> Check:
    """A check that cannot be made."""

    def check(root: Path, environ: object) -> Finding:
        raise error

    return check


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Check]:
    """The table of checks, to fill."""
    own: dict[str, Check] = {}
    monkeypatch.setattr(doctor, "CHECKS", own)
    return own


def test_findings_are_lines(checks: dict[str, Check], capsys: pytest.CaptureFixture[str]) -> None:
    """Level, check and text in columns; the way to fix below; a text of two lines stays in its column."""
    checks["disk"] = lambda root, environ: Finding("ok", "all right")
    checks["worker.toml"] = lambda root, environ: Finding("wrong", "one\ntwo", "edit it")
    assert doctor.report(ROOT, {}) == 1
    assert capsys.readouterr().out == (
        "ok     disk         all right\n"
        "wrong  worker.toml  one\n"
        "                    two\n"
        "       fix: edit it\n"
    )  # fmt: skip


def test_findings_are_json(checks: dict[str, Check], capsys: pytest.CaptureFixture[str]) -> None:
    """For programs, the same as an array."""
    checks["nox"] = lambda root, environ: Finding("note", "old", "renew")
    assert doctor.report(ROOT, {}, as_json=True) == 0
    expected = [{"check": "nox", "level": "note", "text": "old", "fix": "renew"}]
    assert json.loads(capsys.readouterr().out) == expected


def test_check_that_fails_says_so_and_the_others_go_on(checks: dict[str, Check]) -> None:
    """No traceback, whatever a check raises; and it is no reason to fail."""
    checks["first"] = raises(PermissionError(13, "Permission denied", "/etc/secret"))
    checks["second"] = raises(RuntimeError("on\ntwo lines"))
    checks["third"] = raises(NotCheckedError("git: no"))
    checks["last"] = lambda root, environ: Finding("ok", "fine")
    found = dict(doctor.examine(ROOT, {}))
    assert [each.level for each in found.values()] == ["note", "note", "note", "ok"]
    assert found["first"].text == (
        "could not be checked: PermissionError: [Errno 13] Permission denied: '/etc/secret'"
    )
    assert found["second"].text == "could not be checked: RuntimeError: on two lines"
    assert found["third"].text == "could not be checked: git: no"
    assert doctor.report(ROOT, {}) == 0


def write(checkout: Path, text: str) -> Path:
    (checkout / "worker.toml").write_text(text, "utf-8")
    return checkout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("flower = = 1", "is not valid TOML", id="no TOML"),
        pytest.param("[queues.celery]\ndescription = 1", "queues.celery.description", id="wrong type"),
        pytest.param(
            "[flower]\nprot = 1",
            "unknown key; did you mean port? Allowed here: address, port",
            id="unknown key",
        ),
    ],
)
def test_invalid_worker_toml(tmp_path: Path, text: str, expected: str) -> None:
    """The configuration's own error, and every check that needs a setting goes on with the default."""
    found = project.check_configuration(write(tmp_path, text), {})
    assert found.level == "wrong"
    assert expected in found.text
    assert found.fix == "edit worker.toml; docs/configuration.md says what each key may be"
    assert ask.settings(tmp_path, {}).flower.port == 5555


def test_missing_worker_toml(tmp_path: Path) -> None:
    """The file is named."""
    found = project.check_configuration(tmp_path, {})
    assert found.level == "wrong"
    assert found.text == f"worker.toml: cannot be read: No such file or directory ({tmp_path}/worker.toml)"


def test_invalid_override_is_to_be_unset() -> None:
    """The variable is named in the line to type."""
    environ = {"WORKER__FLOWER__PORT": "many", "WORKER__NO": "1"}
    found = project.check_configuration(ROOT, environ)
    assert found.level == "wrong"
    assert found.fix == "unset WORKER__FLOWER__PORT WORKER__NO"
    assert project.check_configuration(ROOT, {}).level == "ok"


def test_documentation_shows_every_check() -> None:
    """The example of docs/troubleshooting.md has a line for each check, in order."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    example = page.partition("## Ask the doctor first")[2].partition("\n## ")[0]
    lines = [
        line.split(None, 1)[1] for line in example.splitlines() if line[:5] in ("ok   ", "note ", "wrong")
    ]
    assert len(lines) == len(doctor.CHECKS)
    for name, line in zip(doctor.CHECKS, lines, strict=True):
        assert line.startswith(name)


def test_address_that_cannot_be_bound() -> None:
    """An address of another machine is told from a taken port."""
    problem = listeners.bind_problem("192.0.2.1", 5555)
    assert problem is not None
    assert problem.strerror == "Cannot assign requested address"
    environ = {"WORKER__FLOWER__ADDRESS": "192.0.2.1"}
    found = ports.check_flower_port(ROOT, environ)
    assert found.level == "wrong"
    assert found.text == "5555 cannot be used: Cannot assign requested address (address 192.0.2.1)"
    assert found.fix == "WORKER__FLOWER__ADDRESS=127.0.0.1 python3 noxfile.py -s flower"
