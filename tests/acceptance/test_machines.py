"""Five machines, a failover, one machine cut off: `benchmarks/chaos/machines.py` says what runs where."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT, service_is_missing

LONGEST_SECONDS = 600


def test_a_failover_and_a_machine_that_is_cut_off(tmp_path: Path) -> None:
    """Each confirmed task ends, no critical one starts twice, and the workers go on by themselves."""
    command = [sys.executable, "-m", "benchmarks.chaos", "machines", "--keep", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    if "not_run" in found:
        service_is_missing(found["not_run"])
    assert found["lost_ids"] == []
    assert found["critical_twice_ids"] == []
    assert found["tasks"] > 100
    # A retry of the worker whose clock is an hour fast is due an hour late.
    assert set(found["left"]) <= {"dead letter", "delayed"}
    assert found["worker_deaths"] == 0
    assert found["publish_errors"], "while no replica had it, the sender was told so"
