"""A long run in short: faults, its runner killed and the run resumed, and every task accounted for."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

from benchmarks.chaos.soak import MARK
from tests.support import ROOT, wait_until

FAULTS = ("kill-group", "kill-main", "kill-child", "drop-clients", "restart-everysec")
LONGEST_SECONDS = 900
COMMAND = (
    *(sys.executable, "-m", "benchmarks.chaos", "soak", "--workers", "4", "--rate", "25", "--pause", "0.2"),
    *("--faults", *FAULTS),
)


def test_a_killed_run_is_resumed_and_nothing_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [*COMMAND, "--folder", str(folder), "--minutes"]
    with (tmp_path / "output").open("wb") as output:
        runner = subprocess.Popen([*command, "10"], cwd=ROOT, stdout=output, stderr=output)
        try:
            wait_until(lambda: faults_done(folder) >= 2 or runner.poll() is not None, "faults are done")
        finally:
            runner.kill()
            runner.wait()
    elapsed_minutes = read(folder, "SELECT value FROM notes WHERE name = 'elapsed'") / 60

    resume = [*command, str(elapsed_minutes + 0.12), "--resume"]
    done = subprocess.run(
        resume, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
    )
    assert done.returncode == 0, f"{(tmp_path / 'output').read_text()}{done.stdout}{done.stderr}"
    result = json.loads((folder / "result.json").read_text("utf-8"))
    assert (result["lost_ids"], result["critical_twice_ids"], result["twice_at_once_ids"]) == ([], [], [])
    assert set(result["left"]) <= {"dead letter"}
    assert result["finished"] + sum(result["left"].values()) >= result["tasks"] >= 20
    assert result["duplicates"] <= result["may_repeat"]
    assert result["sessions"] == 2
    assert set(result["faults"]) == {*FAULTS, "pause"}
    assert result["until_started"]["worst"] > 0
    assert not left_over(folder)


def faults_done(folder: Path) -> float:
    return read(folder, "SELECT count(*) FROM faults") if (folder / "ledger.sqlite").exists() else 0


def read(folder: Path, query: str) -> float:
    with closing(sqlite3.connect(f"file:{folder / 'ledger.sqlite'}?mode=ro", uri=True)) as database:
        try:
            return float(database.execute(query).fetchone()[0])
        except sqlite3.OperationalError:  # it is being made
            return 0


def left_over(folder: Path) -> list[str]:
    """Processes that bear the mark of the run."""
    mark = f"{MARK}={folder.resolve()}\0".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in environment.read_bytes():
                found.append(environment.parent.name)
    return found
