"""The machine that the installed units are tested in: what is enforced there; nothing of it stays."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.systemd.machine import Machine
from tests.support import ROOT, Process, environment, wait_until

pytestmark = [pytest.mark.systemd, pytest.mark.usefixtures("can_boot")]

OUTSIDE = "192.0.2.1"
"""An address that only IPAddressDeny= keeps from answering: it is on the machine's loopback."""

NOTIFIER = """\
import os, signal, socket, time
address = os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.connect(address)
    notify.send(b"READY=1\\nSTATUS=" + open(os.environ["CREDENTIALS_DIRECTORY"] + "/SECRET", "rb").read())
    while True:
        time.sleep(0.2)
        notify.send(b"WATCHDOG=1")
"""
PYTHON = "/usr/bin/python3 -c"
WRITABLE_CODE = "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)"
DATAGRAM = f"import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('{OUTSIDE}', 9))"

REFUSED = {
    "ProtectSystem=strict": "touch /usr/file",
    "ProtectHome=yes": "test -e /home/file",
    "PrivateTmp=yes": "test -e /tmp/file",
    "PrivateDevices=yes": "mknod /tmp/device c 1 3",
    "PrivateUsers=yes": "chown 1234 /tmp/file",
    "SystemCallFilter=~@mount": "mount -t tmpfs tmpfs /mnt",
    "MemoryDenyWriteExecute=yes": f'{PYTHON} "{WRITABLE_CODE}"',
    "RestrictNamespaces=yes": "unshare --uts true",
    "RestrictAddressFamilies=AF_UNIX": f'{PYTHON} "{DATAGRAM}"',
    "IPAddressDeny=any": f'{PYTHON} "{DATAGRAM}"',
    "DynamicUser=yes": "touch /file",
    "ProtectProc=invisible\nUser=nobody": "test -e /proc/1/cmdline",
}
"""A command that is refused where a unit says so."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with nothing of ours in it."""
    files = tmp_path_factory.mktemp("files")
    (files / "home").mkdir()
    (files / "home" / "file").touch()
    with Machine(tmp_path_factory.mktemp("machine"), files=files, binds={ROOT: "/srv/checkout"}) as machine:
        machine.run("touch", "/tmp/file")
        machine.run("ip", "address", "add", f"{OUTSIDE}/32", "dev", "lo")
        yield machine


def start(machine: Machine, unit: str, text: str) -> bool:
    """Write a unit, start it, and return whether that worked."""
    machine.path(f"/etc/systemd/system/{unit}").write_text(f"[Service]\n{text}\n")
    machine.systemctl("daemon-reload")
    return machine.systemctl("restart", unit, check=False).returncode == 0


def traces(folder: Path) -> list[str]:
    """What there is of the machine of a folder: processes that see its disk, and control groups."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in (process / "mountinfo").read_text():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended
            continue
    listed = subprocess.run(
        ["unshare", "--mount", "sh", "-c", "mount -t cgroup2 cgroup2 /mnt && ls /mnt"],
        capture_output=True,
        check=True,
        text=True,
    )
    return found + [name for name in listed.stdout.split() if name.endswith(str(folder).replace("/", "-"))]


def test_it_is_another_machine(machine: Machine) -> None:
    """A hostname and a network of its own, in which there is only a loopback; the checkout is read-only."""
    assert machine.output("hostname").strip() == "test-machine" != os.uname().nodename
    links = machine.output("ip", "-brief", "link").splitlines()
    assert [line.split()[0] for line in links] == ["lo"]
    assert "UP" in links[0]
    assert machine.path("/srv/checkout/worker.toml").read_text() == (ROOT / "worker.toml").read_text()
    assert machine.run("touch", "/srv/checkout/file", check=False).returncode != 0


@pytest.mark.parametrize("directives", REFUSED, ids=lambda text: text.partition("=")[0])
def test_directive_is_enforced(machine: Machine, directives: str) -> None:
    """What a unit's directive refuses is done without it: the tests of our units show something."""
    once = f"Type=oneshot\nPrivateMounts=yes\nExecStart={REFUSED[directives]}"
    assert start(machine, "refused.service", once), machine.journal("refused.service")
    assert not start(machine, "refused.service", f"{once}\n{directives}")
    machine.systemctl("reset-failed")


def test_notify_watchdog_and_credentials(machine: Machine) -> None:
    """A service is started when it says so, has its credential, and is started again when it hangs."""
    machine.path("/etc/secret").write_text("a secret")
    machine.path("/srv/notifier.py").write_text(NOTIFIER)
    service = """
        Type=notify
        ExecStart=/usr/bin/python3 /srv/notifier.py
        LoadCredential=SECRET:/etc/secret
        WatchdogSec=10
        Restart=always
        DynamicUser=yes
        TimeoutAbortSec=1
        LimitCORE=0
    """
    assert start(machine, "notifier.service", textwrap.dedent(service)), machine.journal("notifier.service")
    assert machine.show("notifier.service", "StatusText") == "a secret"
    before = machine.main_pid("notifier.service")
    machine.run("kill", "-STOP", str(before))
    wait_until(lambda: machine.main_pid("notifier.service") not in (0, before), "the watchdog")
    machine.wait_active("notifier.service")
    assert "Watchdog timeout" in machine.journal("notifier.service")
    machine.systemctl("stop", "notifier.service")


def test_nothing_stays(tmp_path: Path) -> None:
    """A machine that is left, or whose test is killed, leaves no process, control group or file behind."""
    (tmp_path / "files").mkdir()
    folder = tmp_path / "machine"
    code = f"""
        import time
        from pathlib import Path
        from tests.acceptance.systemd.machine import Machine
        with Machine(Path({str(folder)!r}), files=Path({str(tmp_path / "files")!r})):
            print("booted", flush=True)
            time.sleep(1000)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    test = Process(command, tmp_path / "test", environment(PYTHONPATH=str(ROOT)))
    try:
        test.wait_for_log("booted")
        assert len(traces(folder)) > 3
        test.kill(signal.SIGKILL)
        wait_until(lambda: not traces(folder), "the end of the machine")
    finally:
        test.stop()
    shutil.rmtree(folder)
    with Machine(folder, files=tmp_path / "files") as machine:
        machine.path("/srv/file").touch()
        assert traces(folder)
    assert traces(folder) == []
    assert {path.name for path in folder.rglob("*")} == {"log", "pid", "disk"}
