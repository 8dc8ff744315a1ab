"""The command line: `python -m benchmarks.chaos run | all | soak | machines | list | table`."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.chaos import machines, report, results, soak_report
from benchmarks.chaos.faults import FAULTS, Fault, crash, together
from benchmarks.chaos.load import Options
from benchmarks.chaos.processes import ROOT, ChaosError, Process, adopt_orphans
from benchmarks.chaos.promises import PROMISES
from benchmarks.chaos.run import run
from benchmarks.chaos.soak import BACKLOG_SECONDS, MIX, Plan, StoppedError, soak
from benchmarks.chaos.systems import SYSTEMS, System

__all__ = ["main"]

RESULTS = Path(__file__).parent / "results.csv"
SOAKS = ROOT / "benchmarks" / "results"
DOCS = ROOT / "docs"
KILLS = ("kill-child", "kill-main", "kill-group")
PEER_KILLS = 100
SHOWN = (
    *("lost", "lost_critical", "lost_with_failure", "critical_twice", "twice_at_once"),
    *("duplicates", "may_repeat", "overlaps_reported", "left", "kills", "tasks", "unconfirmed"),
    *("worker_deaths", "publish_errors"),
    *(f"{column}{part}" for column in PROMISES for part in ("", "_of")),
)


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line says; 1 where a run of ours broke a promise."""
    options = _parser().parse_args(arguments)
    adopt_orphans()
    result: int = options.function(options)
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run", help="one system, one fault")
    one.add_argument("--system", choices=SYSTEMS, required=True)
    one.add_argument("--fault", required=True, help="its name, or NAME+NAME for a few of each in one run")
    one.add_argument("--kills", type=int, help="how often")
    one.add_argument("--fork", action="store_true", help="fork the workers: less CPU, for tests")
    one.set_defaults(function=_run)
    every = commands.add_parser(
        "all", help="every system and fault, then the table; what has a result is left"
    )
    every.add_argument("--quick", action="store_true", help="a few of each fault, not recorded")
    every.add_argument("--again", action="store_true", help="also what has a result")
    every.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    every.add_argument("--faults", nargs="+", default=[])
    every.set_defaults(function=_all)
    five = commands.add_parser("machines", help="five machines, Sentinels, a failover, one machine cut off")
    five.add_argument("--rate", type=float, default=Options.rate, help="tasks a second")
    five.add_argument("--seed", type=int, default=Options.seed)
    five.add_argument("--keep", type=Path, help="folder for the logs and the records")
    five.set_defaults(function=_machines)
    long = commands.add_parser("soak", help="a fleet for a long time, faults at random; can be resumed")
    long.add_argument("--system", choices=SYSTEMS, default="leased")
    long.add_argument("--folder", type=Path, required=True, help="where all of the run is kept")
    long.add_argument("--minutes", type=float, default=60, help="of running, earlier sessions included")
    long.add_argument("--resume", action="store_true", help="go on with the run in this folder")
    long.add_argument("--pause", type=float, default=8, help="seconds between two faults, on average")
    long.add_argument("--faults", nargs="+", choices=MIX, default=list(MIX))
    long.add_argument("--record", action="store_true", help="keep the result in benchmarks/results")
    long.set_defaults(function=_soak)
    for command, workers, rate in (
        (one, Options.workers, Options.rate),
        (every, Options.workers, Options.rate),
        (long, 16, 250),
    ):
        command.add_argument("--workers", type=int, default=workers)
        command.add_argument("--rate", type=float, default=rate, help="tasks a second")
        command.add_argument("--seed", type=int, default=Options.seed)
        command.add_argument("--python-for-peers", help="interpreter that has celery-redis-plus")
    for command in (one, every):
        command.add_argument("--tasks", type=int, default=Options.tasks, help="at least so many")
        command.add_argument("--results", type=Path, default=RESULTS, help="table to write into")
        command.add_argument(
            "--keep", type=Path, help="folder for the logs, the records and the whole result"
        )
    listing = commands.add_parser("list", help="systems and faults")
    listing.set_defaults(function=_list)
    table = commands.add_parser("table", help="write docs/chaos.md, docs/scale.md and their pictures")
    table.add_argument("--results", type=Path, default=RESULTS, help="table to read")
    table.add_argument("--docs", type=Path, default=DOCS)
    table.set_defaults(function=_table)
    return parser


def faults_of(system: System) -> list[Fault]:
    """All that can be done to a system."""
    common = [
        fault
        for fault in FAULTS.values()
        if system.broker in fault.brokers and (system.crash_points or not fault.ours_only)
    ]
    return common + [crash(point) for point in system.crash_points]


def _run(options: argparse.Namespace) -> int:
    Process.forks = options.fork
    system = SYSTEMS[options.system]
    faults = {fault.name: fault for fault in faults_of(system)}
    names = options.fault.split("+")
    for name in names:
        if name not in faults:
            print(f"{system.name} has no fault {name}; it has: {', '.join(faults)}", file=sys.stderr)
            return 2
    if len(names) > 1:
        fault = together(*(faults[name] for name in names))
        return _one(system, fault, fault.quick_count, options)
    fault = faults[options.fault]
    return _one(system, fault, options.kills or fault.count, options)


def _all(options: argparse.Namespace) -> int:
    if options.quick and options.results == RESULTS:
        with tempfile.TemporaryDirectory() as folder:  # so few belong in no table
            options.results = Path(folder, RESULTS.name)
            return _every(options)
    worst = _every(options)
    if options.results == RESULTS:
        report.write(results.read(RESULTS), DOCS)
    return worst


def _every(options: argparse.Namespace) -> int:
    worst = 0
    for name in options.systems:
        system = SYSTEMS[name]
        for fault in faults_of(system):
            if options.faults and fault.name not in options.faults:
                continue
            if not options.again and (name, fault.name) in results.read(options.results):
                continue
            count = fault.count
            if system.configuration is not None and fault.name in KILLS:
                count = PEER_KILLS
            worst = max(worst, _one(system, fault, fault.quick_count if options.quick else count, options))
    return worst


def _one(system: System, fault: Fault, count: int, options: argparse.Namespace) -> int:
    """Run, record, and say so in a line."""
    given = Options(
        count=count,
        tasks=options.tasks,
        workers=options.workers,
        rate=options.rate,
        seed=options.seed,
        python_for_peers=options.python_for_peers,
        keep=options.keep,
        promises=system.promises,
    )
    start = time.monotonic()
    try:
        result = run(system, fault, given)
    except ChaosError as error:
        result = {"system": system.name, "fault": fault.name, "not_run": str(error)}
    results.record(options.results, result)
    if options.keep:
        folder = options.keep / f"{system.name}-{fault.name}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    figures = " ".join(f"{key}={result[key]}" for key in SHOWN if key in result)
    seconds = round(time.monotonic() - start)
    print(f"{system.name} {fault.name} {figures} {result.get('not_run', '')} {seconds} s", flush=True)
    broken = any(result.get(key) for key in ("lost", "critical_twice", *PROMISES))
    return int(system.configuration is None and system.name != "plain" and broken)


def _soak(options: argparse.Namespace) -> int:
    if (options.folder / "ledger.sqlite").exists() != options.resume:
        there = "has a run: go on with --resume" if not options.resume else "has none to resume"
        print(f"{options.folder} {there}, or choose another folder", file=sys.stderr)
        return 2
    given = Options(
        count=1,
        workers=options.workers,
        concurrency=1,
        rate=options.rate,
        backlog=int(options.rate * BACKLOG_SECONDS),
        seed=options.seed,
        python_for_peers=options.python_for_peers,
    )
    plan = Plan(options.folder, options.minutes * 60, options.pause, tuple(options.faults))
    try:
        result = soak(SYSTEMS[options.system], plan, given)
    except (ChaosError, StoppedError) as error:
        print(f"{str(error) or 'stopped'}: go on with --resume", file=sys.stderr)
        return 1
    print(json.dumps({name: value for name, value in result.items() if name != "minutes"}, indent=1))
    if options.record:
        soak_report.record(SOAKS, result)
    return int(any(result[name] for name in ("lost", "critical_twice")))


def _machines(options: argparse.Namespace) -> int:
    given = Options(1, rate=options.rate, seed=options.seed, keep=options.keep)
    try:
        result = machines.run(sys.executable, given)
    except ChaosError as error:
        result = {"not_run": str(error)}
    print(json.dumps(result, indent=1))
    return int(any(result.get(key) for key in ("not_run", "lost", "critical_twice")))


def _list(_options: argparse.Namespace) -> int:
    for system in SYSTEMS.values():
        print(f"{system.name}: {system.description}\n  {' '.join(fault.name for fault in faults_of(system))}")
    return 0


def _table(options: argparse.Namespace) -> int:
    report.write(results.read(options.results), options.docs)
    soak_report.write(soak_report.read(SOAKS), options.docs)
    return 0
