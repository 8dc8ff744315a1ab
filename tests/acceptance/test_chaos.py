"""Nothing is lost: a few of each fault, under load. `nox -s chaos` does the same with many."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.chaos.command import faults_of
from benchmarks.chaos.faults import Fault, together
from benchmarks.chaos.promises import PROMISES
from benchmarks.chaos.systems import SYSTEMS
from tests.support import ROOT, service_is_missing

OURS = SYSTEMS["flow"]
TOGETHER = (
    ("kill-child", "kill-main", "kill-group"),
    ("away-8-refusing", "away-8-silent", "drop-clients"),
    ("warm", "cold"),
)
"""Faults that share a run, as those before and after a step of the protocol do: a run's beginning, with two
workers, two beats and a publisher, costs as much as four kills."""


def runs_of(faults: Iterable[Fault]) -> dict[str, Fault]:
    """Each fault in one of these."""
    kinds: dict[object, list[Fault]] = {}
    for fault in faults:
        if fault.name.startswith("crash-"):
            kind: object = frozenset(fault.name.split("-")) - {"before", "after", "sent", "answered"}
        else:
            kind = next((each for each in TOGETHER if fault.name in each), fault.name)
        kinds.setdefault(kind, []).append(fault)
    made = [each[0] if len(each) == 1 else together(*each) for each in kinds.values()]
    return {fault.name: fault for fault in made}


FAULTS = runs_of(faults_of(OURS))
AT_ONCE = 3
"""Runs side by side: they mostly wait."""
LONGEST_SECONDS = 900

Result = Callable[[Fault], dict[str, Any]]


@pytest.fixture(scope="module")
def result(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    """Start the runs of all tests that were asked for, and hand out what came of each."""
    folder = tmp_path_factory.mktemp("chaos")
    wanted = [
        cast("Fault", item.callspec.params["fault"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == test_nothing_is_lost.__name__
    ]
    # The longest first: started last, it would run alone.
    wanted.sort(key=lambda fault: "30" not in fault.name)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs: dict[str, Future[dict[str, Any]]] = {
            fault.name: pool.submit(run, fault, folder / fault.name) for fault in wanted
        }
        yield lambda fault: runs[fault.name].result()
        pool.shutdown(cancel_futures=True)


def run(fault: Fault, folder: Path) -> dict[str, Any]:
    command = [
        *(sys.executable, "-m", "benchmarks.chaos", "run", "--system", OURS.name, "--fault", fault.name),
        *("--kills", str(fault.quick_count), "--workers", "2", "--tasks", "140", "--rate", "12", "--fork"),
        *("--results", str(folder / "results.csv"), "--keep", str(folder)),
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
    )
    files = list(folder.glob("*/result.json"))
    assert files, f"no result:\n{done.stdout}{done.stderr}"
    return dict(json.loads(files[0].read_text("utf-8")))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_nothing_is_lost(fault: Fault, result: Result) -> None:
    """Every confirmed task ends or is kept; no critical one runs twice, none runs twice at once."""
    found = result(fault)
    if "not_run" in found:
        service_is_missing(found["not_run"])
    assert found["lost_ids"] == []
    assert found["critical_twice_ids"] == []
    if fault.at_once_is_reported:
        assert found["twice_at_once"] <= found["overlaps_reported"]
    else:
        assert found["twice_at_once_ids"] == []
    assert found["duplicates"] <= found["may_repeat"]
    for promise in PROMISES.keys() & found.keys():
        assert found[f"{promise}_ids"] == []
        assert found[f"{promise}_of"] > 0
    # A retry that is sent while its host's clock is an hour fast is due an hour late, as it says itself.
    late = {"delayed"} if fault.clocks else set()
    assert set(found["left"]) <= {"dead letter"} | late, "nothing waits for ever"
    assert found["tasks"] >= 140
    assert found["kills"] >= fault.quick_count
