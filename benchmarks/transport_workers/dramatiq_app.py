"""dramatiq as it comes, with results in Redis for the task that asks for them."""

import importlib
import os
from typing import Any

from benchmarks.transport_workers import bodies

# By name: it is installed for benchmarks only, not where types are checked.
dramatiq: Any = importlib.import_module("dramatiq")
redis_broker: Any = importlib.import_module("dramatiq.brokers.redis")
results: Any = importlib.import_module("dramatiq.results")
backends: Any = importlib.import_module("dramatiq.results.backends")

broker = redis_broker.RedisBroker(url=os.environ["REDIS_URL"])
broker.add_middleware(results.Results(backend=backends.RedisBackend(url=os.environ["REDIS_URL"])))
dramatiq.set_broker(broker)

actors = {
    "work": dramatiq.actor(store_results=True)(bodies.work),
    "work_ignored": dramatiq.actor(bodies.work_ignored),
}


def send(task: str, *args: Any, countdown: float | None = None) -> None:
    """Publish one call."""
    actors[task].send_with_options(args=args, delay=countdown and round(countdown * 1_000))
