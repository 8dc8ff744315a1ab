"""Tasks of the probe, run by the worker of a machine: each writes into a folder of that worker's state."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from celery import Celery
from celery.result import AsyncResult

from tests.acceptance.systemd.installation import DEFAULT, PROBE, STATE
from tests.acceptance.systemd.machine import Machine
from tests.support import PATIENCE, executions, wait_until


@contextmanager
def probed(machine: Machine, queue: str, module: str, *directives: str) -> Iterator[str]:
    """Have the worker of a queue know a module of the probe's tasks as well; yield the name of its unit.

    With directives for its unit. Afterwards it is stopped.
    """
    unit = f"celery-worker@{queue}.service"
    installed = machine.path("/etc/systemd/system/celery-worker@.service").read_text("utf-8")
    (line,) = [line for line in installed.splitlines() if line.startswith("ExecStart=")]
    drop_in = machine.path(f"/etc/systemd/system/{unit}.d/90-probe.conf")
    lines = ["[Service]", "ExecStart=", f"{line} --include={module}", f"Environment=PYTHONPATH={PROBE}"]
    drop_in.write_text("\n".join([*lines, *directives, ""]), "utf-8")
    machine.systemctl("daemon-reload")
    try:
        machine.systemctl("restart", unit)
        yield unit
    finally:
        machine.systemctl("stop", unit)
        drop_in.unlink()
        machine.systemctl("daemon-reload")


def hold(client: Celery, folder: Path, queue: str = DEFAULT) -> AsyncResult:
    """Have a task run that does not end before it is told to."""
    where = {"folder": f"{STATE}/{folder.name}"}
    sent = client.send_task("probe.base.hold", kwargs=where, queue=queue)
    wait_until(lambda: len(executions(folder)) == 1, "the task to start")
    return sent


def release(result: AsyncResult, folder: Path) -> None:
    """Let the task end; it must do so well."""
    (folder / "release").touch()
    assert result.get(timeout=PATIENCE) == "released"


class Background(threading.Thread):
    """A command of the machine's that takes its time."""

    def __init__(self, run: Callable[[], subprocess.CompletedProcess[str]]) -> None:
        super().__init__(daemon=True)
        self._run_command = run
        self._done: subprocess.CompletedProcess[str] | None = None
        self.start()

    def run(self) -> None:
        self._done = self._run_command()

    def runs(self) -> bool:
        """Whether it still runs; an error with what it said if not."""
        assert not self._done, self._done.stdout + self._done.stderr
        return True

    def error(self) -> str:
        """Wait for its end; return what it said last."""
        self.join(4 * PATIENCE)
        assert self._done
        return self._done.stderr

    def end(self) -> None:
        """Wait for its end, which must be a good one."""
        self.join(4 * PATIENCE)
        assert self._done
        assert self._done.returncode == 0, self._done.stdout + self._done.stderr
