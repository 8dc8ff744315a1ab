"""huey as it comes. It stores every result but None."""

import importlib
import os
from typing import Any

from benchmarks.transport_workers import bodies

# By name: it is installed for benchmarks only, not where types are checked.
huey: Any = importlib.import_module("huey").RedisHuey("bench", url=os.environ["REDIS_URL"])

calls = {
    "work": huey.task()(bodies.work),
    "work_ignored": huey.task()(bodies.work_ignored),
}


def send(task: str, *args: Any, countdown: float | None = None) -> None:
    """Publish one call."""
    calls[task].schedule(args=args, delay=countdown) if countdown else calls[task](*args)
