"""Measures start-up against the plain `celery` command, in the same environment and the same run.

Import: `import celery_worker` against `celery --help`. Worker: time from `python3 noxfile.py -s worker`, once
its environment exists, to a ready worker, against `celery worker` with a Redis that runs already.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contentworker.runtime.development import local_redis  # noqa: E402 -- needs the path above

RUNS = 7
BINARIES = ROOT / ".venv" / "bin"
NOX = [os.path.realpath(sys.executable), "noxfile.py", "-s"]


def seconds_of(command: list[str], env: dict[str, str]) -> float:
    """Wall time of a command."""
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def seconds_to_ready(command: list[str], env: dict[str, str]) -> float:
    """Wall time until a worker logs that it is ready; then it is stopped."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    assert process.stdout
    lines: list[bytes] = []
    for line in process.stdout:
        lines.append(line)
        if b" ready." in line:
            break
    else:
        sys.exit(f"{command} never became ready:\n{b''.join(lines).decode()}")
    elapsed = time.perf_counter() - start
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    process.wait()
    return elapsed


def compare(
    ours: Callable[[], float], baseline: Callable[[], float], runs: int = RUNS
) -> dict[str, float | list[float]]:
    """Medians of alternating runs, and their ratio."""
    pairs = [(ours(), baseline()) for _ in range(runs)]
    our_seconds, baseline_seconds = (sorted(column) for column in zip(*pairs, strict=True))
    medians = statistics.median(our_seconds), statistics.median(baseline_seconds)
    return {
        "seconds": round(medians[0], 3),
        "baseline_seconds": round(medians[1], 3),
        "ratio": round(medians[0] / medians[1], 2),
        "all_seconds": [round(value, 3) for value in our_seconds],
        "all_baseline_seconds": [round(value, 3) for value in baseline_seconds],
    }


def main() -> None:
    """Print the figures, as JSON with --json."""
    env = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    subprocess.run([*NOX, "shell", "--", "true"], cwd=ROOT, env=env, check=True)  # not for the first time
    with tempfile.TemporaryDirectory() as folder, local_redis.throwaway(Path(folder)) as url:
        there = {**env, "REDIS_URL": url}
        celery = str(BINARIES / "celery")
        bare = [celery, "-A", "celery_worker.celery_app", "worker", "--loglevel=info", "--concurrency=4"]
        figures = {
            "import celery_worker / celery --help (target 0.75)": compare(
                lambda: seconds_of([str(BINARIES / "python"), "-c", "import celery_worker"], env),
                lambda: seconds_of([celery, "--help"], env),
            ),
            "nox -s worker to ready / celery worker to ready (target 1.5)": compare(
                lambda: seconds_to_ready([*NOX, "worker"], env), lambda: seconds_to_ready(bare, there)
            ),
        }
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name}: {figure['ratio']} ({figure['seconds']} s / {figure['baseline_seconds']} s)")


if __name__ == "__main__":
    main()
