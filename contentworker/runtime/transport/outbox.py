"""Steps that wait until Redis can be reached again."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import redis

__all__ = ["CONNECTION_ERRORS", "Outbox"]

logger = logging.getLogger(__package__)

CONNECTION_ERRORS = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)


class Outbox:
    """Steps that could not reach Redis yet, in order: a dead letter comes before its acknowledgement.

    A step is a call that may be repeated. `wake` wakes the thread that runs the waiting steps.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._steps: deque[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._steps)

    def do(self, step: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Run a step and return its result. If Redis is unreachable, run it later and return None."""
        if not self._steps:  # otherwise it would only wait for a time-out, too
            try:
                return step(*arguments, **options)
            except redis.exceptions.OutOfMemoryError:
                raise  # waiting does not help
            except (*CONNECTION_ERRORS, redis.exceptions.ResponseError) as error:
                # ResponseError: a replica during a failover, or a server whose disk is full, refuses it.
                logger.warning(
                    "Redis is unreachable (%s): acknowledgements are queued until it returns", error
                )
        self.add(step, *arguments, **options)
        return None

    def add(self, step: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Run a step soon, in the thread that runs the waiting steps."""
        self._steps.append((step, arguments, options))
        self._wake()

    def send(self) -> None:
        """Run all waiting steps. If one fails, it raises and stays, with those after it."""
        while self._steps:
            step, arguments, options = self._steps[0]
            step(*arguments, **options)
            self._steps.popleft()
