"""Measures the time from saving a file to serving the new code, ours against others in the same run.

    nox -s bench -- benchmarks/autoreload.py [--edits 20] [--json]

Each side has a copy of the project and a Redis of its own. All run all the time; the edits take turns.
The others are `watchmedo auto-restart` as in docs/running.md, and watchfiles with its defaults.

- edit: time from the save to the first answer of the new code; a task asks again and again.
- wait: longest time from sending a task to its answer, with a task every 50 ms for some seconds, once without
  and once with a save in between.
- saves: workers started, and workers that became ready, for 20 saves, one every 50 ms.
- cut: how often a task of 15 s begins if a file is saved while it runs.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from celery import Celery

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contentworker import config  # noqa: E402 -- needs the path above
from contentworker.runtime.development import local_redis  # noqa: E402 -- needs the path above
from contentworker.runtime.worker import application  # noqa: E402 -- needs the path above

PATIENCE_SECONDS = 120
LONG_TASK_SECONDS = 15
"""Longer than the 10 s after which watchmedo kills a worker."""
OBSERVED_SECONDS = 12
"""Longer than the reload of any side."""
SAVES, SAVE_SECONDS, SEND_SECONDS = 20, 0.05, 0.05

PROBE = """
import os
import time
from pathlib import Path

from celery import shared_task

from tasks.base import BaseTask

VERSION = "{version}"
NOTES = Path(__file__).parent.parent

with (NOTES / "loaded").open("a") as loaded:
    loaded.write(f"{{os.getpid()}}\\n")


@shared_task(base=BaseTask, name="tasks.pipeline.version")
def version() -> str:
    return VERSION


@shared_task(base=BaseTask, name="tasks.pipeline.long")
def long() -> str:
    with (NOTES / "begun").open("a") as begun:
        begun.write("x")
    time.sleep({seconds})
    return VERSION
"""

CELERY = ["celery", "-A", "celery_worker.celery_app", "worker", "--loglevel=info", "--concurrency=4"]
WATCHMEDO = ["watchmedo", "auto-restart", "--directory=.", "--pattern=**/*.py", "--recursive", "--", *CELERY]
SIDES = {
    "ours": [sys.executable, "-m", "contentworker", "worker", "--reload"],
    "watchmedo": WATCHMEDO,
    "watchfiles": ["watchfiles", "--filter", "python", " ".join(CELERY), "."],
}


class Side:
    """One way to reload, with a running worker."""

    def __init__(self, name: str, checkout: Path, client: Celery, process: subprocess.Popen[bytes]) -> None:
        self.name, self.checkout, self.client, self.process = name, checkout, client, process
        self.version = 0

    def ask(self) -> int:
        """Version of the code that answers."""
        return int(self.client.send_task("tasks.pipeline.version").get(timeout=PATIENCE_SECONDS))

    def save(self) -> None:
        """Save the next version."""
        self.version += 1
        text = PROBE.format(version=self.version, seconds=LONG_TASK_SECONDS)
        (self.checkout / "tasks" / "probe.py").write_text(text, "utf-8")

    def serve_the_last_version(self) -> None:
        """Wait until the last saved version is served."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.ask() != self.version:
            if time.monotonic() > deadline:
                sys.exit(f"{self.name} does not reload; its log: {self.checkout / 'log'}")

    def edit_seconds(self) -> float:
        """Seconds from a save to the first answer of the new code."""
        start = time.perf_counter()
        self.save()
        self.serve_the_last_version()
        return time.perf_counter() - start

    def longest_wait_seconds(self, *, save: bool) -> float:
        """Longest wait of tasks that are sent at a steady pace, with a save after a second or without."""
        pending: dict[Any, float] = {}
        waits = [0.0]
        start = sent = time.perf_counter()
        while pending or sent - start < OBSERVED_SECONDS:
            now = time.perf_counter()
            if now - start < OBSERVED_SECONDS and now - sent >= SEND_SECONDS:
                pending[self.client.send_task("tasks.pipeline.version")] = sent = now
            elif now - start >= OBSERVED_SECONDS:
                sent = now
            if save and now - start > 1:
                self.save()
                save = False
            ready = [each for each in pending if each.ready()]
            waits.extend(time.perf_counter() - pending.pop(result) for result in ready)
            time.sleep(0.005)
        return max(waits)

    def saves(self) -> tuple[int, int]:
        """Number of workers started, and of workers that became ready, for many saves."""
        before = self._loaded(), self._ready()
        for _ in range(SAVES):
            self.save()
            time.sleep(SAVE_SECONDS)
        self.serve_the_last_version()
        time.sleep(OBSERVED_SECONDS)  # count late workers, too
        return self._loaded() - before[0], self._ready() - before[1]

    def times_begun(self) -> int:
        """How often a long task began, with a save while it ran."""
        begun = self.checkout / "begun"
        begun.unlink(missing_ok=True)
        result = self.client.send_task("tasks.pipeline.long")
        while not begun.exists():
            time.sleep(0.01)
        self.save()
        result.get(timeout=PATIENCE_SECONDS)
        return len(begun.read_text())

    def _loaded(self) -> int:
        return len(set((self.checkout / "loaded").read_text().split()))

    def _ready(self) -> int:
        return (self.checkout / "log").read_text("utf-8", "replace").count(" ready.")


@contextmanager
def running(name: str, folder: Path, environ: Mapping[str, str]) -> Iterator[Side]:
    """Make a copy of the project, start a side in it, and stop it in the end."""
    checkout = folder / "checkout"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "tests", "docs")
    shutil.copytree(ROOT, checkout, ignore=ignored)
    with local_redis.throwaway(folder / "redis") as url:
        client = application.build(config.load(environ={}), url)
        env = {**environ, "REDIS_URL": url, "PYTHONUNBUFFERED": "1"}
        with (checkout / "log").open("wb") as log:
            side = Side(name, checkout, client, None)  # type: ignore[arg-type]
            side.save()
            side.process = subprocess.Popen(
                SIDES[name], cwd=checkout, env=env, stdout=log, stderr=log, start_new_session=True
            )
        try:
            side.serve_the_last_version()
            yield side
        finally:
            side.process.send_signal(signal.SIGINT)
            try:
                side.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(side.process.pid, signal.SIGKILL)
            client.backend.result_consumer.stop()
            client.close()


def main() -> None:
    """Print the table, in Markdown, or the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--edits", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    binaries = str(Path(sys.executable).parent)
    environ = {**os.environ, "PATH": os.pathsep.join([binaries, os.environ["PATH"]])}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as on a developer's machine
    names = [name for name in SIDES if name == "ours" or shutil.which(name, path=environ["PATH"])]
    figures: dict[str, dict[str, Any]] = {name: {"edits": []} for name in names}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sides = [stack.enter_context(running(name, folder / name, environ)) for name in names]
        for _ in range(arguments.edits):
            for side in sides:
                figures[side.name]["edits"].append(round(side.edit_seconds(), 3))
        for side in sides:
            own = figures[side.name]
            own["wait_without_save"] = round(side.longest_wait_seconds(save=False), 3)
            own["wait_with_save"] = round(side.longest_wait_seconds(save=True), 3)
            side.serve_the_last_version()
            own["started"], own["ready"] = side.saves()
            own["begun"] = side.times_begun()
    if arguments.json:
        print(json.dumps(figures))
        return
    base = statistics.median(figures["watchmedo"]["edits"])
    print("| | edit, median s | share of watchmedo's | range s | longest wait, s, without / with a save |")
    print("|---|---|---|---|---|")
    for name, own in figures.items():
        edits = sorted(own["edits"])
        middle = statistics.median(edits)
        extremes = f"{edits[0]:.2f} to {edits[-1]:.2f}"
        waits = f"{own['wait_without_save']:.2f} / {own['wait_with_save']:.2f}"
        print(f"| {name} | {middle:.2f} | {middle / base:.2f} | {extremes} | {waits} |")
    print(f"\n| | workers started / ready for {SAVES} saves | a running task was begun, times |")
    print("|---|---|---|")
    for name, own in figures.items():
        print(f"| {name} | {own['started']} / {own['ready']} | {own['begun']} |")


if __name__ == "__main__":
    main()
