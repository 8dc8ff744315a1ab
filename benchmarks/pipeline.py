"""What the pipeline adds to the work of its tasks, and how many articles it takes through evaluation.

    nox -s bench -- benchmarks/pipeline.py [--json]

Articles pass: each is judged and scored, and no more. Two workers with a process each take them, in rounds.
By turns with a round one process does the same with the tasks called directly. The CPU is that of the two
workers with their pools, without Redis and who sends, over that of the direct calls; both are warm.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contentworker import config  # noqa: E402 -- needs the path above
from contentworker.runtime.development import local_redis  # noqa: E402
from contentworker.runtime.records.runs import Runs  # noqa: E402
from contentworker.runtime.worker import application  # noqa: E402 -- needs the path above

ROUNDS = 5
ARTICLES = 40
PATIENCE_SECONDS = 120
ARTICLE = (ROOT / "README.md").read_text("utf-8")
TICKS = os.sysconf("SC_CLK_TCK")
SETTINGS = {"WORKER__PIPELINE__MIN_AEO_SCORE": "0", "WORKER__PIPELINE__ESCALATED_VERDICTS": "[]"}


def articles() -> list[str]:
    """New ones, so that none has a run already."""
    return [f"{ARTICLE}\n\n{uuid.uuid4()}\n" for _ in range(ARTICLES)]


def cpu_seconds(group: int) -> float:
    """CPU time so far of the processes of a group that are there, and of those that they have waited for."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[2]) == group:
            ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS


def direct(texts: list[str]) -> float:
    """CPU seconds an article of the tasks' own work, in this process."""
    from tasks.evaluation import detect_ai, score_aeo

    before = time.process_time()
    for text in texts:
        detect_ai(content=text, media_type="markdown")
        score_aeo(content=text, media_type="markdown")
    return (time.process_time() - before) / len(texts)


def through(client: Any, runs: Runs, workers: list[subprocess.Popen[bytes]]) -> tuple[float, float]:
    """CPU seconds an article of the workers, and articles a second, from the first sent to the last end."""
    names = [(uuid.uuid4().hex, text) for text in articles()]
    cpu = sum(cpu_seconds(worker.pid) for worker in workers)
    start = time.perf_counter()
    for name, text in names:
        arguments = {"article_id": name, "content": text, "media_type": "markdown"}
        client.send_task("tasks.pipeline.process_content", kwargs=arguments, ignore_result=True)
    for name, _ in names:
        while not any((run := runs.find(each)) and run.step == "passed" for each in runs.of(name)):
            if time.perf_counter() - start > PATIENCE_SECONDS:
                sys.exit(f"{name} has not passed")
            time.sleep(0.005)
    elapsed = time.perf_counter() - start
    used = sum(cpu_seconds(worker.pid) for worker in workers) - cpu
    return used / len(names), len(names) / elapsed


def main() -> None:
    """Print the medians, as JSON with --json."""
    import celery_worker  # noqa: F401 -- the tasks that are called directly need an application

    with tempfile.TemporaryDirectory() as folder, local_redis.throwaway(Path(folder)) as url:
        env = {**os.environ, **SETTINGS, "REDIS_URL": url}
        command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", "worker"]
        options = ["--queues=celery,evaluation", "--concurrency=1", "--loglevel=error"]
        workers = [
            subprocess.Popen(
                [*command, *options, f"--hostname=w{number}@%h"],
                cwd=ROOT,
                env=env,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            for number in range(2)
        ]
        client = application.build(config.load(environ={}), url)
        runs = Runs(client.backend.client, 3600)
        try:
            through(client, runs, workers)  # not for the first time
            direct(articles())
            rounds = [(*through(client, runs, workers), direct(articles())) for _ in range(ROUNDS)]
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()
            client.close()
    ours, rates, theirs = (sorted(column) for column in zip(*rounds, strict=True))
    medians = statistics.median(ours), statistics.median(theirs)
    figures = {
        "articles_per_second": round(statistics.median(rates), 1),
        "cpu_seconds": round(medians[0], 4),
        "baseline_cpu_seconds": round(medians[1], 4),
        "ratio": round(medians[0] / medians[1], 2),
        "all_articles_per_second": [round(value, 1) for value in rates],
        "all_cpu_seconds": [round(value, 4) for value in ours],
        "all_baseline_cpu_seconds": [round(value, 4) for value in theirs],
        "load_average": round(os.getloadavg()[0], 1),
    }
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures))
        return
    print(
        f"{figures['articles_per_second']} articles/s of {len(ARTICLE)} characters with two workers; CPU an "
        f"article, pipeline / tasks called directly: {figures['ratio']} ({medians[0] * 1000:.0f} ms / "
        f"{medians[1] * 1000:.0f} ms, medians of {ROUNDS}; load average {figures['load_average']})"
    )


if __name__ == "__main__":
    main()
