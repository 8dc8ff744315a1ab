"""Measures the CPU of a liveness probe against `celery inspect ping`.

    nox -s bench -- benchmarks/liveness.py [--json]

Both ask the same worker, in turns. The probe reads the worker's alive file; `inspect ping` loads Celery and
sends a message. The CPU of the worker's answer to `ping` is not counted. Target: 0.1.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contentworker.runtime.development import local_redis  # noqa: E402 -- needs the path above

RUNS = 15
START_SECONDS = 60
CELERY = [sys.executable, "-m", "celery", "-A", "celery_worker.celery_app"]


def cpu_seconds_of(command: list[str], env: dict[str, str]) -> float:
    """CPU time, user and system, of a command that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def wait_until_ready(probe: list[str], worker: subprocess.Popen[bytes]) -> None:
    """Ask until the worker serves."""
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(probe, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode:
        if worker.poll() is not None or time.monotonic() > deadline:
            sys.exit("the worker never became ready")


def main() -> None:
    """Print the medians and their ratio; with --json as JSON."""
    with tempfile.TemporaryDirectory() as folder, local_redis.throwaway(Path(folder, "redis")) as url:
        file = str(Path(folder, "alive"))
        env = {**os.environ, "REDIS_URL": url}
        ping = [*CELERY, "inspect", "ping"]
        probe = [sys.executable, "-m", "contentworker.runtime.health.liveness", file, "--ready"]
        options = ["worker", "--queues=celery", "--concurrency=1", "--loglevel=error"]
        worker = subprocess.Popen([*CELERY, *options], cwd=ROOT, env={**env, "WORKER_ALIVE_FILE": file})
        try:
            wait_until_ready(probe, worker)
            cpu_seconds_of(ping, env)  # warm up
            pairs = [(cpu_seconds_of(probe, env), cpu_seconds_of(ping, env)) for _ in range(RUNS)]
        finally:
            worker.terminate()
            worker.wait()
    ours, theirs = (sorted(column) for column in zip(*pairs, strict=True))
    medians = statistics.median(ours), statistics.median(theirs)
    figures = {
        "cpu_seconds": round(medians[0], 4),
        "baseline_cpu_seconds": round(medians[1], 4),
        "ratio": round(medians[0] / medians[1], 3),
        "all_cpu_seconds": [round(value, 4) for value in ours],
        "all_baseline_cpu_seconds": [round(value, 4) for value in theirs],
    }
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures))
        return
    print(
        f"liveness probe / celery inspect ping, CPU (target 0.1): {figures['ratio']} "
        f"({medians[0] * 1000:.0f} ms / {medians[1] * 1000:.0f} ms, medians of {RUNS})"
    )


if __name__ == "__main__":
    main()
