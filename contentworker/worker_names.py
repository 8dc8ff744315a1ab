"""The names of a queue's workers on a machine: in units (`celery-worker@NAME`), nodes (`NAME@host`), folders.

The first worker has the queue's name, the others have a number: `rewrite`, `rewrite-2`. While an upgrade
restarts one, its stand-in `rewrite-next` serves the queue.
"""

__all__ = ["STAND_IN", "of_queue", "stand_in"]

STAND_IN = "-next"
"""How the name of a stand-in ends. The stand-in runs the next release before its worker does."""


def of_queue(queue: str, number: int) -> list[str]:
    """The names of all workers of a queue, if it has this number of them."""
    return [queue, *(f"{queue}-{each}" for each in range(2, number + 1))]


def stand_in(worker: str) -> str:
    """The name of the worker that serves the queue of another one, while that is restarted."""
    return worker + STAND_IN
