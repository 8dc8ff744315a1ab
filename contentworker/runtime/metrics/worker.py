"""Has a worker count moved messages and give signs of life."""

from typing import Any

from celery import bootsteps
from celery.signals import worker_process_shutdown, worker_shutdown
from celery.worker import state as work

from contentworker.runtime.metrics import count
from contentworker.runtime.metrics.definitions import PROMOTED, RECLAIMED
from contentworker.runtime.metrics.recording import recorder
from contentworker.runtime.transport import holder

__all__ = ["SIGN_SECONDS", "begin"]

SIGN_SECONDS = 5.0
"""Time between two signs of life."""
TIMEOUT_SECONDS = 1.0
"""Longest wait for Redis: it delays the end of a process."""
MOVED = {"promoted": PROMOTED, "reclaimed": RECLAIMED}


def begin(worker: Any) -> None:
    """Have this worker measure."""
    app = worker.app
    limits: dict[str, Any] = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
    recorder.begin(lambda: app.connect_redis(**limits), app.tasks, app.runtime_settings.queues)
    app.steps["consumer"].add(SignStep)
    holder.when_moved(lambda how, number: count(MOVED[how], number))
    worker_process_shutdown.connect(lambda **_: recorder.end(), weak=False)
    worker_shutdown.connect(lambda **_: recorder.end(worker.hostname), weak=False)


class SignStep(bootsteps.StartStopStep):
    """Gives signs of life from the event loop: a thread would give them even if the loop hangs.

    With the `solo` pool the loop stands still while a task runs, and gives none.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Set the timer whenever the loop begins to run: Celery drops all timers with each connection."""

        def sign() -> None:
            recorder.sign(
                *_name_and_queues(consumer),
                slots=consumer.pool.num_processes,
                busy_slots=len(work.active_requests),
            )

        sign()
        hub.call_repeatedly(SIGN_SECONDS, sign)


def _name_and_queues(worker: Any) -> tuple[str, list[str]]:
    return worker.hostname, list(worker.app.amqp.queues.consume_from)
