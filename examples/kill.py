"""`nox -s demo -- --kill`: a worker is killed in the middle of a task, and another one finishes it.

On a Redis for this demonstration only. This module is also the application of the two workers: the project's
application and one slow task.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from celery import shared_task
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from celery_worker import celery_app
from contentworker import config
from contentworker.runtime.development import local_redis
from contentworker.runtime.worker import application
from examples.worker import run_worker
from tasks.base import IdempotentTask

__all__ = ["celery_app", "show"]

TASK = "demo.count"
PROGRESS = "demo:progress"
QUEUE = "celery"
COUNT_TO = 5
PATIENCE_SECONDS = 60
VISIBILITY_TIMEOUT_SECONDS = 3600
"""Celery's default, after which it would deliver the message again."""


@shared_task(base=IdempotentTask, name=TASK, bind=True)
def count(self: Any) -> str:
    """Count, a second for each number, and note each number in Redis."""
    client = self.app.backend.client
    for number in range(1, COUNT_TO + 1):
        client.rpush(PROGRESS, f"{self.request.hostname} {number}")
        time.sleep(1)
    return f"counted to {COUNT_TO} on {self.request.hostname}"


def show(console: Console) -> None:
    """Kill a worker before your eyes, and time how long its task is gone.

    Raises:
        LocalRedisError: no Redis can be started.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(local_redis.throwaway(folder, durable=True))
        client = stack.enter_context(redis.Redis.from_url(url, decode_responses=True))
        options = (f"--queues={QUEUE}", "--concurrency=1")
        workers = {
            name: stack.enter_context(
                run_worker("examples.kill", *options, f"--hostname={name}", REDIS_URL=url)
            )
            for name in ("one@demo", "two@demo")
        }
        console.print(f"Redis: {url}, for this demonstration only", style="dim")
        for name, process in workers.items():
            console.print(f"Worker {name}: process {process.pid}", style="dim")
        app = application.build(config.load(), url)
        result = app.send_task(TASK, queue=QUEUE)
        console.print(f"\nA task that counts to {COUNT_TO} is sent: {result.id}")

        _until(lambda: client.llen(PROGRESS) >= 2)
        victim = client.lrange(PROGRESS, 0, 0)[0].split()[0]
        console.print(f"{victim} runs it: 1, 2 …")
        os.killpg(workers[victim].pid, signal.SIGKILL)
        killed = time.monotonic()
        workers.pop(victim).wait()
        console.print(f"[bold red]kill -9[/] {victim}, and its pool processes with it")

        [other] = workers
        with console.status("") as status:

            def started() -> bool:
                status.update(
                    f"{time.monotonic() - killed:.0f} s; the message is in Redis, under {victim}'s lease"
                )
                return any(line.startswith(other) for line in client.lrange(PROGRESS, 0, -1))

            _until(started)
        seconds = time.monotonic() - killed
        console.print(
            f"[bold green]{other}[/] starts it again [bold]{seconds:.1f} s[/] after the kill "
            f"[dim](Celery's own transport: after {VISIBILITY_TIMEOUT_SECONDS} s)[/]"
        )
        console.print(f"Done: {result.get(timeout=PATIENCE_SECONDS)}")


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"Nothing happened for {PATIENCE_SECONDS} s: no worker took the task.")
        time.sleep(0.05)
