"""The probe of an alive file as a command; tests/unit has its answers."""

import subprocess
import sys
from pathlib import Path

from tests.support import ROOT, StartWorker, wait_until


def ask(*arguments: str) -> tuple[int, str]:
    """Exit code and output of the probe, which says nothing on stderr."""
    command = [sys.executable, "-m", "contentworker.runtime.health.liveness", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.removesuffix("\n")


def test_imports_nothing_of_ours(tmp_path: Path) -> None:
    """Only the standard library is loaded, as the probe is asked every few seconds."""
    code = (
        "import runpy, sys; sys.argv = ['liveness', sys.argv[1]]\n"
        "name = 'contentworker.runtime.health.liveness'\n"
        "try: runpy.run_module(name, run_name='__main__', alter_sys=True)\n"
        "except SystemExit: pass\n"
        "print({name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'__main__'})"
    )
    file = tmp_path / "alive"
    file.write_text(f"{'ready':<63}\n")
    command = [sys.executable, "-S", "-c", code, str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["{'contentworker'}"]


def test_worker_without_systemd(worker: StartWorker, tmp_path: Path) -> None:
    """In a container there is no NOTIFY_SOCKET: the variable with the file's name is enough."""
    file = tmp_path / "alive"
    serving = worker("--queues=escalation", WORKER_ALIVE_FILE=str(file))
    wait_until(lambda: ask(str(file), "--ready")[0] == 0, "the probe to find it ready")
    serving.kill()
    assert serving.wait() == 0
    assert ask(str(file)) == (1, f"no sign of life: there is no file {file}")
