"""Whether a holder's process has ended, asked of real ones."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from contentworker.runtime.transport import processes
from tests.support import service_is_missing

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a lease has to be waited for"),
]

Sleeper: TypeAlias = "subprocess.Popen[bytes]"


def name_of(pid: int) -> str:
    host, place, _ = processes.identity().split(":")
    return f"{host}:{place}:{pid}:0123456789ab"


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """A process that does nothing."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def test_own_process() -> None:
    """Its identity names it, and it has not ended."""
    name = f"{processes.identity()}:0123456789ab"
    assert name == name_of(os.getpid())
    assert not processes.has_ended(name)


def test_killed(sleeper: Sleeper) -> None:
    """A process has ended when it is killed, whether its parent has asked for its exit status or not."""
    assert not processes.has_ended(name_of(sleeper.pid))
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert processes.has_ended(name_of(sleeper.pid))
    sleeper.wait()
    assert processes.has_ended(name_of(sleeper.pid))


def test_frozen(sleeper: Sleeper) -> None:
    """Only its lease tells."""
    sleeper.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WNOWAIT)
    assert not processes.has_ended(name_of(sleeper.pid))


@pytest.mark.parametrize(
    "change",
    [
        lambda host, place, pid: f"other{host}:{place}:{pid}:0",
        lambda host, place, pid: f"{host}:0{place[1:-1]}x:{pid}:0",
        lambda host, place, pid: f"{host}::{pid}:0",
        lambda host, place, pid: f"{host}:{place}:{pid}x:0",
        lambda host, place, pid: f"{host}:{pid}:0",
        lambda host, place, pid: "",
    ],
    ids=["other-host", "other-boot", "no-place", "no-number", "of-an-earlier-version", "empty"],
)
def test_cannot_be_told(sleeper: Sleeper, change: Callable[..., str]) -> None:
    """Never taken for dead on a guess."""
    sleeper.kill()
    sleeper.wait()
    host, place, _ = processes.identity().split(":")
    assert not processes.has_ended(change(host, place, sleeper.pid))


def test_other_namespace(sleeper: Sleeper) -> None:
    """A container numbers its processes by itself: there is another place."""
    code = "import sys; from contentworker.runtime.transport import processes; "
    code += "print(processes.has_ended(sys.argv[1]))"
    command = ["unshare", "--pid", "--mount-proc", "--fork", sys.executable, "-c", code, name_of(999_999)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        service_is_missing("unshare (util-linux)")
    if "Operation not permitted" in done.stderr:
        service_is_missing("the right to make namespaces")
    assert done.stdout == "False\n", done.stderr
    assert processes.has_ended(name_of(999_999))


def test_boot_named_by_the_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel's file is hidden, systemd's `%b` (no dashes) names the same boot as the file."""
    seen = processes.identity()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    monkeypatch.setenv(processes.BOOT_ID, boot)
    processes._place.cache_clear()
    assert processes.identity() == seen
    monkeypatch.setenv(processes.BOOT_ID, "0" * 32)
    processes._place.cache_clear()
    assert processes.identity() != seen
    processes._place.cache_clear()
