"""Measures what metrics, logs and events cost a task, on against off in the same run.

    nox -s bench -- benchmarks/observability.py
    python benchmarks/observability.py [--quick] [--rounds N] [--tasks N] [--only VARIANT ...]

Both sides run the tasks of `benchmarks/transport.py`, on its side "ours": no-op tasks with a result. The
measure is the same, too: CPU of worker and Redis from the start of the first task to the end of the last. The
baseline has metrics off, logs at level critical, and no events; a variant switches something on. The target
is for the level of services, `warning`; at `info` each task logs two more lines. Sides take turns, each round
starts with another one, and a ratio is the median of the rounds' ratios.
"""

import argparse
import json
import os
import platform
import statistics
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.transport import (  # noqa: E402 -- needs the path above
    SECONDS,
    Load,
    Sample,
    Side,
    in_turn,
    median,
    ratio,
    run_load,
    table,
)

BAR = 1.10
MOST_OTHERS_PERCENT = 10
# A no-op task takes a thousandth of a real one: replacing processes would blur the result.
COMMON = {"LIMITS__MAX_TASKS_PER_CHILD": "1000000"}
OFF = {**COMMON, "METRICS__ENABLED": "false"}
METRICS = {**COMMON, "METRICS__ENABLED": "true"}
SILENT = ("--loglevel=critical",)
LOGS = ("--loglevel=warning",)
LOGS_OF_TASKS = ("--loglevel=info",)
EVENTS = ("--task-events",)

BASELINE = "all off"
WHOLE = "metrics, logs, events"
VARIANTS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    # name: settings, options of the worker
    BASELINE: (OFF, SILENT),
    "metrics": (METRICS, SILENT),
    "logs (level warning)": (OFF, LOGS),
    "logs (level info)": (OFF, LOGS_OF_TASKS),
    "events (-E)": (OFF, (*SILENT, *EVENTS)),
    WHOLE: (METRICS, (*LOGS, *EVENTS)),
    f"{WHOLE} (level info)": (METRICS, (*LOGS_OF_TASKS, *EVENTS)),
}


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    return {"cores": str(os.cpu_count()), "Python": platform.python_version(), "celery": version("celery")}


def measure(name: str, tasks: int) -> Sample:
    """CPU per task of one worker."""
    settings, options = VARIANTS[name]
    side = Side(name, "our_app", SECONDS, "typed.", settings)
    return run_load(side, Load(name, tasks, options=options))


def report(samples: dict[str, list[Sample]]) -> str:
    """The table, and whether the bar is met."""
    rows = []
    for name, own in samples.items():
        middle, least, greatest = ratio(own, samples[BASELINE], "cpu_milliseconds_per_task")
        shown = "1" if name == BASELINE else f"{middle:.2f} ({least:.2f} to {greatest:.2f})"
        rows.append([name, f"{median(own, 'cpu_milliseconds_per_task'):.3f}", shown])
    rounds = len(samples[BASELINE])
    text = table(
        f"What watching costs: median of rounds: {rounds}", ["on", "CPU ms per task", "CPU / off"], rows
    )
    others = [sample["others_cpu_percent"] for own in samples.values() for sample in own]
    usual, most = statistics.median(others), max(others)
    text += f"\nEverything else on the machine took {usual:.0f} % of it, at most {most:.0f} %.\n"
    if WHOLE in samples:
        found = ratio(samples[WHOLE], samples[BASELINE], "cpu_milliseconds_per_task")[0]
        verdict = "met" if found <= BAR else "**missed**"
        text += f"Bar: {WHOLE} at most {BAR:.2f} times the CPU per task: {verdict} ({found:.2f}).\n"
        if most > MOST_OTHERS_PERCENT:
            text += "Others were busy meanwhile, so the figures are rougher than they look.\n"
    return text


def main() -> None:
    """Print the table; with --json the measurements."""
    parser = argparse.ArgumentParser(description="Measure what metrics, logs and events cost a task.")
    parser.add_argument("--quick", action="store_true", help="one round of few tasks: does it all work?")
    parser.add_argument("--rounds", type=int, help="(default 5, quick 1)")
    parser.add_argument("--tasks", type=int, help="a measurement (default 4000, quick 500)")
    parser.add_argument("--only", nargs="+", choices=[*VARIANTS][1:], default=[*VARIANTS][1:])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 5)
    tasks = options.tasks or (500 if options.quick else 4_000)
    sides = [Side(name, "our_app", SECONDS) for name in (BASELINE, *options.only)]
    samples = in_turn(sides, rounds, lambda side: measure(side.name, tasks), "observability")
    if options.json:
        print(json.dumps({"machine": machine(), "samples": samples}))
        return
    print(report(samples))
    print(", ".join(f"{name} {value}" for name, value in machine().items()) + ".")


if __name__ == "__main__":
    main()
