"""Events of tasks, which Flower listens to: sent a few times a second, and none is missing."""

import threading
from collections import Counter
from contextlib import suppress
from typing import Any

from celery import Celery

from tests.support import PROBE_APP, StartWorker, wait_until

NUMBER = 20


def test_every_event_arrives(worker: StartWorker, client: Celery) -> None:
    """Received, started and succeeded once for each task, also of those right before the worker stops."""
    seen: Counter[str] = Counter()
    is_over = threading.Event()

    def listen() -> None:
        handlers = {"*": lambda event: seen.update([event["type"]])}
        with client.connection_for_read() as given:
            receiver = client.events.Receiver(given, handlers=handlers)
            with receiver.consumer_context() as (connection, _, _):
                while not is_over.is_set():
                    with suppress(TimeoutError):
                        connection.drain_events(timeout=0.1)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        serving: Any = worker("--queues=celery", "--task-events", app=PROBE_APP)
        wait_until(lambda: seen["worker-heartbeat"] or seen["worker-online"], "the worker to be heard")
        results = [client.send_task("probe.pid") for _ in range(NUMBER)]
        for result in results:
            result.get(timeout=60)
        serving.kill()
        assert serving.wait() == 0
        kinds = ("task-received", "task-started", "task-succeeded")
        wait_until(lambda: all(seen[kind] == NUMBER for kind in kinds), f"all events: {seen}")
    finally:
        is_over.set()
        listener.join()
