"""Which ended children a container's first process reaps."""

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import billiard
import pytest

from contentworker.runtime.worker.orphans import OrphanStep
from tests.support import wait_until


def has_ended(number: int) -> bool:
    """Whether a child is a zombie."""
    return Path(f"/proc/{number}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_strangers_are_reaped_and_pool_processes_are_not() -> None:
    """At the second look, as others wait for their children themselves; the pool's keep their exit codes."""
    program = shutil.which("true")
    assert program
    stranger = os.posix_spawn(program, [program], {})
    own = billiard.get_context("fork").Process(target=sys.exit, args=(7,))
    own.start()
    wait_until(lambda: has_ended(stranger), "both to end")
    wait_until(lambda: has_ended(own.pid), "both to end")
    step = OrphanStep(SimpleNamespace())
    step.reap()
    assert has_ended(stranger)
    step.reap()
    assert not Path(f"/proc/{stranger}").exists()
    own.join()
    assert own.exitcode == 7
