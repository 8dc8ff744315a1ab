"""`.ci/run`: it brings what the tests need, and changes nothing that it did not bring."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT, service_is_missing

POLICY = "/usr/sbin/policy-rc.d"
APT = """
echo "$*" >>"$NOTES/apt-get"
case "$1" in install)
    "$POLICY"; echo "$?" >"$NOTES/may-start"
    [ ! -e "$NOTES/refuse" ] || exit 100
esac
"""


class Machine:
    """A folder with a checkout's `.ci/run`, where packages are only noted, and no test is run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs, self.policy = folder, folder / "bin", folder / "sbin" / "policy-rc.d"
        for each in (self.programs, self.policy.parent, folder / ".ci"):
            each.mkdir()
        script = (ROOT / ".ci" / "run").read_text("utf-8")
        assert POLICY in script
        (folder / ".ci" / "run").write_text(script.replace(POLICY, str(self.policy)))
        for name in ("bash", "sh", "dirname", "ls", "ln", "mkdir", "mktemp", "mv", "rm", "rmdir", "chmod"):
            (self.programs / name).symlink_to(shutil.which(name) or service_is_missing(name))
        self.program("id", "echo 0")
        self.program("dpkg", "exit 1")
        self.program("apt-get", APT)
        self.program("redis-check-rdb", 'echo "started as ${0##*/}"')
        self.program("python3", '"$TLS_REDIS_SERVER"; echo "$TESTS_REDIS $*"')

    def program(self, name: str, text: str) -> Path:
        """A program on this machine's PATH."""
        file = self.programs / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
        return file

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run it, with no other program than those above."""
        return subprocess.run(
            ["bash", str(self.folder / ".ci" / "run")],
            env={"PATH": str(self.programs), "NOTES": str(self.folder), "POLICY": str(self.policy)},
            capture_output=True,
            text=True,
            check=False,
        )

    def note(self, name: str) -> str:
        return (self.folder / name).read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    if not shutil.which("bash"):
        service_is_missing("bash")
    return Machine(tmp_path)


def test_a_machine_without_redis(machine: Machine) -> None:
    """It gets one with TLS for the tests of that, none on PATH, and no policy stays."""
    finished = machine.run()
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines() == ["started as redis-server", "embedded noxfile.py -s tests"]
    assert " redis-tools " in machine.note("apt-get")
    assert "redis-server" not in machine.note("apt-get")
    assert machine.note("may-start") == "101\n"
    assert not os.path.lexists(machine.policy)
    assert not shutil.which("redis-server", path=str(machine.programs))


@pytest.mark.parametrize("refused", [False, True], ids=["installed", "failed"])
def test_what_a_machine_has_stays(machine: Machine, refused: bool) -> None:
    """Its Redis, and what it says about the start of services, also where the installation fails."""
    server = machine.program("redis-server", "echo its own")
    machine.policy.write_text("#!/bin/sh\nexit 0 # its own\n")
    machine.policy.chmod(0o750)
    if refused:
        (machine.folder / "refuse").touch()
    finished = machine.run()
    assert finished.returncode == (100 if refused else 0), finished.stderr
    assert machine.note("may-start") == "101\n"
    assert server.read_text() == "#!/bin/sh\necho its own\n"
    assert machine.policy.read_text() == "#!/bin/sh\nexit 0 # its own\n"
    assert machine.policy.stat().st_mode & 0o777 == 0o750


def test_the_tests_run_on_the_embedded_server(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever the machine has on PATH."""
    from contentworker.runtime.development import local_redis
    from tests.support import prefer_embedded_redis

    machine.program("redis-server", "echo its own")
    monkeypatch.setenv("PATH", str(machine.programs))
    prefer_embedded_redis()
    found = local_redis.find_executable(os.environ["PATH"])
    assert os.path.realpath(found) == os.path.realpath(local_redis.find_executable(""))
