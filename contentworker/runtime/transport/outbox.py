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
    """Steps that Redis has not been told, in their order: a dead letter comes before its acknowledgement.

    A step is a call that may be repeated. `wake` starts the thread that sends what waits.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._steps: deque[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._steps)

    def do(self, step: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Take a step now and return its result; or later, if Redis is unreachable, and return None."""
        if not self._steps:  # else it would only wait for a time-out as well
            try:
                return step(*arguments, **options)
            except redis.exceptions.OutOfMemoryError:
                raise  # waiting does not help
            except (*CONNECTION_ERRORS, redis.exceptions.ResponseError) as error:
                # Also refused: by a replica during a failover, or by a server whose disk is full.
                logger.warning(
                    "Redis is unreachable (%s): acknowledgements are queued until it returns", error
                )
        self.add(step, *arguments, **options)
        return None

    def add(self, step: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Take a step soon, in the thread that sends what waits."""
        self._steps.append((step, arguments, options))
        self._wake()

    def send(self) -> None:
        """Take all steps that wait; stop at one that fails, which stays."""
        while self._steps:
            step, arguments, options = self._steps[0]
            step(*arguments, **options)
            self._steps.popleft()
